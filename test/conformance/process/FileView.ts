/** The files a container's process sees: mounts lead to the device's real disk, all else is its own root file system in memory. */
import * as fs from "node:fs"
import type { ContainerSpec } from "../../../core/pod/ContainerRuntime.ts"

export class NoFile extends Error {
  override readonly name = "NoFile"
}

/** Who looks: what the runtime would make of the container's security settings. */
export interface Identity {
  readonly uid: number
  readonly gid: number
  readonly groups: ReadonlyArray<number>
}

export const identityOf = ({ security }: ContainerSpec): Identity => {
  const gid = security.runAsGroup ?? 0
  return { uid: security.runAsUser ?? 0, gid, groups: [gid, ...security.supplementalGroups] }
}

interface Owned {
  readonly uid: number
  readonly gid: number
}

/** The process that runs the tests plays root: it may not be able to give files away. */
const played = (stat: fs.Stats): Owned => ({
  uid: stat.uid === process.getuid?.() ? 0 : stat.uid,
  gid: stat.gid
})

const READ = 4
const WRITE = 2
const SEARCH = 1

const letters = (mode: number) => {
  const plain = [0o400, 0o200, 0o100, 0o40, 0o20, 0o10, 0o4, 0o2, 0o1]
    .map((bit, at) => mode & bit ? "rwx"[at % 3] : "-").join("")
  return mode & 0o1000 ? `${plain.slice(0, -1)}${plain.endsWith("x") ? "t" : "T"}` : plain
}

export class FileView {
  readonly #spec: ContainerSpec
  readonly #identity: Identity
  readonly #root = new Map<string, { content: Buffer; mode: number }>()
  /** Of files that containers made; one map for the whole device, as a disk has it. */
  readonly #owners: Map<string, Owned>

  constructor(spec: ContainerSpec, owners: Map<string, Owned>) {
    this.#spec = spec
    this.#identity = identityOf(spec)
    this.#owners = owners
  }

  #mounted(path: string): { readonly real: string; readonly source: string; readonly readOnly: boolean } | undefined {
    const found = this.#spec.mounts
      .filter(({ target }) => path === target || path.startsWith(`${target}/`))
      .sort((a, b) => b.target.length - a.target.length)[0]
    return found === undefined
      ? undefined
      : { real: found.source + path.slice(found.target.length), source: found.source, readOnly: found.readOnly }
  }

  #owner(real: string, stat: fs.Stats): Owned {
    return this.#owners.get(fs.realpathSync(real)) ?? played(stat)
  }

  #may(real: string, bits: number, path: string): fs.Stats {
    const stat = fs.statSync(real, { throwIfNoEntry: false })
    if (stat === undefined) throw new NoFile(`${path}: No such file or directory`)
    const { gid, uid } = this.#owner(real, stat)
    const shift = this.#identity.uid === uid ? 6 : this.#identity.groups.includes(gid) ? 3 : 0
    const granted = this.#identity.uid === 0 || ((stat.mode >> shift) & bits) === bits
    if (!granted) throw new NoFile(`${path}: Permission denied`)
    return stat
  }

  /** Every directory from the mount's own down must let one pass. */
  #reach(real: string, source: string, path: string): void {
    for (let parent = real.slice(0, real.lastIndexOf("/")); parent.length >= source.length;) {
      this.#may(parent, SEARCH, path)
      parent = parent.slice(0, parent.lastIndexOf("/"))
    }
  }

  read(path: string): Buffer {
    const mounted = this.#mounted(path)
    if (mounted === undefined) {
      const own = this.#root.get(path)
      if (own === undefined) throw new NoFile(`${path}: No such file or directory`)
      return own.content
    }
    this.#reach(mounted.real, mounted.source, path)
    this.#may(mounted.real, READ, path)
    return fs.readFileSync(mounted.real)
  }

  list(path: string): ReadonlyArray<string> {
    const mounted = this.#mounted(path)
    if (mounted === undefined) throw new NoFile(`${path}: No such file or directory`)
    this.#reach(mounted.real, mounted.source, path)
    this.#may(mounted.real, READ, path)
    return fs.readdirSync(mounted.real).filter((name) => !name.startsWith(".."))
  }

  write(path: string, content: string, how: "replace" | "append"): void {
    const mounted = this.#mounted(path)
    if (mounted === undefined) {
      if (this.#spec.security.readOnlyRootFilesystem) throw new NoFile(`${path}: Read-only file system`)
      const before = how === "append" ? this.#root.get(path)?.content ?? Buffer.alloc(0) : Buffer.alloc(0)
      this.#root.set(path, { content: Buffer.concat([before, Buffer.from(content)]), mode: 0o644 })
      return
    }
    const { readOnly, real, source } = mounted
    if (readOnly) throw new NoFile(`${path}: Read-only file system`)
    this.#reach(real, source, path)
    const isNew = !fs.existsSync(real)
    this.#may(isNew ? real.slice(0, real.lastIndexOf("/")) : real, WRITE, path)
    if (how === "append") fs.appendFileSync(real, content)
    else fs.writeFileSync(real, content)
    if (isNew) {
      fs.chmodSync(real, 0o644)
      this.#owners.set(fs.realpathSync(real), { uid: this.#identity.uid, gid: this.#identity.gid })
    }
  }

  makeDirectory(path: string): void {
    const mounted = this.#mounted(path)
    if (mounted === undefined || mounted.readOnly) throw new NoFile(`${path}: Read-only file system`)
    fs.mkdirSync(mounted.real, { recursive: true })
  }

  chmod(path: string, mode: number): void {
    const mounted = this.#mounted(path)
    if (mounted === undefined) throw new NoFile(`${path}: No such file or directory`)
    const { uid } = this.#owner(mounted.real, fs.statSync(mounted.real))
    if (this.#identity.uid !== 0 && this.#identity.uid !== uid) throw new NoFile(`${path}: Operation not permitted`)
    fs.chmodSync(mounted.real, mode)
  }

  exists(path: string): boolean {
    const mounted = this.#mounted(path)
    return mounted === undefined ? this.#root.has(path) : fs.existsSync(mounted.real)
  }

  /** As `ls -l` shows it: links are followed. */
  permissions(path: string): string {
    const mounted = this.#mounted(path)
    if (mounted === undefined) throw new NoFile(`${path}: No such file or directory`)
    const stat = fs.statSync(mounted.real, { throwIfNoEntry: false })
    if (stat === undefined) throw new NoFile(`${path}: No such file or directory`)
    return `${stat.isDirectory() ? "d" : "-"}${letters(stat.mode)}`
  }

  /** Numeric owner and group. */
  owner(path: string): string {
    const mounted = this.#mounted(path)
    if (mounted === undefined) throw new NoFile(`${path}: No such file or directory`)
    const { gid, uid } = this.#owner(mounted.real, fs.statSync(mounted.real))
    return `${uid}:${gid}`
  }
}

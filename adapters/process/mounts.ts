/** The mounts of a process in its own namespace, as lines for the shim: kind, source, target. */
import { Effect } from "effect"
import { existsSync, lstatSync, readlinkSync } from "node:fs"
import { dirname, join } from "node:path"
import { type ContainerSpec, RuntimeError } from "../../core/pod/ContainerRuntime.ts"
import { onDisk } from "./disk.ts"
import { encodeLines } from "./shim.ts"
import { unsupported } from "./tools.ts"

export interface Mounts {
  readonly lines: string
  /** Folders the shim needs beside its files. */
  readonly folders: ReadonlyArray<string>
  /** What the process has as its root, `undefined` for the host's own. */
  readonly root: string | undefined
}

const MOST_LINKS = 40

/** Where a path leads inside a root filesystem, its links followed without ever leaving it. */
const resolveInside = (root: string, path: string): string => {
  let links = 0
  let todo = path.split("/").filter((part) => part !== "" && part !== ".")
  let at = "/"
  while (todo.length > 0) {
    const [part = "", ...rest] = todo
    todo = rest
    if (part === "..") {
      at = dirname(at)
      continue
    }
    const next = join(at, part)
    const target = linkTarget(join(root, next))
    if (target === undefined) {
      at = next
      continue
    }
    if (++links > MOST_LINKS) throw new Error(`too many links in ${path}`)
    if (target.startsWith("/")) at = "/"
    todo = [...target.split("/").filter((part) => part !== "" && part !== "."), ...rest]
  }
  return at
}

const linkTarget = (path: string): string | undefined => {
  try {
    return lstatSync(path).isSymbolicLink() ? readlinkSync(path) : undefined
  } catch {
    return undefined // not there yet: the shim makes it
  }
}

export const mountsOf = Effect.fnUntraced(function*(
  folder: string,
  spec: ContainerSpec,
  image: string | undefined,
  asRoot: boolean
): Effect.fn.Return<Mounts, RuntimeError> {
  if (!asRoot && (spec.mounts.length > 0 || image !== undefined)) {
    return yield* unsupported(
      "arhat does not run as root, so that volumes and images cannot be mounted for a process pod"
    )
  }
  if (image === undefined && spec.security.readOnlyRootFilesystem) {
    return yield* unsupported("the host itself cannot be a read-only root: leave out readOnlyRootFilesystem")
  }
  const nested = spec.mounts.toSorted((one, other) => one.target.split("/").length - other.target.split("/").length)
  // Both with what is mounted below, which keeps a mode of its own, as in Kubernetes.
  const kind = (readOnly: boolean) => (readOnly ? "rbind-ro" : "bind")
  if (image === undefined) {
    const lines = nested.flatMap(({ readOnly, source, target }) => [kind(readOnly), source, target])
    return { lines: encodeLines(lines), folders: [], root: undefined }
  }
  if (/[:,\\]/.test(image)) {
    return yield* new RuntimeError({ reason: "Invalid", detail: `not usable in mount options: ${image}` })
  }
  const root = join(folder, "root")
  const inside = yield* onDisk(
    image,
    () =>
      nested.flatMap((
        { readOnly, source, target }
      ) => [kind(readOnly), source, join(root, resolveInside(image, target))])
  )
  const base = ["overlay", image, root, "proc", "", join(root, "proc"), "bind", "/dev", join(root, "dev")]
  // Without what is mounted below, such as control groups, which could be written to.
  const system = ["bind-ro", "/sys", join(root, "sys")]
  // They use the device's network: its names are theirs. Below what the pod brings itself.
  const names = ["/etc/resolv.conf", "/etc/hosts"].filter((path) => existsSync(path))
  const network = yield* onDisk(
    image,
    () => names.flatMap((path) => ["bind-ro", path, join(root, resolveInside(image, path))])
  )
  // Frozen after the mount points were made, before anything of the pod runs.
  const frozen = spec.security.readOnlyRootFilesystem ? ["freeze", "", root] : []
  return {
    lines: encodeLines([...base, ...system, ...network, ...inside, ...frozen]),
    folders: ["root", "upper", "work"],
    root
  }
})

/**
 * Pods' volumes and small files below one directory of the device:
 * `pods/<uid>/volumes/<name>` and `pods/<uid>/files/<name>`, secrets in `memory/<uid>/<name>`, what subPaths lead to held at
 * `pods/<uid>/subpaths/<mount>`.
 */
import { Clock, Context, Effect, Layer } from "effect"
import * as fs from "node:fs"
import type { AssignedVolume } from "../../core/pod/PodAssignment.ts"
import { FilesError, type MountPoint, PodFiles } from "../../core/pod/PodFiles.ts"
import { groupOf, mountPoint, readFiles, writeFiles } from "./atomicFiles.ts"
import { directory, lstat, onDisk, overwrite, segment } from "./filesystem.ts"
import { ownByGroup } from "./fsGroup.ts"
import { holdPlace, whyNotHeld } from "./heldPlace.ts"
import { hostPath } from "./hostPath.ts"
import { isMemoryBacked, mountMemory, unmountBelow } from "./mounts.ts"
import { withSubPath } from "./subPath.ts"

export interface DiskPodFilesOptions {
  /** Absolute; made with mode 0700 if absent. */
  readonly root: string
  /** `never` keeps secrets and memory volumes on the disk without trying, for tests and for platforms without tmpfs. */
  readonly memory?: "auto" | "never"
  /** The device's own hosts file; /etc/hosts unless told. */
  readonly hosts?: string
  /** Where the device's own resolver is told; /etc/resolv.conf unless told. */
  readonly resolvConf?: string
  /** What systemd-resolved asks in turn. */
  readonly behindResolved?: string
}

const { O_CREAT, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_TRUNC, O_WRONLY } = fs.constants

export const make = Effect.fnUntraced(
  function*({
    behindResolved = "/run/systemd/resolve/resolv.conf",
    hosts = "/etc/hosts",
    memory = "auto",
    resolvConf: resolver = "/etc/resolv.conf",
    root: given
  }: DiskPodFilesOptions) {
    const root = yield* onDisk(() => {
      fs.mkdirSync(given, { recursive: true, mode: 0o700 })
      // Mount points are told by their real path.
      const real = fs.realpathSync(given)
      for (const folder of ["pods", "memory"]) directory(`${real}/${folder}`, 0o700)
      return real
    })
    const secrets = `${root}/memory`
    const unmounted = memory === "never"
      ? undefined
      : yield* onDisk(() => mountMemory(secrets, { mode: 0o700, execute: false }))
    const onPlainDisk = memory === "never" || !(yield* onDisk(() => isMemoryBacked(secrets)))
    if (unmounted !== undefined && onPlainDisk) {
      yield* Effect.logWarning(
        `secrets of pods are kept on the disk below ${secrets}, overwritten when they go: no memory-backed storage (${unmounted})`
      )
    }

    const podOf = (uid: string) => `${root}/pods/${segment(uid)}`
    const secretsOf = (uid: string) => `${secrets}/${segment(uid)}`
    const isOnPlainDisk = (volume: string) => onPlainDisk && volume.startsWith(`${secrets}/`)
    /** There where a subPath shows a part of a volume: what containers have mounted of its former files must stay what it was. */
    const shownInPart = (volume: string) => `${volume}.shown`
    const shallWipe = (volume: string) => isOnPlainDisk(volume) && lstat(shownInPart(volume)) === undefined

    /** The directory of a volume of files, wherever it is or shall be. */
    const filesVolume = (uid: string, name: string, secret: boolean): string => {
      if (secret) {
        directory(secretsOf(uid), 0o700)
        return `${secretsOf(uid)}/${segment(name)}`
      }
      directory(podOf(uid), 0o700)
      directory(`${podOf(uid)}/volumes`, 0o700)
      return `${podOf(uid)}/volumes/${segment(name)}`
    }

    const emptyDir = (
      uid: string,
      { medium, name, sizeLimit }: Extract<AssignedVolume, { _tag: "EmptyDir" }>,
      group: number | undefined
    ): readonly [path: string, note: string | undefined] => {
      const path = filesVolume(uid, name, false)
      // What a container has done to its volume since is its own business.
      const fresh = lstat(path) === undefined
      directory(path, 0o777)
      if (medium === "" || memory === "never") {
        if (fresh && group !== undefined) ownByGroup(path, group, "readWrite")
        return [path, medium === "" || !fresh ? undefined : "switched off"]
      }
      const before = isMemoryBacked(path)
      const note = mountMemory(path, { mode: 0o777, bytes: sizeLimit, execute: true })
      if ((fresh || (!before && isMemoryBacked(path))) && group !== undefined) ownByGroup(path, group, "readWrite")
      return [path, fresh ? note : undefined]
    }

    const volume = Effect.fnUntraced(function*(
      uid: string,
      volume: AssignedVolume,
      { fsGroup, mountPoints = [] }: {
        readonly fsGroup?: number | undefined
        readonly mountPoints?: ReadonlyArray<MountPoint>
      }
    ) {
      switch (volume._tag) {
        case "HostPath":
          return yield* onDisk(() => hostPath(volume))
        case "EmptyDir": {
          const [path, note] = yield* onDisk(() => emptyDir(uid, volume, fsGroup))
          if (note !== undefined) {
            yield* Effect.logWarning(
              `volume ${volume.name} of pod ${uid} asks for memory and lies on the disk: ${note}`
            )
          }
          return path
        }
        case "Files": {
          const now = yield* Clock.currentTimeMillis
          return yield* onDisk(() => {
            // One that held a secret stays where containers have it mounted: there it loses what it may no longer show.
            const hadSecret = lstat(`${secretsOf(uid)}/${segment(volume.name)}`) !== undefined
            const path = filesVolume(uid, volume.name, volume.secret || hadSecret)
            directory(path, 0o755)
            writeFiles(path, volume.files, { now, group: fsGroup, wipe: shallWipe(path) })
            for (const place of mountPoints) mountPoint(path, place)
            return path
          })
        }
      }
    })

    const isHeld = yield* Effect.cached(Effect.gen(function*() {
      const why = yield* onDisk(() => whyNotHeld(`${root}/probe`))
      if (why !== undefined) {
        yield* Effect.logWarning(
          `containers that share a volume can change where a subPath of it leads before it is mounted: ` +
            `it cannot be held (${why})`
        )
      }
      return why === undefined
    }))

    const subPath: PodFiles["Service"]["subPath"] = Effect.fnUntraced(function*(uid, mount, volumePath, subPath) {
      const held = yield* isHeld
      return yield* onDisk(() =>
        withSubPath(volumePath, subPath, (file, place) => {
          if (isOnPlainDisk(volumePath)) directory(shownInPart(volumePath), 0o700)
          if (!held) return place
          const folder = `${podOf(uid)}/subpaths`
          directory(podOf(uid), 0o700)
          directory(folder, 0o700)
          const point = `${folder}/${segment(mount)}`
          holdPlace(file, point)
          return point
        })
      )
    })

    /** Below `files/`, the parents made. */
    const smallFile = (uid: string, name: string): string => `${podOf(uid)}/files/${segment(name)}`

    const write = (uid: string, name: string, content: Uint8Array, mode: number) =>
      onDisk(() => {
        const path = smallFile(uid, name)
        directory(podOf(uid), 0o700)
        directory(`${podOf(uid)}/files`, 0o700)
        // In place: containers have this very file mounted.
        const file = fs.openSync(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK, 0o600)
        try {
          fs.writeFileSync(file, content)
          fs.fchmodSync(file, mode)
        } finally {
          fs.closeSync(file)
        }
        return path
      })

    const textOf = (path: string) => fs.existsSync(path) ? fs.readFileSync(path, "utf8") : ""

    const hostsFile = onDisk(() => textOf(hosts))

    const resolvConf = onDisk(() => {
      const text = textOf(resolver)
      // The address of systemd-resolved means something on the device's own network alone.
      const servers = text.match(/^\s*nameserver\s+\S+/gmu) ?? []
      const stub = servers.length === 1 && /\s127\.0\.0\.53$/u.test(servers[0] ?? "")
      return stub && textOf(behindResolved) || text
    })

    const readTail = (uid: string, name: string, limit: number) =>
      onDisk(() => {
        const path = smallFile(uid, name)
        if (lstat(path) === undefined) return new Uint8Array()
        const file = fs.openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
        try {
          const found = fs.fstatSync(file)
          if (!found.isFile()) throw new FilesError({ reason: "WrongType", detail: `${path} is not a file` })
          const tail = new Uint8Array(Math.min(found.size, Math.max(0, limit)))
          const read = fs.readSync(file, tail, 0, tail.length, found.size - tail.length)
          return tail.subarray(0, read)
        } finally {
          fs.closeSync(file)
        }
      })

    const replace: PodFiles["Service"]["replace"] = (uid, name, files) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) =>
        onDisk(() => {
          const path = [`${secretsOf(uid)}/${segment(name)}`, `${podOf(uid)}/volumes/${segment(name)}`]
            .find((candidate) => lstat(candidate)?.isDirectory())
          if (path === undefined) throw new FilesError({ reason: "Failed", detail: `pod ${uid} has no volume ${name}` })
          const merged = new Map(readFiles(path).map((file) => [file.path, file]))
          for (const file of files) merged.set(file.path, file)
          writeFiles(path, [...merged.values()], { now, group: groupOf(path), wipe: shallWipe(path) })
        }))

    const remove = (uid: string) =>
      onDisk(() => {
        for (const path of [secretsOf(uid), podOf(uid)]) {
          if (lstat(path) === undefined) continue
          unmountBelow(path)
          if (path === secretsOf(uid)) overwrite(path)
          fs.rmSync(path, { recursive: true, force: true })
        }
      })

    const pods = onDisk(() => [...new Set([...fs.readdirSync(`${root}/pods`), ...fs.readdirSync(secrets)])].toSorted())

    return PodFiles.of({
      volume,
      subPath,
      write,
      hostsFile,
      resolvConf,
      readTail,
      replace,
      remove,
      pods
    })
  }
)

export const DiskPodFiles = {
  /** Fails at start where the root cannot be made or used. */
  layer: (options: DiskPodFilesOptions): Layer.Layer<PodFiles, FilesError> =>
    Layer.effectContext(Effect.map(make(options), (files) => Context.make(PodFiles, files)))
}

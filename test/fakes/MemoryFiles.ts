/** Pods' volumes and small files in memory: may refuse as a full disk does, and keeps a diary. */
import { Context, Effect, Layer } from "effect"
import type { AssignedVolume, VolumeFile } from "../../core/pod/PodAssignment.ts"
import { FilesError, PodFiles } from "../../core/pod/PodFiles.ts"

type Operation =
  | "volume"
  | "subPath"
  | "write"
  | "hostsFile"
  | "resolvConf"
  | "readTail"
  | "replace"
  | "remove"
  | "pods"

export class MemoryFiles extends Context.Service<MemoryFiles, {
  /** The next `times` calls fail; for ever unless told. */
  readonly fail: (operation: Operation, error: FilesError, times?: number) => Effect.Effect<void>
  readonly heal: Effect.Effect<void>
  /** What a container wrote into a small file of its pod. */
  readonly put: (uid: string, name: string, content: string) => Effect.Effect<void>
  /** A small file, or a file of a volume by `volume/path`; undefined where there is none. */
  readonly text: (uid: string, name: string) => Effect.Effect<string | undefined>
  /** Something at a host path: what `HostPath` volumes find there. */
  readonly hostPath: (path: string, type: Extract<AssignedVolume, { _tag: "HostPath" }>["type"]) => Effect.Effect<void>
  readonly intercept: (before: Effect.Effect<void>) => Effect.Effect<void>
  readonly diary: Effect.Effect<ReadonlyArray<string>>
}>()("test/MemoryFiles") {
  static readonly layer: Layer.Layer<PodFiles | MemoryFiles> = Layer.effectContext(Effect.sync(() => make()))
}

interface PodFolder {
  readonly small: Map<string, Uint8Array>
  readonly volumes: Map<string, { readonly files: Map<string, VolumeFile>; readonly kind: AssignedVolume["_tag"] }>
}

const utf8 = new TextEncoder()
const text = new TextDecoder()

const safe = (path: string): boolean =>
  !path.startsWith("/") && !path.includes("\0") &&
  path.split("/").every((part) => part !== "" && part !== "." && part !== "..")

const unsafe = (path: string) =>
  new FilesError({ reason: "Unsafe", detail: `${JSON.stringify(path)} leads out of its volume` })

const make = () => {
  const pods = new Map<string, PodFolder>()
  const hostPaths = new Map<string, string>()
  const planned: Array<{ readonly operation: Operation; readonly error: FilesError; left: number }> = []
  const diary: Array<string> = []
  let before: Effect.Effect<void> = Effect.void

  const folder = (uid: string): PodFolder => {
    const known = pods.get(uid)
    if (known !== undefined) return known
    const made: PodFolder = { small: new Map(), volumes: new Map() }
    pods.set(uid, made)
    return made
  }

  const call = Effect.fnUntraced(function*<A>(operation: Operation, subject: string, body: () => A | FilesError) {
    yield* before
    const plan = planned.find((each) => each.operation === operation && each.left > 0)
    diary.push(`${operation} ${subject}${plan === undefined ? "" : " (fails)"}`.trim())
    if (plan !== undefined) {
      plan.left -= 1
      return yield* plan.error
    }
    const result = body()
    return result instanceof FilesError ? yield* result : result
  })

  const hostPath = ({ path, type }: Extract<AssignedVolume, { _tag: "HostPath" }>): string | FilesError => {
    const found = hostPaths.get(path)
    if (found === type || (type === "" && found !== undefined)) return path
    if (type === "" || type === "DirectoryOrCreate" || type === "FileOrCreate") {
      const made = type === "FileOrCreate" ? "File" : "Directory"
      if (found === undefined) hostPaths.set(path, made)
      if (found === undefined || found === made) return path
    }
    return new FilesError({
      reason: "WrongType",
      detail: `hostPath type check failed: ${path} is not a ${type.toLowerCase()}`
    })
  }

  const files = PodFiles.of({
    volume: (uid, volume) =>
      call("volume", `${uid} ${volume.name}`, () => {
        if (volume._tag === "HostPath") return hostPath(volume)
        const { volumes } = folder(uid)
        if (volume._tag === "EmptyDir") {
          if (!volumes.has(volume.name)) volumes.set(volume.name, { kind: "EmptyDir", files: new Map() })
          return `/pods/${uid}/volumes/${volume.name}`
        }
        const bad = volume.files.find(({ path }) => !safe(path))
        if (bad !== undefined) return unsafe(bad.path)
        volumes.set(volume.name, { kind: "Files", files: new Map(volume.files.map((file) => [file.path, file])) })
        return `/pods/${uid}/volumes/${volume.name}`
      }),
    subPath: (_uid, _mount, path, subPath) =>
      call(
        "subPath",
        `${path} ${subPath}`,
        () => subPath === "" ? path : safe(subPath) ? `${path}/${subPath}` : unsafe(subPath)
      ),
    write: (uid, name, content) =>
      call("write", `${uid} ${name}`, () => {
        if (!safe(name)) return unsafe(name)
        folder(uid).small.set(name, content.slice())
        return `/pods/${uid}/files/${name}`
      }),
    hostsFile: call("hostsFile", "", () => "127.0.0.1\tlocalhost\n192.168.7.9\tedge-1\n"),
    resolvConf: call(
      "resolvConf",
      "",
      () =>
        "# the device's own\nsearch lan home.\nnameserver 127.0.0.1\nnameserver 192.168.7.1\noptions timeout:3 ndots:1\n"
    ),
    readTail: (uid, name, limit) =>
      call("readTail", `${uid} ${name}`, () => {
        const content = pods.get(uid)?.small.get(name) ?? new Uint8Array()
        return limit <= 0 ? new Uint8Array() : content.slice(-limit)
      }),
    replace: (uid, name, replaced) =>
      call("replace", `${uid} ${name}`, () => {
        const volume = pods.get(uid)?.volumes.get(name)
        if (volume === undefined || volume.kind !== "Files") {
          return new FilesError({ reason: "Failed", detail: `pod ${uid} has no volume ${name} of files` })
        }
        const bad = replaced.find(({ path }) => !safe(path))
        if (bad !== undefined) return unsafe(bad.path)
        for (const file of replaced) volume.files.set(file.path, file)
        return
      }),
    remove: (uid) =>
      call("remove", uid, () => {
        pods.delete(uid)
      }),
    pods: call("pods", "", () => [...pods.keys()])
  })

  const controls = MemoryFiles.of({
    fail: (operation, error, times = Number.POSITIVE_INFINITY) =>
      Effect.sync(() => {
        planned.push({ operation, error, left: times })
      }),
    heal: Effect.sync(() => {
      planned.length = 0
    }),
    put: (uid, name, content) =>
      Effect.sync(() => {
        folder(uid).small.set(name, utf8.encode(content))
      }),
    text: (uid, name) =>
      Effect.sync(() => {
        const pod = pods.get(uid)
        const small = pod?.small.get(name)
        if (small !== undefined) return text.decode(small)
        const [volume = "", ...path] = name.split("/")
        const content = pod?.volumes.get(volume)?.files.get(path.join("/"))?.content
        return content === undefined ? undefined : text.decode(content)
      }),
    hostPath: (path, type) =>
      Effect.sync(() => {
        hostPaths.set(path, type)
      }),
    intercept: (effect) =>
      Effect.sync(() => {
        before = effect
      }),
    diary: Effect.sync(() => [...diary])
  })

  return Context.make(PodFiles, files).pipe(Context.add(MemoryFiles, controls))
}

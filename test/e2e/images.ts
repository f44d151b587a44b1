/** The images of the end-to-end tests, made here from a static busybox, so that no test pulls anything from outside. */
import { Effect, Option, Schema, Stream } from "effect"
import { Tar } from "effect/encoding"
import { createHash } from "node:crypto"
import { readFile } from "node:fs/promises"
import { type Engine, EngineRefused, textOf } from "./engine.ts"
import { findProgram, ProgramFailed, runProgram } from "./program.ts"

/** busybox with all its applets, and a shell as its command. */
export const busyboxTags = ["busybox:1.36", "busybox:latest", "aranya.test/busybox:latest"] as const

/** What holds a pod's namespaces: it waits, reaps orphans and ends at SIGTERM. */
export const pauseTags = ["aranya.test/pause:1"] as const

// A shell waiting for its child also reaps every orphan handed to process 1.
const pauseCommand = [
  "/bin/sh",
  "-c",
  "trap 'exit 0' TERM INT; while :; do sleep 2147483647 & wait $!; done"
]

/** Why the images cannot be made on this machine, if so. */
export const whyNoImages: Option.Option<string> = Option.match(findProgram("busybox"), {
  onNone: () => Option.some("busybox is not installed (Debian: busybox-static)"),
  onSome: () => Option.none()
})

/** Loads busybox and pause into an Engine. */
export const importImages = Effect.fn("importImages")(function*(engine: Engine) {
  const layer = yield* busyboxLayer
  const archive = yield* collectTar(imageArchive(layer, [
    { tags: busyboxTags, config: { Cmd: ["sh"] } },
    { tags: pauseTags, config: { Entrypoint: pauseCommand, StopSignal: "SIGTERM" } }
  ]))
  const answer = textOf(yield* engine.call("POST", "/images/load", { query: { quiet: "1" }, body: archive }))
  // The status is 200 from the first byte on, so a failure arrives in the body.
  if (answer.includes("\"error\"")) {
    return yield* new EngineRefused({ call: "POST /images/load", status: 200, reason: answer.slice(0, 500) })
  }
})

const epoch = new Date(0)

const AppletNames = Schema.Array(Schema.String.check(Schema.isPattern(/^[^/\s]+$/)))

/** A root filesystem of one file and a link for each name it answers to. */
const busyboxLayer = Effect.gen(function*() {
  const path = yield* Effect.fromOption(findProgram("busybox")).pipe(
    Effect.mapError(() => new ProgramFailed({ command: "busybox", problem: "is not installed" }))
  )
  const binary = yield* Effect.promise(() => readFile(path))
  const listed = yield* runProgram(path, ["--list"])
  const applets = yield* Schema.decodeUnknownEffect(AppletNames)(listed.stdout.trim().split("\n")).pipe(Effect.orDie)
  const folders = ["bin", "dev", "etc", "home", "proc", "root", "run", "sys", "usr", "usr/bin", "var", "var/tmp"]
  return yield* collectTar([
    ...folders.map((name) => Tar.directory(name)),
    Tar.directory("tmp", { mode: 0o1777 }),
    Tar.file("bin/busybox", binary, { mode: 0o755 }),
    ...applets.filter((name) => name !== "busybox").map((name) => Tar.symlink(`bin/${name}`, "busybox")),
    Tar.symlink("usr/bin/env", "/bin/busybox"),
    Tar.file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\n"),
    Tar.file("etc/group", "root:x:0:\nnogroup:x:65534:\n"),
    Tar.file("etc/nsswitch.conf", "hosts: files dns\n")
  ])
})

interface Image {
  readonly tags: ReadonlyArray<string>
  readonly config: Readonly<Record<string, unknown>>
}

/** The archive `docker save` writes: one layer, and a configuration and tags for each image made of it. */
const imageArchive = (layer: Uint8Array, images: ReadonlyArray<Image>): ReadonlyArray<Tar.Entry> => {
  const layerFile = `${sha256(layer)}.tar`
  const described = images.map(({ config, tags }) => {
    const text = JSON.stringify({
      architecture: process.arch === "x64" ? "amd64" : process.arch,
      os: "linux",
      created: epoch.toISOString(),
      config: { Env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], ...config },
      rootfs: { type: "layers", diff_ids: [`sha256:${sha256(layer)}`] },
      history: [{ created: epoch.toISOString(), created_by: "busybox" }]
    })
    return { text, file: `${sha256(new TextEncoder().encode(text))}.json`, tags }
  })
  const manifest = described.map(({ file, tags }) => ({ Config: file, RepoTags: tags, Layers: [layerFile] }))
  return [
    Tar.file(layerFile, layer),
    ...described.map(({ file, text }) => Tar.file(file, text)),
    Tar.file("manifest.json", JSON.stringify(manifest))
  ]
}

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex")

const collectTar = (entries: ReadonlyArray<Tar.Entry>) =>
  Stream.fromIterable(entries).pipe(
    Stream.pipeThroughChannel(Tar.encode()),
    Stream.runCollect,
    Effect.map((parts) => new Uint8Array(Buffer.concat(parts))),
    Effect.orDie
  )

/** What every PodFiles must do, whatever disk is behind it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Layer, type Scope } from "effect"
import type { AssignedVolume, VolumeFile } from "../../core/pod/PodAssignment.ts"
import { PodFiles } from "../../core/pod/PodFiles.ts"

export interface FilesPlace {
  readonly layer: Layer.Layer<PodFiles, unknown>
  /** Reads a file of a path that PodFiles gave, as a container would; undefined where there is none. */
  readonly read: (path: string) => Effect.Effect<string | undefined>
  /** A directory of the host that exists and is nobody's volume. */
  readonly hostDirectory: string
}

const utf8 = new TextEncoder()
const file = (path: string, content: string): VolumeFile => ({ path, mode: 0o644, content: utf8.encode(content) })
const volume = (files: ReadonlyArray<VolumeFile>, secret = false): AssignedVolume => ({
  _tag: "Files",
  name: "v",
  files,
  secret
})
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)

/** `place` gives an empty place of its own to each test, and cleans it up with its scope. */
export const podFilesContract = (name: string, place: Effect.Effect<FilesPlace, unknown, Scope.Scope>) => {
  const test = (
    what: string,
    body: (files: PodFiles["Service"], at: FilesPlace) => Effect.Effect<void, unknown, Scope.Scope>
  ) =>
    it.live(what, () =>
      Effect.scoped(Effect.gen(function*() {
        const at = yield* place
        yield* Effect.provide(Effect.flatMap(PodFiles, (files) => body(files, at)), at.layer, { local: true })
      })))

  describe(`${name} as PodFiles`, () => {
    test("shows the files of a volume, nested ones too", (files, { read }) =>
      Effect.gen(function*() {
        const path = yield* files.volume("u1", volume([file("a", "1"), file("d/b", "2")]), {})
        assert.strictEqual(yield* read(`${path}/a`), "1")
        assert.strictEqual(yield* read(`${path}/d/b`), "2")
      }))

    test(
      "changes content in place when it is said again: files come, change and go",
      (files, { read }) =>
        Effect.gen(function*() {
          const path = yield* files.volume("u1", volume([file("a", "1"), file("b", "2")]), {})
          assert.strictEqual(yield* files.volume("u1", volume([file("a", "9"), file("c", "3")]), {}), path)
          assert.strictEqual(yield* read(`${path}/a`), "9")
          assert.isUndefined(yield* read(`${path}/b`))
          assert.strictEqual(yield* read(`${path}/c`), "3")
        })
    )

    test("replaces single files of a volume and leaves the others", (files, { read }) =>
      Effect.gen(function*() {
        const path = yield* files.volume("u1", volume([file("token", "old"), file("ca", "x")], true), {})
        yield* files.replace("u1", "v", [file("token", "new")])
        assert.strictEqual(yield* read(`${path}/token`), "new")
        assert.strictEqual(yield* read(`${path}/ca`), "x")
        const error = yield* Effect.flip(files.replace("u1", "none", [file("a", "b")]))
        assert.strictEqual(error.reason, "Failed")
      }))

    test("refuses paths that lead out of their volume", (files) =>
      Effect.gen(function*() {
        for (const path of ["../x", "/etc/passwd", "a/../../b", ""]) {
          const error = yield* Effect.flip(files.volume("u1", volume([file(path, "")]), {}))
          assert.strictEqual(error.reason, "Unsafe", path)
        }
        const path = yield* files.volume("u1", { _tag: "EmptyDir", name: "e", medium: "" }, {})
        for (const bad of ["..", "../e", "/x", "a/../../x"]) {
          assert.strictEqual((yield* Effect.flip(files.subPath("u1", "web-0", path, bad))).reason, "Unsafe", bad)
        }
        assert.strictEqual((yield* Effect.flip(files.write("u1", "../x", utf8.encode(""), 0o600))).reason, "Unsafe")
      }))

    test("gives an emptyDir the same path again", (files) =>
      Effect.gen(function*() {
        const empty: AssignedVolume = { _tag: "EmptyDir", name: "e", medium: "" }
        const path = yield* files.volume("u1", empty, {})
        assert.strictEqual(yield* files.volume("u1", empty, {}), path)
        assert.notStrictEqual(yield* files.volume("u2", empty, {}), path)
        const below = yield* files.subPath("u1", "web-0", path, "a/b")
        assert.strictEqual(yield* files.subPath("u1", "web-0", path, "a/b"), below)
      }))

    test(
      "takes host paths as they are, checks their type, and makes directories where they have none",
      (files, { hostDirectory }) =>
        Effect.gen(function*() {
          const host = (path: string, type: Extract<AssignedVolume, { _tag: "HostPath" }>["type"]) =>
            files.volume("u1", { _tag: "HostPath", name: "h", path, type }, {})
          assert.strictEqual(yield* host(hostDirectory, ""), hostDirectory)
          assert.strictEqual(yield* host(hostDirectory, "Directory"), hostDirectory)
          assert.strictEqual((yield* Effect.flip(host(hostDirectory, "File"))).reason, "WrongType")
          assert.strictEqual((yield* Effect.flip(host(`${hostDirectory}/absent`, "Directory"))).reason, "WrongType")
          assert.strictEqual(yield* host(`${hostDirectory}/made`, "DirectoryOrCreate"), `${hostDirectory}/made`)
          assert.strictEqual(yield* host(`${hostDirectory}/made`, "Directory"), `${hostDirectory}/made`)
          assert.strictEqual(yield* host(`${hostDirectory}/untyped`, ""), `${hostDirectory}/untyped`)
          assert.strictEqual(yield* host(`${hostDirectory}/untyped`, "Directory"), `${hostDirectory}/untyped`)
          assert.strictEqual(yield* host(`${hostDirectory}/f`, "FileOrCreate"), `${hostDirectory}/f`)
          assert.strictEqual(yield* host(`${hostDirectory}/f`, ""), `${hostDirectory}/f`)
          assert.strictEqual(yield* host(`${hostDirectory}/f`, "File"), `${hostDirectory}/f`)
        })
    )

    test("writes small files and reads their end", (files, { read }) =>
      Effect.gen(function*() {
        const path = yield* files.write("u1", "note", utf8.encode("hello world"), 0o644)
        assert.strictEqual(yield* read(path), "hello world")
        assert.strictEqual(text(yield* files.readTail("u1", "note", 5)), "world")
        assert.strictEqual(text(yield* files.readTail("u1", "note", 100)), "hello world")
        assert.strictEqual(text(yield* files.readTail("u1", "absent", 5)), "")
        assert.strictEqual(yield* files.write("u1", "note", utf8.encode(""), 0o644), path)
        assert.strictEqual(text(yield* files.readTail("u1", "note", 5)), "")
      }))

    test("tells the device's own hosts file", (files) =>
      Effect.gen(function*() {
        assert.include(yield* files.hostsFile, "localhost")
      }))

    test("tells where the device itself finds names", (files) =>
      Effect.gen(function*() {
        assert.include(yield* files.resolvConf, "nameserver")
      }))

    test("removes all of one pod and nothing of another; twice is fine", (files, { read }) =>
      Effect.gen(function*() {
        const one = yield* files.volume("u1", volume([file("a", "1")], true), {})
        const two = yield* files.volume("u2", volume([file("a", "2")]), {})
        yield* files.write("u1", "note", utf8.encode("x"), 0o644)
        assert.deepStrictEqual([...(yield* files.pods)].sort(), ["u1", "u2"])
        yield* files.remove("u1")
        yield* files.remove("u1")
        assert.isUndefined(yield* read(`${one}/a`))
        assert.strictEqual(yield* read(`${two}/a`), "2")
        assert.deepStrictEqual(yield* files.pods, ["u2"])
      }))

    test(
      "leaves what is behind a host path alone when the pod goes",
      (files, { hostDirectory }) =>
        Effect.gen(function*() {
          const host: AssignedVolume = {
            _tag: "HostPath",
            name: "h",
            path: `${hostDirectory}/kept`,
            type: "DirectoryOrCreate"
          }
          yield* files.volume("u1", host, {})
          yield* files.remove("u1")
          yield* files.volume("u1", { ...host, type: "Directory" }, {})
        })
    )
  })
}

/** Root filesystems out of archives: extracted once, and whole. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Schedule } from "effect"
import { execFileSync } from "node:child_process"
import { chmodSync, mkdirSync, readdirSync, readFileSync, renameSync, utimesSync, writeFileSync } from "node:fs"
import { basename, join } from "node:path"
import { encodeKept } from "../../../adapters/process/containerFolder.ts"
import { makeImages } from "../../../adapters/process/images.ts"
import * as ProcessRuntime from "../../../adapters/process/ProcessRuntime.ts"
import { findTools, type Tool } from "../../../adapters/process/tools.ts"
import { containerSpec } from "../../contracts/runtimeWorld.ts"
import { openWorld } from "./processWorld.ts"

const NAME = "files:test"

/** A device with an archive of many files, whose tools note that they are called before they do as they should. */
const device = Effect.map(openWorld(), (world) => {
  const { dataDir } = world.options
  const [files, archive, calls] = ["files", "archive.tar", "calls"].map((name) => `${dataDir}.${name}`)
  mkdirSync(files!)
  for (let index = 0; index < 200; index++) writeFileSync(join(files!, `${index}`), `${index}\n`)
  execFileSync("tar", ["--create", "--file", archive!, "--directory", files!, "."])
  writeFileSync(calls!, "")
  const tools = findTools(false)
  const instead = new Map<Tool, string>()
  const become = (name: Tool, does: string) => {
    const path = `${dataDir}.${name}`
    writeFileSync(path, `#!/bin/sh\necho ${name} >> "${calls}"\n${does}\n`)
    chmodSync(path, 0o755)
    instead.set(name, path)
  }
  for (const name of ["tar", "sync"] as const) become(name, `exec ${tools.path(name)} "$@"`)
  const images = join(dataDir, "images")
  const options = { ...world.options, images: { [NAME]: archive! } }
  return {
    options,
    archive: archive!,
    images: makeImages(options, { ...tools, path: (tool) => instead.get(tool) ?? tools.path(tool) }),
    withoutTools: makeImages(options, { ...tools, path: (tool) => `${dataDir}.no-${tool}` }),
    become,
    /** A container has this as its root. */
    holds: (root: string) =>
      Effect.sync(() => {
        const spec = containerSpec(world, "pod_0", { _tag: "Forever" })
        const at = join(dataDir, "containers", "pod_app_0")
        mkdirSync(at, { recursive: true })
        writeFileSync(
          join(at, "spec"),
          encodeKept({ spec, createdAt: 0, boot: "another", uid: 1, gid: 1, groups: [], root })
        )
      }),
    calls: () => readFileSync(calls!, "utf8").trim().split("\n"),
    kept: () => readdirSync(images),
    filesOf: (name: string) => readdirSync(join(images, name)).length
  }
})

const until = (done: () => boolean) =>
  Effect.suspend(() => done() ? Effect.void : Effect.fail("not yet")).pipe(
    Effect.retry(Schedule.spaced("20 millis")),
    Effect.timeout("10 seconds")
  )

describe("an archive of the table", () => {
  it.live("is extracted once, however many containers want it at the same moment", () =>
    Effect.gen(function*() {
      const { calls, filesOf, images, kept } = yield* device
      const pulls = Array.from({ length: 3 }, () => images.pull(NAME))
      yield* Effect.all(pulls, { concurrency: "unbounded" })
      assert.deepStrictEqual(calls(), ["tar", "sync"])
      assert.deepStrictEqual(kept().map(filesOf), [200])
    }).pipe(Effect.scoped))

  it.live("is there only when all of it is known to be on the disk", () =>
    Effect.gen(function*() {
      const { become, calls, images } = yield* device
      become("sync", "[ -e \"$2/199\" ] && echo \"no space left\" >&2; exit 1")
      const error = yield* Effect.flip(images.pull(NAME))
      assert.deepStrictEqual([error.reason, error.detail], ["ImageUnavailable", "sync: no space left"])
      assert.deepStrictEqual(calls(), ["tar", "sync"])
      assert.strictEqual((yield* Effect.flip(images.image(NAME))).reason, "NotFound")
    }).pipe(Effect.scoped))

  it.live("leaves nothing of an extraction that failed or was given up", () =>
    Effect.gen(function*() {
      const { archive, become, calls, images, kept } = yield* device
      become("sync", "exec sleep 1000")
      const pull = yield* Effect.forkChild(images.pull(NAME))
      yield* until(() => calls().includes("sync"))
      yield* Fiber.interrupt(pull)
      assert.deepStrictEqual(kept(), [])
      writeFileSync(archive, "no archive")
      assert.strictEqual((yield* Effect.flip(images.pull(NAME))).reason, "ImageUnavailable")
      assert.deepStrictEqual(kept(), [])
    }).pipe(Effect.scoped))

  it.live("may be extracted with any number of words, and its failure is told with the first of them", () =>
    Effect.gen(function*() {
      const { become, filesOf, images, kept } = yield* device
      const talk = `yes "no space left on device, or so it is said of this and every other file" | head -n 20000 >&2`
      become("tar", `${talk}; exit 2`)
      const { detail, reason } = yield* Effect.flip(images.pull(NAME))
      assert.strictEqual(reason, "ImageUnavailable")
      assert.match(detail, /^tar: no space left on device/)
      assert.isAtMost(detail.length, 1024)
      become("tar", `${talk}; exec ${findTools(false).path("tar")} "$@"`)
      yield* images.pull(NAME)
      assert.deepStrictEqual(kept().map(filesOf), [200])
    }).pipe(Effect.scoped))

  it.live("is told to be unavailable where its tool ends without a word, or is not there at all", () =>
    Effect.gen(function*() {
      const { become, images, withoutTools } = yield* device
      const detailOf = (pull: typeof images.pull) => Effect.map(Effect.flip(pull(NAME)), ({ detail }) => detail)
      become("tar", "exit 2")
      assert.strictEqual(yield* detailOf(images.pull), "tar: exit code 2")
      become("tar", "kill -9 $$")
      assert.strictEqual(yield* detailOf(images.pull), "tar: ended by SIGKILL")
      assert.match(yield* detailOf(withoutTools.pull), /^tar: .*ENOENT/)
    }).pipe(Effect.scoped))

  it.live("is kept as it is now, and as containers have it: former versions go with the next start", () =>
    Effect.gen(function*() {
      const { archive, holds, images, kept, options } = yield* device
      const root = yield* images.pull(NAME).pipe(Effect.map(({ id }) => id.slice("dir:".length)))
      yield* holds(root)
      utimesSync(archive, 1, 1)
      const unused = yield* images.pull(NAME)
      utimesSync(archive, 2, 2)
      const now = yield* images.pull(NAME)
      mkdirSync(`${root}.new`)
      assert.strictEqual(kept().length, 4)
      const wanted = [root, now.id].map((path) => basename(path)).toSorted()
      yield* Effect.scoped(Effect.andThen(Layer.build(ProcessRuntime.layer(options)), until(() => kept().length < 3)))
      yield* images.sweep
      assert.deepStrictEqual(kept().toSorted(), wanted)
      assert.notInclude(wanted, basename(unused.id))
    }).pipe(Effect.scoped))

  it.live("that is not there just now keeps what it was extracted to", () =>
    Effect.gen(function*() {
      const { archive, images, kept } = yield* device
      yield* images.pull(NAME)
      renameSync(archive, `${archive}.away`)
      yield* images.sweep
      assert.strictEqual(kept().length, 1)
    }).pipe(Effect.scoped))
})

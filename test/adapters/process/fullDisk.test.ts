import { assert, describe } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import { execFileSync, spawnSync } from "node:child_process"
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { join } from "node:path"
import { ContainerRuntime } from "../../../core/pod/ContainerRuntime.ts"
import { containerSpec, ensured, launch, untilExited } from "../../contracts/runtimeWorld.ts"
import { folderOf, log, reasonAnd, shell, test } from "./processTest.ts"
import { openWorld, temporaryFolder, whyNotRoot } from "./processWorld.ts"

if (whyNotRoot !== undefined) console.warn(`skipped: process pods on a full disk, because ${whyNotRoot}`)

/** A world on a disk of its own, which holds little. */
const onSmallDisk = Effect.gen(function*() {
  const disk = join(yield* temporaryFolder, "disk")
  yield* Effect.acquireRelease(
    Effect.sync(() => {
      mkdirSync(disk)
      execFileSync("mount", ["-t", "tmpfs", "-o", "size=512k", "tmpfs", disk])
    }),
    () => Effect.sync(() => void execFileSync("umount", ["--lazy", disk]))
  )
  return yield* openWorld({ dataDir: disk })
})

const filler = (disk: string) => join(disk, "filler")

describe.skipIf(whyNotRoot !== undefined)("a process pod on a full disk", () => {
  test("ends with its own exit code", (world) =>
    Effect.gen(function*() {
      const runtime = yield* ContainerRuntime
      const sandbox = yield* ensured(world)
      for (const code of [0, 3]) {
        const id = yield* runtime.create({
          ...containerSpec(world, sandbox.id, { _tag: "Forever" }, { attempt: code }),
          ...shell("head -c 1M /dev/zero > \"$1\"; echo lost; exit \"$2\"", filler(world.options.dataDir), `${code}`)
        })
        yield* runtime.start(id)
        const { detail, exitCode, finishedAt, startedAt } = yield* untilExited(id)
        assert.deepStrictEqual([exitCode, detail], [code, undefined])
        assert.isAtLeast(finishedAt ?? 0, startedAt ?? 0)
        rmSync(filler(world.options.dataDir))
      }
    }), onSmallDisk)

  test("leaves nothing of what could not be made, such as its environment", (world) =>
    Effect.gen(function*() {
      const runtime = yield* ContainerRuntime
      const sandbox = yield* ensured(world)
      const spec = containerSpec(world, sandbox.id, { _tag: "Exits", code: 0 })
      const env = [{ name: "SECRET", value: "s".repeat(400_000) }] // there is room for it once, not twice
      assert.strictEqual((yield* reasonAnd(runtime.create({ ...spec, env }))).reason, "Unavailable")
      assert.deepStrictEqual(readdirSync(join(world.options.dataDir, "containers")), [])
      yield* runtime.create(spec)
    }), onSmallDisk)

  test("can be started when there is room again", (world) =>
    Effect.gen(function*() {
      const runtime = yield* ContainerRuntime
      const sandbox = yield* ensured(world)
      const id = yield* runtime.create(containerSpec(world, sandbox.id, { _tag: "Exits", code: 4 }))
      const { dataDir } = world.options
      spawnSync("sh", ["-c", "head -c 1M /dev/zero > \"$1\"", "sh", filler(dataDir)])
      const shim = join(dataDir, readdirSync(dataDir).find((name) => name.startsWith("shim-")) ?? "")
      assert.strictEqual(spawnSync("sh", [shim, "run", folderOf(world, id)]).status, 1)
      rmSync(filler(dataDir))
      yield* runtime.start(id)
      assert.strictEqual((yield* untilExited(id)).exitCode, 4)
    }), onSmallDisk)

  test("writes no more to a piece of its log that it could not note", (world) =>
    Effect.gen(function*() {
      const runtime = yield* ContainerRuntime
      const sandbox = yield* ensured(world)
      const go = join(world.options.dataDir, "go")
      const id = yield* runtime.create({
        ...containerSpec(world, sandbox.id, { _tag: "Forever" }),
        ...shell("echo first; until [ -e \"$1\" ]; do sleep 0.02; done; echo second", go)
      })
      const at = (name: string) => join(folderOf(world, id), name)
      symlinkSync("/dev/full", at("stdout.1.index"))
      yield* runtime.start(id)
      yield* Effect.suspend(() =>
        existsSync(at("stdout.1")) && statSync(at("stdout.1")).size > 0 ? Effect.void : Effect.fail("nothing yet")
      ).pipe(Effect.retry(Schedule.spaced("20 millis")), Effect.timeout("10 seconds"))
      writeFileSync(go, "")
      yield* untilExited(id)
      rmSync(at("stdout.1.index"))
      writeFileSync(at("stdout.1.index"), "4") // what there was room for
      assert.strictEqual(readFileSync(at("stdout.1"), "utf8"), "first\n")
      assert.strictEqual(yield* log(id), "first\nsecond\n")
    }))

  test("is not begun where nobody could tell which process it is", (world) =>
    Effect.gen(function*() {
      const runtime = yield* ContainerRuntime
      const sandbox = yield* ensured(world)
      const id = yield* runtime.create({
        ...containerSpec(world, sandbox.id, { _tag: "Forever" }),
        ...shell("touch \"$1\"", filler(world.options.dataDir))
      })
      mkdirSync(join(folderOf(world, id), "process.new")) // nothing can be written to it
      const { detail, reason } = yield* reasonAnd(runtime.start(id))
      assert.deepStrictEqual([reason, detail], ["StartFailed", "the disk takes no note of the process"])
      assert.strictEqual((yield* runtime.inspect(id)).state, "created")
      assert.isFalse(existsSync(filler(world.options.dataDir)))
    }))
})

describe.skipIf(whyNotRoot !== undefined)("the exit code of a process", () => {
  test("is its own also where it ends at the moment at which its input does", (world) =>
    Effect.gen(function*() {
      const runtime = yield* ContainerRuntime
      const ended = Effect.fnUntraced(function*(attempt: number) {
        const { id } = yield* launch(world, { _tag: "Echoes" }, { attempt, stdin: true, stdinOnce: true })
        yield* Effect.scoped(runtime.attach(id, { stdin: true, stdout: true, stderr: true, tty: false }))
        return (yield* untilExited(id)).exitCode
      })
      const codes = yield* Effect.forEach(Array.from({ length: 30 }, (_, attempt) => attempt), ended, {
        concurrency: 5
      })
      assert.deepStrictEqual(codes.filter((code) => code !== 0), [])
    }))

  test("is read as shims of a former version left it, too", (world) =>
    Effect.gen(function*() {
      const runtime = yield* ContainerRuntime
      const { id } = yield* launch(world, { _tag: "Exits", code: 0 })
      yield* untilExited(id)
      const exit = join(folderOf(world, id), "exit")
      assert.isTrue(lstatSync(exit).isSymbolicLink())
      rmSync(exit)
      writeFileSync(exit, "5\n")
      assert.strictEqual((yield* runtime.inspect(id)).exitCode, 5)
    }))
})

/** What every ContainerRuntime promises; run against memory, plain processes and docker. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Schedule, type Scope, Stream } from "effect"
import { type Container, ContainerRuntime, type RuntimeError } from "../../core/pod/ContainerRuntime.ts"
import {
  containerSpec,
  type ContractWorld,
  ensured,
  executed,
  launch,
  printed,
  sandboxSpec,
  textOf,
  untilExited
} from "./runtimeWorld.ts"

const reasonOf = <A, R>(effect: Effect.Effect<A, RuntimeError, R>) =>
  Effect.map(Effect.flip(effect), (error) => error.reason)

const allLogs = Effect.fnUntraced(function*(id: string, query: { since?: number; tail?: number } = {}) {
  const runtime = yield* ContainerRuntime
  return yield* Stream.runCollect(runtime.logs(id, { follow: false, ...query }))
})

/** `open` makes a world of its own for each test. */
export const containerRuntimeContract = <E>(
  name: string,
  open: Effect.Effect<ContractWorld, E, Scope.Scope>
): void => {
  const test = (
    sentence: string,
    body: (world: ContractWorld) => Effect.Effect<void, unknown, ContainerRuntime | Scope.Scope>
  ) =>
    it.live(sentence, () =>
      Effect.gen(function*() {
        const world = yield* open
        yield* Effect.scoped(body(world)).pipe(Effect.provide(world.runtime, { local: true }))
      }).pipe(Effect.scoped), 60_000)

  describe(`${name} as a ContainerRuntime`, () => {
    test("names itself", () =>
      Effect.gen(function*() {
        const { info } = yield* ContainerRuntime
        assert.match((yield* info).name, /^[a-z]+$/)
      }))

    test("knows an image it has, and says plainly what is wrong with one it cannot have", (world) =>
      Effect.gen(function*() {
        const runtime = yield* ContainerRuntime
        yield* ensured(world)
        assert.isAbove((yield* runtime.image(world.image)).id.length, 0)
        assert.strictEqual(yield* reasonOf(runtime.image(world.missingImage)), "NotFound")
        assert.include(["ImageUnavailable", "ImageDenied"], yield* reasonOf(runtime.pull(world.missingImage, [])))
        assert.strictEqual(yield* reasonOf(runtime.pull("Not//An Image", [])), "InvalidImageName")
      }))

    test("gives the same ready sandbox when asked twice, and forgets it when removed, twice", (world) =>
      Effect.gen(function*() {
        const runtime = yield* ContainerRuntime
        const first = yield* ensured(world)
        assert.isTrue(first.ready)
        assert.isAbove(first.ips.length, 0)
        assert.deepStrictEqual(yield* runtime.ensureSandbox(sandboxSpec(world)), first)
        const mine = Effect.map(runtime.sandboxes, (all) => all.filter(({ uid }) => uid === world.uid))
        assert.deepStrictEqual(yield* mine, [first])
        yield* runtime.removeSandbox(first.id)
        yield* runtime.removeSandbox(first.id)
        assert.deepStrictEqual(yield* mine, [])
      }))

    test("leads a container from created over running to exited and away", (world) =>
      Effect.gen(function*() {
        const runtime = yield* ContainerRuntime
        const sandbox = yield* ensured(world)
        const id = yield* runtime.create(containerSpec(world, sandbox.id, { _tag: "Polite" }))
        const created = yield* runtime.inspect(id)
        assert.strictEqual(created.state, "created")
        assert.isFalse("startedAt" in created || "finishedAt" in created || "exitCode" in created)
        yield* runtime.start(id)
        const running = yield* runtime.inspect(id)
        assert.strictEqual(running.state, "running")
        assert.isAtLeast(running.startedAt!, Math.floor(created.createdAt))
        assert.isFalse("finishedAt" in running || "exitCode" in running)
        yield* printed(id, "ready")
        yield* runtime.stop(id, 20)
        const exited = yield* runtime.inspect(id)
        assert.strictEqual(exited.state, "exited")
        assert.strictEqual(exited.exitCode, 0)
        assert.isAtLeast(exited.finishedAt!, exited.startedAt!)
        assert.isFalse(exited.oomKilled)
        yield* runtime.remove(id)
        assert.strictEqual(yield* reasonOf(runtime.inspect(id)), "NotFound")
        assert.deepStrictEqual(yield* runtime.containers(world.uid), [])
      }))

    test("tells the true exit code, the whole range of it", (world) =>
      Effect.gen(function*() {
        const runtime = yield* ContainerRuntime
        const sandbox = yield* ensured(world)
        const codes = [0, 1, 2, 42, 126, 127, 128, 130, 143, 255]
        for (const [attempt, code] of codes.entries()) {
          const id = yield* runtime.create(containerSpec(world, sandbox.id, { _tag: "Exits", code }, { attempt }))
          yield* runtime.start(id)
          assert.strictEqual((yield* untilExited(id)).exitCode, code)
        }
        assert.strictEqual((yield* runtime.containers(world.uid)).length, codes.length)
      }))

    test("refuses a taken name and tells who holds it", (world) =>
      Effect.gen(function*() {
        const runtime = yield* ContainerRuntime
        const sandbox = yield* ensured(world)
        const spec = containerSpec(world, sandbox.id, { _tag: "Forever" })
        const id = yield* runtime.create(spec)
        const conflict = yield* Effect.flip(runtime.create({ ...spec, specHash: "other" }))
        assert.strictEqual(conflict.reason, "NameConflict")
        assert.strictEqual(conflict.id, id)
        assert.strictEqual((yield* runtime.inspect(id)).specHash, spec.specHash)
        assert.notStrictEqual(yield* runtime.create({ ...spec, attempt: 1 }), id)
        assert.notStrictEqual(yield* runtime.create({ ...spec, container: "other" }), id)
      }))

    test("starts a container once, whether it runs or has ended", (world) =>
      Effect.gen(function*() {
        const runtime = yield* ContainerRuntime
        const { id } = yield* launch(world, { _tag: "Prints", lines: ["once"] })
        yield* untilExited(id)
        assert.strictEqual(yield* reasonOf(runtime.start(id)), "Invalid")
        assert.strictEqual(textOf(yield* allLogs(id)), "once\n")
        const running = yield* launch(world, { _tag: "Forever" }, { attempt: 1 })
        assert.strictEqual(yield* reasonOf(runtime.start(running.id)), "Invalid")
      }))

    test("says why a process could not be started", (world) =>
      Effect.gen(function*() {
        const runtime = yield* ContainerRuntime
        const sandbox = yield* ensured(world)
        const id = yield* runtime.create(containerSpec(world, sandbox.id, { _tag: "NoSuchCommand" }))
        const error = yield* Effect.flip(runtime.start(id))
        assert.strictEqual(error.reason, "StartFailed")
        assert.isAbove(error.message.length, 10)
        assert.notStrictEqual((yield* runtime.inspect(id)).state, "running")
        yield* runtime.remove(id)
      }))

    test("kills what ignores SIGTERM once the grace is over, not before", (world) =>
      Effect.gen(function*() {
        const runtime = yield* ContainerRuntime
        const { id } = yield* launch(world, { _tag: "Deaf" })
        yield* printed(id, "ready")
        const [took] = yield* Effect.timed(runtime.stop(id, 1))
        assert.isAtLeast(Duration.toMillis(took), 900)
        const exited = yield* runtime.inspect(id)
        assert.strictEqual(exited.state, "exited")
        assert.strictEqual(exited.exitCode, 137)
      }))

    test("shortens the grace of a stop under way", (world) =>
      Effect.gen(function*() {
        const runtime = yield* ContainerRuntime
        const { id } = yield* launch(world, { _tag: "Deaf" })
        yield* printed(id, "ready")
        const slow = yield* Effect.forkChild(runtime.stop(id, 300), { startImmediately: true })
        yield* runtime.stop(id, 0)
        yield* Effect.timeout(Fiber.join(slow), "10 seconds")
        assert.strictEqual((yield* runtime.inspect(id)).state, "exited")
      }))

    test("takes stopping and removing what is gone for success, and removing what runs for a mistake", (world) =>
      Effect.gen(function*() {
        const runtime = yield* ContainerRuntime
        const { id } = yield* launch(world, { _tag: "Forever" })
        assert.strictEqual(yield* reasonOf(runtime.remove(id)), "Invalid")
        assert.strictEqual((yield* runtime.inspect(id)).state, "running")
        yield* runtime.stop(id, 0)
        yield* runtime.stop(id, 0)
        yield* runtime.remove(id)
        yield* runtime.remove(id)
        yield* runtime.stop(id, 0)
        assert.strictEqual(yield* reasonOf(runtime.start(id)), "NotFound")
        assert.strictEqual(yield* reasonOf(Stream.runDrain(runtime.logs(id, { follow: true }))), "NotFound")
        assert.strictEqual(
          yield* reasonOf(
            Effect.scoped(
              runtime.exec(id, { command: ["true"], stdin: false, stdout: true, stderr: true, tty: false })
            )
          ),
          "NotFound"
        )
      }))

    test("finds running and ended containers again after a restart of the agent", (world) =>
      Effect.gen(function*() {
        const { id, sandboxId } = yield* launch(world, { _tag: "Deaf" })
        const ended = yield* launch(world, { _tag: "Exits", code: 3 }, { container: "init" })
        yield* untilExited(ended.id)
        const before = yield* (yield* ContainerRuntime).inspect(id)
        yield* Effect.gen(function*() {
          const restarted = yield* ContainerRuntime
          const found = yield* restarted.containers(world.uid)
          assert.deepStrictEqual(found.map(({ container, state }) => [container, state]).toSorted(), [
            ["app", "running"],
            ["init", "exited"]
          ])
          assert.deepStrictEqual(found.find((container) => container.id === id), before satisfies Container)
          assert.strictEqual((yield* restarted.inspect(ended.id)).exitCode, 3)
          assert.strictEqual((yield* restarted.ensureSandbox(sandboxSpec(world))).id, sandboxId)
          assert.strictEqual(before.namespace, "default")
          assert.strictEqual(before.pod, "web")
          assert.strictEqual(before.uid, world.uid)
          assert.strictEqual(before.attempt, 0)
          assert.strictEqual(before.specHash, "5f3a")
          assert.strictEqual(before.sandboxId, sandboxId)
          assert.strictEqual(before.image, world.image)
          yield* restarted.stop(id, 0)
          assert.strictEqual((yield* restarted.inspect(id)).exitCode, 137)
        }).pipe(Effect.provide(world.runtime, { local: true }))
      }))

    test("lists one pod or all of them", (world) =>
      Effect.gen(function*() {
        const runtime = yield* ContainerRuntime
        const { id } = yield* launch(world, { _tag: "Forever" })
        assert.deepStrictEqual((yield* runtime.containers(world.uid)).map((container) => container.id), [id])
        assert.deepStrictEqual(yield* runtime.containers(`${world.uid}0`), [])
        assert.include((yield* runtime.containers()).map((container) => container.id), id)
      }))

    test("hints at starts and exits", (world) =>
      Effect.gen(function*() {
        const runtime = yield* ContainerRuntime
        yield* ensured(world)
        const seen = yield* runtime.events.pipe(
          Stream.filter(({ kind, uid }) => uid === world.uid && (kind === "started" || kind === "exited")),
          Stream.takeUntil(({ kind }) => kind === "exited"),
          Stream.runCollect,
          Effect.forkChild({ startImmediately: true })
        )
        yield* Effect.sleep("500 millis") // no way to learn that a subscription to an engine is in effect
        const { id } = yield* launch(world, { _tag: "Exits", code: 1 })
        const hints = yield* Effect.timeout(Fiber.join(seen), "10 seconds")
        assert.isTrue(hints.every(({ containerId }) => containerId === id))
        assert.strictEqual(hints.at(-1)?.kind, "exited")
      }))

    test("keeps stdout and stderr with the time of each line", (world) =>
      Effect.gen(function*() {
        const { id } = yield* launch(world, { _tag: "Prints", lines: ["one", "two", "three"], complaint: "alas" })
        yield* untilExited(id)
        const chunks = yield* allLogs(id)
        assert.strictEqual(textOf(chunks, "stdout"), "one\ntwo\nthree\n")
        assert.strictEqual(textOf(chunks, "stderr"), "alas\n")
        for (const { time } of chunks) assert.match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/)
        const inspected = yield* (yield* ContainerRuntime).inspect(id)
        for (const { time } of chunks) {
          assert.isAtLeast(Date.parse(time), Math.floor(inspected.startedAt!) - 50)
          assert.isAtMost(Date.parse(time), Math.ceil(inspected.finishedAt!) + 250)
        }
      }))

    test("reads a log from a line counted from the end, or from a moment", (world) =>
      Effect.gen(function*() {
        const { id } = yield* launch(world, { _tag: "Prints", lines: ["one", "two", "three"] })
        const { finishedAt } = yield* untilExited(id)
        assert.strictEqual(textOf(yield* allLogs(id, { tail: 2 })), "two\nthree\n")
        assert.strictEqual(textOf(yield* allLogs(id, { tail: 0 })), "")
        assert.strictEqual(textOf(yield* allLogs(id, { tail: 99 })), "one\ntwo\nthree\n")
        assert.strictEqual(textOf(yield* allLogs(id, { since: finishedAt! - 60_000 })), "one\ntwo\nthree\n")
        assert.strictEqual(textOf(yield* allLogs(id, { since: finishedAt! + 60_000 })), "")
      }))

    test("follows a log until the process ends", (world) =>
      Effect.gen(function*() {
        const runtime = yield* ContainerRuntime
        const { id } = yield* launch(world, { _tag: "Counts" })
        const following = yield* Effect.forkChild(
          Stream.runCollect(runtime.logs(id, { follow: true })),
          { startImmediately: true }
        )
        yield* printed(id, "3")
        yield* runtime.stop(id, 0)
        const text = textOf(yield* Effect.timeout(Fiber.join(following), "10 seconds"))
        assert.isTrue(text.startsWith("0\n1\n2\n3\n"))
        assert.strictEqual(text, textOf(yield* allLogs(id)))
      }))

    test("keeps the logs of each attempt apart", (world) =>
      Effect.gen(function*() {
        const first = yield* launch(world, { _tag: "Prints", lines: ["first"] })
        const second = yield* launch(world, { _tag: "Prints", lines: ["second"] }, { attempt: 1 })
        yield* untilExited(first.id)
        yield* untilExited(second.id)
        assert.strictEqual(textOf(yield* allLogs(first.id)), "first\n")
        assert.strictEqual(textOf(yield* allLogs(second.id)), "second\n")
      }))

    test("runs a command inside, with its output and exit code", (world) =>
      Effect.gen(function*() {
        const runtime = yield* ContainerRuntime
        const { id } = yield* launch(world, { _tag: "Forever" })
        const spoken = yield* executed(id, ["echo", "hello $HOME; `id`", "world"])
        assert.deepStrictEqual(spoken, { code: 0, stdout: "hello $HOME; `id` world\n", stderr: "" })
        const complained = yield* executed(id, world.complains("alas", 42))
        assert.deepStrictEqual(complained, { code: 42, stdout: "", stderr: "alas\n" })
        assert.include([126, 127], (yield* executed(id, ["there-is-no-such-command"])).code)
        assert.strictEqual((yield* runtime.inspect(id)).state, "running")
      }))

    test("carries input into a command, and its end", (world) =>
      Effect.gen(function*() {
        const runtime = yield* ContainerRuntime
        const { id } = yield* launch(world, { _tag: "Forever" })
        const bytes = Uint8Array.from({ length: 100_000 }, (_, index) => (index * 7) & 255)
        const echoed = yield* Effect.scoped(Effect.gen(function*() {
          const command = yield* runtime.exec(id, {
            command: ["cat"],
            stdin: true,
            stdout: true,
            stderr: true,
            tty: false
          })
          yield* Effect.forkScoped(
            Effect.andThen(command.stdin(bytes), command.endStdin)
          )
          const output = yield* Stream.runCollect(command.output)
          assert.strictEqual(yield* command.exitCode, 0)
          return Buffer.concat(output.map((chunk) => chunk.bytes))
        })).pipe(Effect.timeout("20 seconds"))
        assert.isTrue(Buffer.from(bytes).equals(echoed))
      }))

    test("attaches to what a container writes and to its input", (world) =>
      Effect.gen(function*() {
        const runtime = yield* ContainerRuntime
        const { id } = yield* launch(world, { _tag: "Echoes" }, { stdin: true, stdinOnce: true })
        const attached = yield* runtime.attach(id, { stdin: true, stdout: true, stderr: true, tty: false })
        const output = yield* Effect.forkChild(Stream.runCollect(attached.output), { startImmediately: true })
        yield* attached.stdin(new TextEncoder().encode("hello\n"))
        yield* printed(id, "hello")
        yield* attached.endStdin
        assert.strictEqual(textOf(yield* Effect.timeout(Fiber.join(output), "20 seconds")), "hello\n")
        assert.strictEqual(yield* attached.exitCode, 0)
      }))

    test("leaves a container running when an attached client goes", (world) =>
      Effect.gen(function*() {
        const runtime = yield* ContainerRuntime
        const { id } = yield* launch(world, { _tag: "Counts" })
        yield* Effect.scoped(Effect.gen(function*() {
          const attached = yield* runtime.attach(id, { stdin: false, stdout: true, stderr: true, tty: false })
          yield* Stream.runHead(attached.output)
        }))
        assert.strictEqual((yield* runtime.inspect(id)).state, "running")
      }))

    test("connects to a port of the pod, and says when nobody listens", (world) =>
      Effect.gen(function*() {
        const runtime = yield* ContainerRuntime
        const { id, sandboxId } = yield* launch(world, { _tag: "Greets", port: world.port })
        yield* printed(id, "listening")
        const greeting = yield* Effect.scoped(Effect.gen(function*() {
          const connection = yield* runtime.dial(sandboxId, world.port)
          yield* connection.end
          return yield* Stream.mkString(Stream.decodeText(connection.read))
        })).pipe(Effect.retry({ schedule: Schedule.spaced("100 millis"), times: 50 }))
        assert.strictEqual(greeting, "hello\n")
        assert.strictEqual(
          yield* reasonOf(Effect.scoped(runtime.dial(sandboxId, world.port + 1))),
          "Unavailable"
        )
      }))

    test("measures what runs", (world) =>
      Effect.gen(function*() {
        const runtime = yield* ContainerRuntime
        const { id } = yield* launch(world, { _tag: "Counts" })
        yield* printed(id, "1")
        const mine = (yield* runtime.usage).find(({ containerId }) => containerId === id)
        assert.isAtLeast(mine?.cpuNanoseconds ?? -1, 0)
        assert.isAbove(mine?.memoryWorkingSetBytes ?? 0, 0)
        yield* runtime.stop(id, 0)
        assert.isFalse((yield* runtime.usage).some(({ containerId }) => containerId === id))
      }))

    test("gives arguments and environment as they are, never to a shell", (world) =>
      Effect.gen(function*() {
        const nasty = [
          "$(id)",
          "`id`",
          "a;b",
          "a b",
          "'",
          "\"",
          "*",
          "",
          "$HOME",
          "-n",
          "é\u{1F600}",
          "back\\slash",
          "a\nb"
        ]
        const { id } = yield* launch(world, { _tag: "Arguments", args: nasty })
        yield* untilExited(id)
        assert.strictEqual(textOf(yield* allLogs(id)), nasty.map((arg) => `${arg}\n`).join(""))
        const value = "a'b\"c $(id) `id` \\ ; & | \n second = line é"
        const shown = yield* launch(world, { _tag: "Environment", name: "GREETING" }, {
          attempt: 1,
          env: [{ name: "GREETING", value }, { name: "OTHER", value: "x" }]
        })
        yield* untilExited(shown.id)
        assert.strictEqual(textOf(yield* allLogs(shown.id)), `${value}\n`)
      }))

    test("shows files of the host where they are mounted, read-only ones protected", (world) =>
      Effect.gen(function*() {
        const source = world.directory
        if (source === undefined) return yield* Effect.logInfo(`${name} has no host: nothing to mount`)
        const mounted = { source, target: world.mountTarget ?? "/etc/with space;$(id)", readOnly: true }
        const path = `${mounted.target}/greeting`
        const { id } = yield* launch(world, { _tag: "File", path }, { mounts: [mounted] })
        yield* untilExited(id)
        assert.strictEqual(textOf(yield* allLogs(id)), "hello\n")
        for (const [attempt, readOnly] of [[1, true], [2, false]] as const) {
          const written = yield* launch(world, { _tag: "Writes", path: `${mounted.target}/new` }, {
            attempt,
            mounts: [{ ...mounted, readOnly }]
          })
          yield* untilExited(written.id)
          assert.strictEqual(textOf(yield* allLogs(written.id), "stdout"), readOnly ? "refused\n" : "written\n")
        }
      }))
  })
}

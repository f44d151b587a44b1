/** Ways into a running container: commands, attached clients, ports of the pod. */
import { assert } from "@effect/vitest"
import { Effect, Fiber, Schedule, Stream } from "effect"
import { ContainerRuntime } from "../../../core/pod/ContainerRuntime.ts"
import {
  allLogs,
  containerSpec,
  type ContractTest,
  ensured,
  executed,
  launch,
  printed,
  textOf,
  untilExited
} from "../runtimeWorld.ts"

export const streamsContract = (test: ContractTest): void => {
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

  test("goes on telling a client that has no more to say what a container writes whose input stays open", (world) =>
    Effect.gen(function*() {
      const runtime = yield* ContainerRuntime
      const { id } = yield* launch(world, { _tag: "Echoes" }, { stdin: true })
      const talk = { stdin: true, stdout: true, stderr: true, tty: false }
      const first = yield* runtime.attach(id, talk)
      const heard = yield* first.output.pipe(
        Stream.take(2),
        Stream.runCollect,
        Effect.forkChild({ startImmediately: true })
      )
      yield* first.stdin(new TextEncoder().encode("one\n"))
      yield* printed(id, "one")
      yield* first.endStdin
      const second = yield* runtime.attach(id, talk)
      yield* second.stdin(new TextEncoder().encode("two\n"))
      assert.strictEqual(textOf(yield* Effect.timeout(Fiber.join(heard), "20 seconds")), "one\ntwo\n")
      assert.strictEqual((yield* runtime.inspect(id)).state, "running")
    }))

  test("ends the input of a container that takes it once when its client goes without a word", (world) =>
    Effect.gen(function*() {
      const runtime = yield* ContainerRuntime
      const { id } = yield* launch(world, { _tag: "Echoes" }, { stdin: true, stdinOnce: true })
      yield* Effect.scoped(Effect.gen(function*() {
        const attached = yield* runtime.attach(id, { stdin: true, stdout: true, stderr: true, tty: false })
        yield* attached.stdin(new TextEncoder().encode("hello\n"))
        yield* printed(id, "hello")
      }))
      assert.strictEqual((yield* untilExited(id)).exitCode, 0)
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

  test("gives a command a terminal, tells it of new sizes, and gives back its last words and its exit code", (world) =>
    Effect.gen(function*() {
      if (world.terminals !== true) return
      const runtime = yield* ContainerRuntime
      const { id } = yield* launch(world, { _tag: "Forever" })
      const at = { stdin: true, stdout: true, stderr: false, tty: true }
      yield* Effect.scoped(Effect.gen(function*() {
        const script = "test -t 0 && test -t 1 && test -t 2 && echo seated; echo $TERM; read word; echo got $word; " +
          "until stty size 2>/dev/null | grep '40 120'; do sleep 0.1; done; exit 42"
        const command = yield* runtime.exec(id, { ...at, command: ["sh", "-c", script] })
        yield* command.stdin(new TextEncoder().encode("hello\r"))
        yield* command.resize({ width: 120, height: 40 })
        const text = textOf(yield* Effect.timeout(Stream.runCollect(command.output), "20 seconds"))
        assert.match(text, /seated\r\n[^]*xterm\r\n[^]*got hello\r\n40 120\r\n$/)
        assert.strictEqual(yield* command.exitCode, 42)
      }))
      for (let round = 0; round < 5; round++) {
        const said = yield* Effect.scoped(Effect.gen(function*() {
          const command = yield* runtime.exec(id, { ...at, stdin: false, command: ["echo", "x"] })
          return textOf(yield* Effect.timeout(Stream.runCollect(command.output), "20 seconds"))
        }))
        assert.strictEqual(said, "x\r\n")
      }
    }))

  test("ends a command with all that it began when its client leaves", (world) =>
    Effect.gen(function*() {
      if (world.terminals !== true) return
      const { exec } = yield* ContainerRuntime
      const { id } = yield* launch(world, { _tag: "Forever" })
      const alive = Effect.map(
        executed(id, ["sh", "-c", "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n'"]),
        ({ stdout }) => stdout.split("\n").filter((word) => word === `9${world.port}`).length
      )
      const script = `trap '' HUP; sleep 9${world.port} & sh -c 'sleep 9${world.port}; true' & echo running; wait`
      for (const tty of [false, true]) {
        yield* Effect.scoped(Effect.gen(function*() {
          const command = yield* exec(id, {
            command: ["sh", "-c", script],
            stdin: false,
            stdout: true,
            stderr: !tty,
            tty
          })
          yield* Effect.timeout(Stream.runHead(command.output), "20 seconds")
          yield* Effect.retry(
            Effect.flatMap(alive, (count) => count === 2 ? Effect.void : Effect.fail(count)),
            { schedule: Schedule.spaced("100 millis"), times: 50 }
          )
        }))
        assert.strictEqual(yield* alive, 0)
      }
    }))

  test("attaches to a container at a terminal: a prompt, what is typed, and its size", (world) =>
    Effect.gen(function*() {
      if (world.terminals !== true) return
      const runtime = yield* ContainerRuntime
      const script = "while printf 'prompt> ' && read -r word; do echo \"heard $word\"; stty size; done; exit 7"
      const sandbox = yield* ensured(world)
      const id = yield* runtime.create({
        ...containerSpec(world, sandbox.id, { _tag: "Forever" }, { stdin: true, stdinOnce: true, tty: true }),
        command: ["sh", "-c", script],
        args: []
      })
      yield* runtime.start(id)
      for (const [word, size] of [["one", { width: 100, height: 30 }], ["two", { width: 132, height: 50 }]] as const) {
        yield* Effect.scoped(Effect.gen(function*() {
          const attached = yield* runtime.attach(id, { stdin: true, stdout: true, stderr: false, tty: true })
          yield* attached.resize(size)
          const shown = yield* attached.output.pipe(
            Stream.scan(() => "", (before, piece) => before + textOf([piece])),
            Stream.filter((text) => text.includes(`${size.height} ${size.width}`) && text.endsWith("prompt> ")),
            Stream.runHead,
            Effect.timeout("20 seconds"),
            Effect.forkChild({ startImmediately: true })
          )
          yield* attached.stdin(new TextEncoder().encode(`${word}\r`))
          const text = yield* Fiber.join(shown)
          assert.match(text._tag === "Some" ? text.value : "", new RegExp(`${word}\r\n(prompt> )?heard ${word}\r\n`))
        }))
        assert.strictEqual((yield* runtime.inspect(id)).state, "running")
      }
      const attached = yield* runtime.attach(id, { stdin: true, stdout: true, stderr: false, tty: true })
      yield* attached.stdin(Uint8Array.of(4))
      yield* Effect.timeout(Stream.runDrain(attached.output), "20 seconds")
      assert.strictEqual((yield* untilExited(id)).exitCode, 7)
      assert.include(textOf(yield* allLogs(id)), "heard one\r\n")
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
      const none = yield* Effect.flip(Effect.scoped(runtime.dial(sandboxId, world.port + 1)))
      assert.strictEqual(none.reason, "Unavailable")
      assert.match(none.message, new RegExp(`ECONNREFUSED .*:${world.port + 1}`))
    }))
}

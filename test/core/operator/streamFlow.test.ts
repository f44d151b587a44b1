/** Exec, logs and port-forward from the kubelet's backend to the device's runtime, over a link in virtual time: memory, slow readers, cuts. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Deferred, Effect, Exit, Fiber, Layer, Option, Queue, type Scope, Stream } from "effect"
import { podStreams } from "../../../core/agent/podStreams.ts"
import type { KubeletBackend } from "../../../core/kubelet/KubeletBackend.ts"
import { Streams } from "../../../core/link/session/Streams.ts"
import type { StreamTable } from "../../../core/link/session/StreamTable.ts"
import { type Output, type ProcessStreams, RuntimeError } from "../../../core/pod/ContainerRuntime.ts"
import { PodRuntime } from "../../../core/pod/PodRuntime.ts"
import { linkedBackend } from "../../fakes/linkedBackend.ts"
import { noise } from "../link/noise.ts"
import { echo, inWorld, type World, type WorldOptions } from "../link/world.ts"

const uid = "0b9a6f5e-4b1d-4c7e-9a53-5d0c6f1e2a3b"
const at = { node: "edge-1", uid }
const mebibyte = 1024 * 1024

/** What commands do: `print BYTES SEED MILLIS` in pieces with a pause after each, `flood` and `wide` without end, `cat`. */
const pieceBytes = 4000
/** As much as a pipe gives at once. */
const pipeful = noise(65_536, 2)
const printed = (bytes: number, seed: number) => noise(bytes, seed)

const pieces = (bytes: number, seed: number, pauseMillis: number): Stream.Stream<Uint8Array> => {
  const all = printed(bytes, seed)
  const starts = Array.from({ length: Math.ceil(bytes / pieceBytes) }, (_, index) => index * pieceBytes)
  return Stream.fromIterable(starts).pipe(
    Stream.rechunk(1),
    Stream.mapEffect((from) =>
      Effect.as(
        pauseMillis === 0 ? Effect.void : Effect.sleep(pauseMillis),
        all.subarray(from, Math.min(bytes, from + pieceBytes))
      )
    )
  )
}

/** The device: what runs there now, and what it has written so far. */
const makeDevice = () => {
  const running = new Set<string>()
  const wrote = new Map<string, number>()
  const exec = (
    _: string,
    __: string,
    { command }: { readonly command: ReadonlyArray<string> }
  ): Effect.Effect<ProcessStreams, never, Scope.Scope> =>
    Effect.gen(function*() {
      const name = command.join(" ")
      const [verb, first, second, third] = command
      yield* Effect.acquireRelease(
        Effect.sync(() => void running.add(name)),
        () => Effect.sync(() => void running.delete(name))
      )
      const stdin = yield* Queue.bounded<Uint8Array, Cause.Done>(4)
      const bytes = verb === "cat"
        ? Stream.fromQueue(stdin)
        : verb === "flood"
        ? Stream.fromEffectRepeat(Effect.sync(() => noise(pieceBytes, 1)))
        : verb === "wide"
        ? Stream.fromEffectRepeat(Effect.sync(() => pipeful))
        : pieces(Number(first), Number(second), Number(third))
      return {
        stdin: (input) => Effect.asVoid(Queue.offer(stdin, input)),
        endStdin: Effect.asVoid(Queue.end(stdin)),
        resize: () => Effect.void,
        output: bytes.pipe(
          Stream.tap((piece) => Effect.sync(() => void wrote.set(name, (wrote.get(name) ?? 0) + piece.length))),
          Stream.map((piece): Output => ({ stream: "stdout", bytes: piece }))
        ),
        exitCode: Effect.succeed(Number(second ?? 0) % 256)
      }
    })
  const runtime = Layer.mock(PodRuntime, {
    exec,
    logs: (_, { tailLines = 0 }) =>
      Stream.concat(Stream.succeed(new Uint8Array()), pieces(tailLines, 7, 100)).pipe(
        Stream.concat(Stream.fromEffect(Effect.never)),
        Stream.onStart(Effect.sync(() => void running.add("logs"))),
        Stream.ensuring(Effect.sync(() => void running.delete("logs")))
      ),
    dial: (_, port) =>
      Effect.gen(function*() {
        yield* Effect.acquireRelease(
          Effect.sync(() => void running.add(`port ${port}`)),
          () => Effect.sync(() => void running.delete(`port ${port}`))
        )
        const inwards = yield* Queue.bounded<Uint8Array, Cause.Done>(4)
        return {
          write: (bytes) => Effect.asVoid(Queue.offer(inwards, bytes)),
          end: Effect.asVoid(Queue.end(inwards)),
          // What it is sent comes back; then as many bytes as the port's number says.
          read: Stream.concat(Stream.fromQueue(inwards), pieces(port, 9, 400))
        }
      })
  })
  return {
    running,
    wrote,
    handlers: Effect.map(Layer.build(runtime), (context) => context).pipe(
      Effect.flatMap((context) => Effect.provideContext(podStreams, context)),
      Effect.map((onOpen) => ({ ...echo, onOpen })),
      Effect.scoped
    )
  }
}

/** Looks at every table of streams after each segment: what is held, what is reserved for it, and what the pool has. */
const watchPools = Effect.acquireRelease(
  Effect.sync(() => {
    const seen = new Map<StreamTable, { reserved: number; held: number; streams: number }>()
    const { segment } = Streams.prototype
    Streams.prototype.segment = function(this: Streams, ...args) {
      const result = segment.apply(this, args)
      const { table } = this
      const most = seen.get(table) ?? { reserved: 0, held: 0, streams: 0 }
      let held = 0
      for (const stream of table.live) {
        for (const { data } of stream.arrived) held += data.length
        for (const { data } of stream.backlog ?? []) held += data.length
        held += stream.partial?.whole?.length ?? 0
      }
      seen.set(table, {
        reserved: Math.max(most.reserved, table.pool.capacity - table.pool.free),
        held: Math.max(most.held, held),
        streams: Math.max(most.streams, table.live.size)
      })
      if (held > table.pool.capacity - table.pool.free) {
        throw new Error(`${held} bytes are held beyond what is reserved`)
      }
      return result
    }
    return {
      of: (capacity: number) => {
        const found = [...seen].find(([table]) => table.pool.capacity === capacity)
        if (found === undefined) throw new Error(`no pool of ${capacity} bytes was used`)
        const [table, most] = found
        return { ...most, free: table.pool.free, live: table.live.size }
      },
      restore: () => void (Streams.prototype.segment = segment)
    }
  }),
  ({ restore }) => Effect.sync(restore)
)

interface Scene {
  readonly world: World
  readonly device: ReturnType<typeof makeDevice>
  readonly backend: Context.Service.Shape<typeof KubeletBackend>
}

const inScene = <A, E>(body: (scene: Scene) => Effect.Effect<A, E, Scope.Scope>, options: WorldOptions = {}) =>
  Effect.suspend(() => {
    const device = makeDevice()
    return inWorld({ device: () => device.handlers, ...options }, (world) =>
      Effect.gen(function*() {
        const session = yield* world.session("operator")
        return yield* body({ world, device, backend: yield* linkedBackend(session) })
      }))
  })

const plain = { stdin: false, stdout: true, stderr: true, tty: false }

const joined = (parts: ReadonlyArray<Uint8Array>) => Buffer.concat(parts)

/** All that a command writes, and its exit code. */
const execOf = ({ backend }: Scene, command: ReadonlyArray<string>, pauseMillis = 0) =>
  Effect.scoped(Effect.gen(function*() {
    const process = yield* backend.exec(at, "main", { ...plain, command })
    const got = yield* process.output.pipe(
      Stream.tap(() => pauseMillis === 0 ? Effect.void : Effect.sleep(pauseMillis)),
      Stream.runCollect
    )
    return { bytes: joined(got.map(({ bytes }) => bytes)), code: yield* process.exitCode }
  }))

const print = (bytes: number, seed: number, pauseMillis = 0) => ["print", `${bytes}`, `${seed}`, `${pauseMillis}`]

const messageOf = <A>(effect: Effect.Effect<A, { readonly message: string }>) =>
  Effect.map(Effect.exit(effect), (exit) =>
    Exit.isSuccess(exit)
      ? "it ended in order"
      : Option.match(Cause.findErrorOption(exit.cause), { onNone: () => "it died", onSome: ({ message }) => message }))

describe("many streams of one device", () => {
  it.live("200 execs at once come to their ends within the memory of the link, and leave nothing behind", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const pools = yield* watchPools
        yield* scene.world.transport.weather({ delayMillis: [20, 30], bytesPerSecond: 4_000_000 })
        const numbers = Array.from({ length: 200 }, (_, index) => index + 1)
        const started = yield* Deferred.make<void>()
        const ended = yield* Effect.forEach(
          numbers,
          (seed) =>
            Effect.andThen(
              seed === 200 ? Deferred.succeed(started, undefined) : Deferred.await(started),
              // Every other reader is slow.
              execOf(scene, print(20_000, seed), seed % 2 === 0 ? 50 : 0)
            ),
          { concurrency: "unbounded" }
        )
        for (const [index, { bytes, code }] of ended.entries()) {
          assert.strictEqual(Buffer.compare(bytes, printed(20_000, index + 1)), 0, `exec ${index + 1}`)
          assert.strictEqual(code, (index + 1) % 256)
        }
        yield* Effect.sleep("10 seconds")
        for (const capacity of [4 * mebibyte, 8 * mebibyte]) {
          const { free, held, live, reserved, streams } = pools.of(capacity)
          assert.isAtLeast(streams, 200, "they were open at the same time")
          assert.isAtMost(reserved, capacity)
          assert.isAtMost(held, reserved)
          assert.deepStrictEqual({ free, live }, { free: capacity, live: 0 }, "all of it was given back")
        }
        assert.deepStrictEqual([...scene.device.running], [])
      }).pipe(Effect.scoped)
    ))

  it.live("beyond what the link has memory for an exec is refused with words, and those that are open go on", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const answers = yield* Effect.forEach(
          Array.from({ length: 280 }, (_, index) => index + 1),
          (seed) => messageOf(execOf(scene, print(4000, seed, 1000))),
          { concurrency: "unbounded" }
        )
        const count = (words: string) => answers.filter((answer) => answer === words).length
        const refused = "the link to device edge-1 has as many streams as it can hold: end one, or try again later"
        assert.strictEqual(count("it ended in order") + count(refused), 280, [...new Set(answers)].join("; "))
        assert.isAtLeast(count("it ended in order"), 200)
        assert.isAtLeast(count(refused), 20)
        assert.strictEqual((yield* execOf(scene, print(8000, 1))).bytes.length, 8000, "there is room again")
      })
    ))

  it.live("a reader that never reads holds up its own process alone", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const pools = yield* watchPools
        yield* scene.world.transport.weather({ delayMillis: [20, 30], bytesPerSecond: 4_000_000 })
        const stuck = yield* Effect.forkChild(Effect.scoped(Effect.andThen(
          scene.backend.exec(at, "main", { ...plain, command: ["flood"] }),
          Effect.never
        )))
        yield* Effect.sleep("5 seconds")
        const others = yield* Effect.forEach(
          Array.from({ length: 50 }, (_, index) => index + 1),
          (seed) => execOf(scene, print(60_000, seed)),
          { concurrency: "unbounded" }
        ).pipe(Effect.timeoutOption("30 seconds"))
        // 3 MB by a line of 4 MB/s.
        assert.isTrue(Option.isSome(others), "50 others are done")
        for (const [index, { bytes }] of Option.getOrElse(others, () => []).entries()) {
          assert.strictEqual(Buffer.compare(bytes, printed(60_000, index + 1)), 0)
        }
        yield* Effect.sleep("1 minute")
        // The operator's window, and what a channel takes from its sender ahead.
        assert.isBelow(scene.device.wrote.get("flood") ?? 0, 128 * 1024)
        assert.isAtMost(pools.of(4 * mebibyte).reserved, 4 * mebibyte)
        assert.isTrue(scene.device.running.has("flood"))
        yield* Fiber.interrupt(stuck)
        yield* Effect.sleep("1 second")
        assert.deepStrictEqual([...scene.device.running], [], "the process whose client has gone is gone")
      }).pipe(Effect.scoped)
    ))

  it.live("readers that never read cost what their streams reserved, however much their processes write at once", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const pools = yield* watchPools
        yield* scene.world.transport.weather({ delayMillis: [20, 30], bytesPerSecond: 4_000_000 })
        const stalled = yield* Effect.forEach(
          Array.from({ length: 200 }, (_, index) => `${index}`),
          (name) => scene.backend.exec(at, "main", { ...plain, command: ["wide", name] })
        )
        yield* Effect.sleep("1 minute")
        assert.isAtMost(pools.of(4 * mebibyte).reserved, 201 * 16 * 1024)
        const { bytes } = yield* execOf(scene, print(20_000, 1))
        assert.strictEqual(bytes.length, 20_000)
        const read = yield* Effect.forEach(
          stalled,
          ({ output }) => messageOf(Stream.runDrain(Stream.take(output, 4))),
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual([...new Set(read)], ["it ended in order"], "and any of them may read on")
      }).pipe(Effect.scoped)
    ))
})

describe("a command that the engine may have begun", () => {
  it.live("is not said to have failed", () =>
    inScene(
      ({ backend }) =>
        Effect.gen(function*() {
          const process = yield* backend.exec(at, "main", { ...plain, command: ["true"] })
          const error = yield* Effect.flip(Stream.runDrain(process.output))
          assert.strictEqual(error.reason, "OutcomeUnknown")
          assert.include(error.message, "the engine went away")
        }),
      {
        device: () =>
          Layer.build(Layer.mock(PodRuntime, {
            exec: () => Effect.fail(new RuntimeError({ reason: "OutcomeUnknown", detail: "the engine went away" }))
          })).pipe(
            Effect.flatMap((context) => Effect.provideContext(podStreams, context)),
            Effect.map((onOpen) => ({ ...echo, onOpen })),
            Effect.scoped
          )
      }
    ))
})

describe("streams and a cut of the link", () => {
  /** An exec that prints and one that echoes, a forwarded port, a log that is followed; all of them in their middle at first. */
  const streaming = Effect.fnUntraced(function*(scene: Scene) {
    const { backend } = scene
    const execing = yield* Effect.forkChild(execOf(scene, print(400_000, 3, 100)))
    const typed = Array.from({ length: 100 }, (_, index) => noise(1000, index + 1))
    const echoing = yield* Effect.forkChild(Effect.scoped(Effect.gen(function*() {
      const process = yield* backend.exec(at, "main", { ...plain, stdin: true, command: ["cat"] })
      yield* Effect.forEach(typed, (bytes) => Effect.andThen(Effect.sleep(100), process.stdin(bytes))).pipe(
        Effect.andThen(process.endStdin),
        Effect.ignore,
        Effect.forkChild
      )
      return joined((yield* Stream.runCollect(process.output)).map(({ bytes }) => bytes))
    })))
    const forwarding = yield* Effect.forkChild(Effect.scoped(Effect.gen(function*() {
      const duplex = yield* backend.dial(at, 40_000)
      yield* Effect.ignore(Effect.andThen(duplex.write(noise(3000, 5)), duplex.end))
      return joined(yield* Stream.runCollect(duplex.read))
    })))
    const logged: Array<Uint8Array> = []
    const query = { container: "main", follow: true, previous: false, timestamps: false, tailLines: 400_000 }
    const following = yield* Effect.forkChild(
      Stream.runForEach(backend.logs(at, query), (bytes) => Effect.sync(() => void logged.push(bytes)))
    )
    return { execing, echoing, forwarding, following, logged: () => joined(logged), typed: joined(typed) }
  })

  it.live("of 5 seconds: exec, port-forward and logs -f go on, byte for byte", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const streams = yield* streaming(scene)
        yield* Effect.sleep("3 seconds")
        const before = streams.logged().length
        assert.isAbove(before, 0)
        yield* scene.world.transport.refuse("Refused")
        yield* scene.world.transport.cut()
        yield* Effect.sleep("5 seconds")
        assert.isAtMost(streams.logged().length, before + pieceBytes, "nothing comes through the cut")
        yield* scene.world.transport.refuse(undefined)

        const { bytes, code } = yield* Fiber.join(streams.execing)
        assert.strictEqual(Buffer.compare(bytes, printed(400_000, 3)), 0)
        assert.strictEqual(code, 3)
        assert.strictEqual(Buffer.compare(yield* Fiber.join(streams.echoing), streams.typed), 0)
        const forwarded = yield* Fiber.join(streams.forwarding)
        assert.strictEqual(Buffer.compare(forwarded, joined([noise(3000, 5), printed(40_000, 9)])), 0)
        yield* Effect.sleep("1 minute")
        assert.strictEqual(Buffer.compare(streams.logged(), printed(400_000, 7)), 0)
        yield* Fiber.interrupt(streams.following)
        yield* Effect.sleep("1 second")
        assert.deepStrictEqual([...scene.device.running], [])
        assert.strictEqual(scene.world.sessions.operator.length, 1, "it is the same session")
      })
    ))

  it.live("for longer than the session timeout: each ends with a sentence, and the device's processes with them", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const streams = yield* streaming(scene)
        yield* Effect.sleep("3 seconds")
        yield* scene.world.transport.refuse("Refused")
        yield* scene.world.transport.cut()
        yield* Effect.sleep("6 minutes")
        const lost = "the link to device edge-1 was lost (no connection took it up within 300 s)"
        const unknown = `${lost}: whether what was asked for came to its end is not known`
        assert.strictEqual(yield* messageOf(Fiber.join(streams.execing)), unknown)
        assert.strictEqual(yield* messageOf(Fiber.join(streams.echoing)), unknown)
        assert.strictEqual(yield* messageOf(Fiber.join(streams.forwarding)), `${lost}: ask again`)
        assert.strictEqual(yield* messageOf(Fiber.join(streams.following)), `${lost}: ask again`)
        assert.deepStrictEqual([...scene.device.running], [], "the device has ended what nobody can hear of any more")
      })
    ))

  it.live("during which the client leaves: its process ends once the device hears of it", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const leaving = yield* Effect.forkChild(execOf(scene, ["flood"], 100))
        yield* Effect.sleep("1 second")
        assert.isTrue(scene.device.running.has("flood"))
        yield* scene.world.transport.refuse("Refused")
        yield* scene.world.transport.cut()
        yield* Fiber.interrupt(leaving)
        yield* Effect.sleep("30 seconds")
        assert.isTrue(scene.device.running.has("flood"), "nobody could tell it")
        yield* scene.world.transport.refuse(undefined)
        yield* Effect.sleep("1 minute")
        assert.deepStrictEqual([...scene.device.running], [])
      })
    ))
})

/** What an engine says is done and is not so is done again after a while, never at once. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Context, Effect, Layer, Stream } from "effect"
import { type Container, ContainerRuntime, RuntimeError } from "../../../../core/pod/ContainerRuntime.ts"
import { MemoryRuntime } from "../../../fakes/MemoryRuntime.ts"
import { Device, pass } from "./Device.ts"
import { container, pod } from "./pods.ts"

/** The runtime in memory, whose every call takes 10 ms, but for what is said here. */
const deviceWith = (
  change: (
    runtime: ContainerRuntime["Service"],
    controls: MemoryRuntime["Service"]
  ) => Partial<ContainerRuntime["Service"]>
) =>
  Device.layerOver(
    MemoryRuntime.layerWith({ latency: { least: 10, most: 10 } }).pipe(
      Layer.flatMap((context) => {
        const runtime = Context.get(context, ContainerRuntime)
        return Layer.succeedContext(
          Context.add(context, ContainerRuntime, {
            ...runtime,
            ...change(runtime, Context.get(context, MemoryRuntime))
          })
        )
      })
    )
  )

const made = Effect.map(
  Effect.flatMap(MemoryRuntime, ({ diary }) => diary),
  (diary) => diary.filter((line) => line.includes(" ensureSandbox ")).length
)

const dead = <A extends { readonly ready: boolean }>(sandbox: A): A => ({ ...sandbox, ready: false })

describe("a sandbox that ends as soon as it has begun", () => {
  it.effect("is told as one that cannot be made, and made again after a while", () =>
    Effect.gen(function*() {
      const device = yield* Device
      yield* (yield* device.start).ensure(pod())
      yield* pass(60)
      assert.isAtMost(yield* made, 10)
      assert.isAtLeast(yield* made, 4)
      assert.deepStrictEqual(
        device.events().map(({ message, reason }) => `${reason}: ${message}`),
        ["FailedCreatePodSandBox: Failed to create pod sandbox: the sandbox ended as soon as it had begun"]
      )
    }).pipe(Effect.provide(deviceWith((runtime) => ({
      // Its end is heard of.
      events: Stream.map(
        Stream.tick("100 millis"),
        () => ({ uid: "u1", containerId: "s1", kind: "exited" as const })
      ),
      ensureSandbox: (spec) => Effect.map(runtime.ensureSandbox(spec), dead),
      sandboxes: (uid) => Effect.map(runtime.sandboxes(uid), (all) => all.map(dead))
    })))))

  it.effect("is made again after a while, also where it is seen to run first", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      yield* (yield* device.start).ensure(pod())
      yield* pass(120)
      assert.isAtMost(yield* made, 12)
      assert.isAtLeast(yield* made, 5)
      assert.isAtMost(device.reasons().filter((reason) => reason === "SandboxChanged").length, 12)
      assert.deepStrictEqual(yield* runtime.runs, [])
    }).pipe(Effect.provide(Layer.provideMerge(
      Layer.effectDiscard(Effect.flatMap(MemoryRuntime, (runtime) =>
        Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(5), runtime.breakSandbox("u1")))))),
      deviceWith(() => ({}))
    ))))
})

describe("a start that finds nothing", () => {
  it.effect("has the sandbox looked at, too: that may be what is gone", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const runtime = yield* MemoryRuntime
      yield* (yield* device.start).ensure(pod())
      yield* pass(1)
      assert.strictEqual(device.newest().status.phase, "Running")
      assert.deepStrictEqual((yield* runtime.runs).map(({ attempt }) => attempt), [0])
    }).pipe(Effect.provide(deviceWith((runtime, { breakSandbox }) => {
      let broken: string | undefined
      return {
        start: (id) =>
          Effect.gen(function*() {
            const { sandboxId } = yield* runtime.inspect(id)
            if (broken === undefined) yield* breakSandbox("u1")
            broken ??= sandboxId
            if (sandboxId !== broken) return yield* runtime.start(id)
            return yield* new RuntimeError({ reason: "NotFound", detail: `No such container: ${broken}` })
          })
      }
    }))))
})

describe("a container that is stopped and seems to run all the same", () => {
  const story = (change: "deleted" | "changed") => {
    /** Of the container, since its first stop. */
    const stops: Array<number> = []
    const device = deviceWith((runtime) => {
      const stale = (all: ReadonlyArray<Container>) =>
        Effect.map(
          Clock.currentTimeMillis,
          (now) =>
            all.map((each): Container =>
              stops.length > 0 && now - stops[0]! < 1000 && each.attempt === 0
                ? { ...each, state: change === "deleted" ? "unknown" : "running" }
                : each
            )
        )
      return {
        containers: (uid) => Effect.flatMap(runtime.containers(uid), stale),
        stop: (id, grace) =>
          Effect.andThen(
            Effect.map(Clock.currentTimeMillis, (now) => stops.push(now)),
            runtime.stop(id, grace)
          )
      }
    })
    return { stops, device }
  }

  it.effect.each(["deleted", "changed"] as const)("is stopped again after a while, and told once (%s)", (change) => {
    const { device: layer, stops } = story(change)
    return Effect.gen(function*() {
      const device = yield* Device
      const machine = yield* device.start
      yield* machine.ensure(pod())
      yield* pass(3)
      if (change === "deleted") yield* machine.remove("u1", 30)
      else yield* machine.ensure(pod({ containers: [container("app", { image: "app:2" })] }))
      yield* pass(20)
      assert.isAtMost(stops.length, 3)
      assert.lengthOf(device.reasons().filter((reason) => reason === "Killing"), 1)
      if (change === "deleted") assert.isTrue(device.newest().finished)
      else assert.lengthOf(yield* (yield* MemoryRuntime).runs, 2)
    }).pipe(Effect.provide(layer))
  })
})

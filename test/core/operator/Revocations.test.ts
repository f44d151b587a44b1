import { assert, describe, it } from "@effect/vitest"
import { Clock, Context, Effect, Fiber, Layer, Scope } from "effect"
import { refuse } from "../../../adapters/kube/plane/memory/Faults.ts"
import { ConfigMaps } from "../../../core/kube/kinds.ts"
import { KubeApi } from "../../../core/kube/KubeApi.ts"
import { OperatorIdentity } from "../../../core/operator/OperatorIdentity.ts"
import { Revocations } from "../../../core/operator/Revocations.ts"
import { simulate } from "../../simulation/VirtualTime.ts"
import { clientWithFaults, createNamespaces, worldLayer } from "../../simulation/World.ts"

const key = (number: number) => new Uint8Array(32).fill(number)

const seconds = Effect.map(Clock.currentTimeMillis, (now) => now / 1000)

/** Over a cluster that answers in its time, and not at all while it is down. */
const inCluster = <E>(
  seed: number,
  story: (given: {
    /** The list of one more operator process. */
    readonly opened: Effect.Effect<Revocations["Service"]>
    readonly kept: Effect.Effect<number, never, KubeApi>
    readonly writes: () => number
    readonly down: (is: boolean) => void
  }) => Effect.Effect<void, E, KubeApi>
) =>
  simulate(seed, () =>
    Effect.gen(function*() {
      yield* createNamespaces
      let writes = 0
      let down = false
      const slow = yield* Layer.build(clientWithFaults(({ method, path }) => {
        if (method === "GET" || !path.includes("/configmaps")) return Effect.succeed({ delay: "20 millis" })
        writes += 1
        return Effect.succeed({
          delay: "20 millis",
          ...down ? { answer: refuse(503, "ServiceUnavailable", "down") } : {}
        })
      }))
      const identity = Layer.succeed(OperatorIdentity, {
        holder: "operator-1",
        installation: "aranya",
        version: "0.1.0",
        namespace: "aranya",
        hostNode: "",
        privateKey: key(7)
      })
      const opened = Effect.map(
        Layer.build(
          Layer.fresh(Revocations.layer).pipe(Layer.provide(identity), Layer.provide(Layer.succeedContext(slow)))
        ),
        (made) => Context.get(made, Revocations)
      )
      const kept = Effect.gen(function*() {
        const api = yield* KubeApi
        const { data } = yield* api.get(ConfigMaps, { namespace: "aranya", name: "aranya-revoked-devices" })
        return Object.keys(data ?? {}).length
      }).pipe(Effect.catch(() => Effect.succeed(0)))
      yield* story({
        opened: Effect.provideService(opened, Scope.Scope, yield* Effect.scope),
        kept,
        writes: () => writes,
        down: (is) => {
          down = is
        }
      })
    }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie))

const hundred = Array.from({ length: 100 }, (_, number) => number)
const revokeAll = (revocations: Revocations["Service"], numbers: ReadonlyArray<number> = hundred) =>
  Effect.forEach(numbers, (number) => revocations.revoke(`edge/device-${number}`, key(number)), {
    concurrency: "unbounded",
    discard: true
  })

describe("the list of revoked devices", () => {
  it.live("has each of a hundred that are deleted together, in a few writes", () =>
    inCluster(1, ({ kept, opened, writes }) =>
      Effect.gen(function*() {
        yield* revokeAll(yield* opened)
        assert.strictEqual(yield* kept, 100)
        assert.isBelow(writes(), 5)
      })))

  it.live("has each of them where two operators write it at the same time", () =>
    inCluster(2, ({ kept, opened }) =>
      Effect.gen(function*() {
        const [first, second] = [yield* opened, yield* opened]
        yield* Effect.all([revokeAll(first, hundred.slice(0, 50)), revokeAll(second, hundred.slice(50))], {
          concurrency: 2
        })
        assert.strictEqual(yield* kept, 100)
      })))

  it.live("is waited for while it cannot be written, for as long as that takes", () =>
    inCluster(3, ({ down, kept, opened }) =>
      Effect.gen(function*() {
        const revocations = yield* opened
        down(true)
        const revoking = yield* Effect.forkChild(revokeAll(revocations))
        yield* Effect.sleep("1 hour")
        assert.isUndefined(revoking.pollUnsafe())
        down(false)
        const began = yield* seconds
        yield* Fiber.join(revoking)
        assert.isBelow((yield* seconds) - began, 60)
        assert.strictEqual(yield* kept, 100)
      })))

  it.live("is not waited for by a device that is taken up again, which is let in at once", () =>
    inCluster(4, ({ down, kept, opened }) =>
      Effect.gen(function*() {
        const revocations = yield* opened
        yield* revokeAll(revocations, [1, 2])
        yield* Effect.sleep("1 second")
        yield* revocations.pardon(key(1))
        assert.strictEqual(yield* kept, 1)
        down(true)
        const others = yield* Effect.forkChild(revokeAll(revocations, [3]))
        const began = yield* seconds
        yield* revocations.pardon(key(2))
        assert.isBelow((yield* seconds) - began, 10)
        yield* Fiber.interrupt(others)
      })))
})

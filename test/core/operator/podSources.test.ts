import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Layer } from "effect"
import type { TokenRequest } from "../../../core/kube/kinds.ts"
import { KubeApi } from "../../../core/kube/KubeApi.ts"
import type { Pod } from "../../../core/kube/Pod.ts"
import { podSources } from "../../../core/operator/podSources.ts"
import { ReferencedObjects } from "../../../core/operator/ReferencedObjects.ts"
import { ServiceIndex } from "../../../core/operator/ServiceIndex.ts"
import { type HostClock, makeHostClock } from "../../simulation/HostClock.ts"
import { simulate } from "../../simulation/VirtualTime.ts"

const minute = 60_000
const year = 365 * 24 * 60 * minute

const pod: Pod = {
  metadata: { namespace: "edge", name: "web", uid: "u1" },
  spec: {
    containers: [{ name: "main", image: "busybox" }],
    volumes: [{ name: "tokens", projected: { sources: [{ serviceAccountToken: { path: "token" } }] } }]
  }
}

/** As an API server with the right time answers that gives every token this life. */
const server = (seconds: number, now: () => number, asked: Array<number>) =>
  Layer.mock(KubeApi, {
    create: ((_: unknown, request: TokenRequest) =>
      Effect.sync(() => {
        asked.push(now())
        const expirationTimestamp = new Date(now() + seconds * 1000).toISOString()
        const spec = { ...request.spec, expirationSeconds: seconds }
        return { ...request, spec, status: { token: `token-${asked.length}`, expirationTimestamp } }
      })) as unknown as KubeApi["Service"]["create"]
  })

/** Keeps the pod's token fresh for three hours as the pod's keeper does; in which minutes it was asked for. */
const asked = (off: number, story: (clock: HostClock) => Effect.Effect<void>, seconds = 3600) =>
  simulate(1, (time) =>
    Effect.gen(function*() {
      const clock = makeHostClock(time, { offsetMillis: off, rate: 1 })
      const times: Array<number> = []
      const keep = Effect.gen(function*() {
        const sources = yield* podSources(() => {})
        return yield* Effect.gen(function*() {
          yield* sources.gather(pod, { tokens: true })
          yield* Effect.sleep(Duration.millis(Math.max(1000, (yield* sources.due) ?? 0)))
        }).pipe(Effect.forever)
      }).pipe(
        Effect.scoped,
        Effect.provideService(Clock.Clock, clock.clock),
        Effect.provide(Layer.mergeAll(
          server(seconds, () => time.now, times),
          Layer.mock(ReferencedObjects, {}),
          Layer.mock(ServiceIndex, { synced: Effect.void, visibleFrom: () => [] })
        ))
      )
      yield* Effect.timeoutOption(Effect.raceFirst(keep, Effect.andThen(story(clock), Effect.never)), "3 hours")
      return times.map((at) => Math.round((at - time.start) / minute))
    }))

const everyFortyEight = [0, 48, 96, 144]

describe("a pod's token", () => {
  it.live("is asked for anew after four fifths of its life, however wrong the operator's clock is", () =>
    Effect.gen(function*() {
      for (const off of [0, 3 * year, -3 * year]) {
        assert.deepStrictEqual(yield* asked(off, () => Effect.void), everyFortyEight, `${off}`)
      }
    }))

  it.live("is asked for in time when the operator's clock is set back", () =>
    Effect.gen(function*() {
      const back = (clock: HostClock) =>
        Effect.andThen(Effect.sleep("10 minutes"), Effect.sync(() => clock.jump(-year)))
      assert.deepStrictEqual(yield* asked(0, back), everyFortyEight)
    }))

  it.live("lives as long as the server says, which may be less than was asked for", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(
        (yield* asked(0, () => Effect.void, 600)).slice(0, 4),
        [0, 8, 16, 24]
      )
    }))
})

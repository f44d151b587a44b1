/** Edits of an EdgeDevice that the API server takes and aranya cannot understand: said once, for as long as it is so. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { EdgeDevices } from "../../../core/device/EdgeDevice.ts"
import { KubeApi } from "../../../core/kube/KubeApi.ts"
import { simulate } from "../../simulation/VirtualTime.ts"
import {
  clientWithFaults,
  createNamespaces,
  makeDevice,
  makeOperator,
  type Program,
  worldLayer
} from "../../simulation/World.ts"

const here = { namespace: "edge", name: "edge-1" }
const bad = { node: { labels: { site: "no value of a label!" } } }

const invalid = Effect.gen(function*() {
  const { metadata, status } = yield* (yield* KubeApi).get(EdgeDevices, here)
  const condition = status?.conditions?.find(({ type }) => type === "Invalid")
  return { ...condition, seen: status?.observedGeneration === metadata.generation }
})

/** What is said of the device itself. */
const said = Effect.gen(function*() {
  const { status } = yield* (yield* KubeApi).get(EdgeDevices, here)
  return Object.fromEntries(
    (status?.conditions ?? []).filter(({ type }) => type === "Connected" || type === "Ready").map((each) =>
      [each.type, `${each.status} ${each.reason}`] as const
    )
  )
})
const there: Effect.Success<typeof said> = { Connected: "True Connected", Ready: "True Ready" }
const notServed: typeof there = { Connected: "False SpecInvalid", Ready: "False SpecInvalid" }

/** An operator and its device; `away` for as long as the operator's requests reach nothing, but for its watches. */
const inWorld = <E>(
  seed: number,
  story: (given: {
    readonly device: Effect.Success<ReturnType<typeof makeDevice>>
    readonly operator: Program
    /** One beside it to which no device comes, not started. */
    readonly other: Program
    readonly api: { away: boolean; writes: number }
    /** The device has linked, and is served. */
    readonly isServed: Effect.Effect<void, E, KubeApi>
  }) => Effect.Effect<void, E, KubeApi>
) =>
  simulate(seed, () =>
    Effect.gen(function*() {
      const api = { away: false, writes: 0 }
      const client = yield* Layer.build(clientWithFaults(({ method, path, query }) =>
        Effect.sync(() => {
          if (api.away && query.get("watch") === null) return { refuseConnection: true }
          if (method === "PUT" && path.endsWith("edgedevices/edge-1/status")) api.writes += 1
          return {}
        })
      ))
      yield* createNamespaces
      const device = yield* makeDevice("edge-1", 1)
      const operator = yield* Effect.provideContext(makeOperator([device]), client)
      const other = yield* makeOperator([], undefined, undefined, "other")
      yield* operator.start
      const isServed = Effect.gen(function*() {
        yield* (yield* KubeApi).create(EdgeDevices, device.object())
        yield* device.agent.start
        yield* Effect.sleep("1 minute")
      })
      yield* story({ device, operator, other, api, isServed: isServed as Effect.Effect<void, E, KubeApi> })
    }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie))

const edit = (spec: object) =>
  Effect.flatMap(KubeApi, (api) => api.patch(EdgeDevices, here, { type: "merge", body: { spec } }))

/** The API server is away for a minute from now on; what it is told once it is back, it is told once. */
const isSaidAfterOutage = Effect.fnUntraced(function*(api: { away: boolean; readonly writes: number }) {
  api.away = true
  yield* Effect.sleep("1 minute")
  api.away = false
  yield* Effect.sleep("2 minutes")
  const first = yield* invalid
  assert.deepInclude(first, { status: "True", reason: "SpecInvalid", seen: true })
  const { writes } = api
  yield* Effect.sleep("16 minutes")
  assert.deepStrictEqual(yield* invalid, first)
  assert.strictEqual(api.writes, writes)
})

describe("an edit that cannot be understood", () => {
  it.live("is said in one write, and unsaid once it is mended", () =>
    inWorld(1, ({ api, isServed }) =>
      Effect.gen(function*() {
        yield* isServed
        yield* edit(bad)
        yield* Effect.sleep("10 seconds")
        const first = yield* invalid
        assert.deepInclude(first, { status: "True", reason: "SpecInvalid", seen: true })
        assert.include(first.message, "spec.node.labels[site]")
        const { writes } = api
        yield* Effect.sleep("16 minutes")
        assert.deepStrictEqual(yield* invalid, first)
        assert.strictEqual(api.writes, writes)

        yield* edit({ node: { labels: { site: "roof" } } })
        yield* Effect.sleep("10 seconds")
        assert.deepInclude(yield* invalid, { status: "False", reason: "Understood", seen: true })
      })))

  it.live("is said once the API server is back that was away right after it", () =>
    inWorld(2, ({ api, isServed }) =>
      Effect.gen(function*() {
        yield* isServed
        yield* edit(bad)
        yield* isSaidAfterOutage(api)
      })))

  it.live("is said so, too, where the device was never served", () =>
    inWorld(3, ({ api, device }) =>
      Effect.gen(function*() {
        yield* Effect.sleep("10 seconds")
        yield* (yield* KubeApi).create(EdgeDevices, device.object(bad))
        yield* isSaidAfterOutage(api)
      })))

  it.live("takes back what was said of a device that an operator which starts cannot serve, until it is mended", () =>
    inWorld(4, ({ api, isServed, operator }) =>
      Effect.gen(function*() {
        yield* isServed
        yield* edit(bad)
        yield* Effect.sleep("1 minute")
        assert.deepStrictEqual(yield* said, there, "what was understood before is served")
        yield* operator.kill
        yield* operator.start
        yield* Effect.sleep("1 minute")
        assert.deepStrictEqual(yield* said, there, "another operator may have it")
        yield* Effect.sleep("1 minute")
        assert.deepStrictEqual(yield* said, notServed)
        assert.deepInclude(yield* invalid, { status: "True", reason: "SpecInvalid", seen: true })
        const { writes } = api
        yield* Effect.sleep("16 minutes")
        assert.strictEqual(api.writes, writes)

        yield* edit({ node: { labels: { site: "roof" } } })
        yield* Effect.sleep("3 minutes")
        assert.deepStrictEqual(yield* said, there)
      })))

  it.live("takes nothing back of a device that another operator serves", () =>
    inWorld(5, ({ isServed, other }) =>
      Effect.gen(function*() {
        yield* isServed
        yield* edit(bad)
        yield* other.start
        yield* Effect.repeat(
          Effect.andThen(
            Effect.sleep("10 seconds"),
            Effect.map(said, (now) => assert.deepStrictEqual(now, there))
          ),
          { times: 60 }
        )
      })))
})

/** The operator's own metrics over whole systems: each family against what happened there. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { EdgeDevices } from "../../../core/device/EdgeDevice.ts"
import { KubeApi } from "../../../core/kube/KubeApi.ts"
import { Nodes } from "../../../core/kube/Node.ts"
import type { MetricFamily } from "../../../core/metrics/exposition.ts"
import { inScene } from "./partition/scene.ts"
import { here, inWorld } from "./talkingDevice.ts"

/** What a device's samples say, by family and by the labels that do not name the device. */
const samplesOf = (families: ReadonlyArray<MetricFamily>, { name, namespace } = here) => {
  const samples = (family: string): Readonly<Record<string, number>> =>
    Object.fromEntries(
      families.filter((each) => each.name === `aranya_device_${family}`)
        .flatMap((each) => each.samples)
        .filter(({ labels }) => labels["device"] === name && labels["namespace"] === namespace)
        .map(({ labels: { device: _, namespace: __, ...others }, value }) => [
          Object.entries(others).map(([label, is]) => `${label}=${is}`).join(" "),
          value
        ])
    )
  return {
    connected: samples("connected"),
    away: samples("away_seconds"),
    replaced: samples("pods_replaced_total"),
    ever: samples("traffic_bytes_total"),
    today: samples("traffic_today_bytes"),
    budget: samples("traffic_budget_bytes"),
    refused: samples("traffic_refused_total")
  }
}

const sum = (samples: Readonly<Record<string, number>>, what: string) =>
  Object.entries(samples).reduce((all, [labels, value]) => labels.includes(what) ? all + value : all, 0)

describe("the operator's metrics", () => {
  it.live("tell what a link carried, against what was granted, and what was refused for it", () =>
    inWorld(
      1,
      { streams: "50Ki", metrics: 1 },
      ({ device, families, operator, read, scrape }) =>
        Effect.gen(function*() {
          const seen = Effect.map(families, (all) => samplesOf(all))
          const fresh = yield* seen
          assert.deepStrictEqual(fresh.budget, { "class=streams": 50 * 1024, "class=metrics": 1 })
          assert.deepStrictEqual(fresh.refused, { "class=streams": 0, "class=metrics": 0 })
          assert.deepInclude(fresh.today, { "class=streams": 0, "class=metrics": 0 })

          const log = yield* read
          yield* read
          yield* scrape
          yield* Effect.sleep("6 minutes")
          yield* scrape
          const spent = yield* seen
          assert.deepStrictEqual(spent.refused, { "class=streams": 1, "class=metrics": 1 })
          // The log came, and little but its order went; as much as the wire has carried, by whatever class.
          assert.isAtLeast(spent.ever["class=streams direction=received"] ?? 0, log.bytes)
          assert.isBelow(spent.ever["class=streams direction=sent"] ?? 0, 1000)
          const wire = yield* device.transport.traffic
          assert.strictEqual(sum(spent.ever, "direction=received"), wire.toOperator.bytes)
          assert.strictEqual(sum(spent.ever, "direction=sent"), wire.toDevice.bytes)
          for (const name of ["class=control", "class=streams", "class=metrics"]) {
            assert.isAbove(spent.today[name] ?? 0, 0)
            assert.strictEqual(spent.today[name], sum(spent.ever, name), `of ${name}: it is all of this day`)
          }
          assert.isAtLeast(spent.today["class=streams"] ?? 0, 50 * 1024)

          yield* operator.kill
          yield* operator.start
          yield* Effect.sleep("1 minute")
          const next = yield* seen
          assert.deepStrictEqual(next.refused, fresh.refused, "its counters begin anew")
          assert.strictEqual(sum(next.ever, "class=streams"), 0)
          assert.strictEqual(next.today["class=streams"], spent.today["class=streams"], "the day goes on")
        })
    ))

  it.live("tell who is there, who is away for how long and why, and how many pods were given up for it", () =>
    inScene(
      { stopWorkloadsAfter: "10m", replaceAfter: "15m" },
      ({ apart, families, first, time, wait }) =>
        Effect.gen(function*() {
          const seen = Effect.map(families, (all) => {
            const { away, connected, replaced } = samplesOf(all)
            const other = samplesOf(all, { ...here, name: "edge-2" })
            assert.deepStrictEqual([other.connected, other.away, other.replaced], [{ "": 1 }, {}, { "": 0 }])
            return { connected: connected[""], away, replaced: replaced[""] }
          })
          assert.deepStrictEqual(yield* seen, { connected: 1, away: {}, replaced: 0 })

          const cut = time.now
          yield* apart(true)
          yield* wait("10 minutes")
          const early = yield* seen
          assert.deepStrictEqual({ ...early, away: Object.keys(early.away) }, {
            connected: 0,
            away: ["reason=LinkDown"],
            replaced: 0
          })
          // It takes 135 s at most until the silence is taken for an absence.
          const silent = early.away["reason=LinkDown"] ?? 0
          assert.isAtLeast(silent, 600 - 135)
          assert.isAtMost(silent, (time.now - cut) / 1000)
          yield* wait("9 minutes")
          const late = yield* seen
          assert.closeTo(late.away["reason=LinkDown"] ?? 0, silent + 540, 0.01)
          assert.deepStrictEqual([late.connected, Object.keys(late.away).length, late.replaced], [0, 1, 2])

          yield* apart(false)
          yield* wait("5 minutes")
          assert.deepStrictEqual(yield* seen, { connected: 1, away: {}, replaced: 2 })
          yield* first.agent.kill
          yield* wait("5 minutes")
          assert.deepStrictEqual(yield* seen, { connected: 0, away: { "reason=AgentDown": 300 }, replaced: 2 })
        })
    ))

  it.live("give the reason that Node and EdgeDevice give, over restarts of the operator and of a device never seen", () =>
    inScene({}, ({ families, first, operator, wait }) =>
      Effect.gen(function*() {
        const api = yield* KubeApi
        const reasons = Effect.fnUntraced(function*(name: string) {
          const conditions = [
            ...(yield* api.get(Nodes, { name })).status?.conditions ?? [],
            ...(yield* api.get(EdgeDevices, { ...here, name })).status?.conditions ?? []
          ].filter(({ type }) => type === "DeviceConnected" || type === "Connected")
          const away = Object.keys(samplesOf(yield* families, { ...here, name }).away)
          return [...conditions.map(({ reason }) => `reason=${reason}`), ...away]
        })
        const allThree = (reason: string) => Array.from({ length: 3 }, () => `reason=${reason}`)
        yield* api.create(EdgeDevices, { ...first.object(), metadata: { ...here, name: "edge-3" } })
        yield* wait("1 minute")
        assert.deepStrictEqual(yield* reasons("edge-3"), allThree("NeverConnected"))
        yield* first.agent.kill
        yield* wait("1 minute")
        assert.deepStrictEqual(yield* reasons("edge-1"), allThree("AgentDown"))
        yield* operator.kill
        yield* operator.start
        yield* wait("10 minutes")
        assert.deepStrictEqual(yield* reasons("edge-1"), allThree("AgentDown"))
        assert.deepStrictEqual(yield* reasons("edge-3"), allThree("NeverConnected"))

        yield* first.agent.start
        yield* wait("1 minute")
        yield* operator.kill
        yield* first.transport.refuse("Refused")
        yield* operator.start
        const said = new Set<string>()
        for (let tenth = 0; tenth < 50; tenth++) {
          yield* wait("100 millis")
          for (const reason of yield* reasons("edge-1")) said.add(reason)
        }
        assert.notInclude([...said], "reason=NeverConnected", "it was there a moment ago")
        assert.deepStrictEqual(yield* reasons("edge-1"), allThree("LinkDown"))
      })))
})

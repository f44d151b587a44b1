/** The example of docs/simulation.md, as it stands there. */
import { assert, it } from "@effect/vitest"
import { readFileSync } from "node:fs"

// example begins
import { Effect, Schedule } from "effect"
import { EdgeDevices } from "../../core/device/EdgeDevice.ts"
import { KubeApi } from "../../core/kube/KubeApi.ts"
import { Pods } from "../../core/kube/Pod.ts"
import { forever } from "../fakes/runtime/Program.ts"
import { simulate } from "./VirtualTime.ts"
import { createNamespaces, makeDevice, makeOperator, worldLayer } from "./World.ts"

/** One device, whose link is down for an hour: how often its container was started. */
const startsInTwoHours = simulate(28, () =>
  Effect.gen(function*() {
    const api = yield* KubeApi
    yield* createNamespaces
    const device = yield* makeDevice("edge-1", 1)
    yield* device.runtime.script(() => true, { run: forever })
    const operator = yield* makeOperator([device])
    yield* operator.start
    yield* api.create(EdgeDevices, device.object())
    yield* device.agent.start

    yield* api.create(Pods, {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { namespace: "edge", name: "web" },
      spec: { nodeName: "edge-1", containers: [{ name: "main", image: "busybox:1.36" }] }
    }).pipe(Effect.retry(Schedule.spaced("1 second").pipe(Schedule.upTo({ times: 60 }))))
    yield* Effect.sleep("10 minutes")
    yield* device.transport.weather({ blackHole: true })
    yield* Effect.sleep("1 hour")
    yield* device.transport.weather({ blackHole: false })
    yield* Effect.sleep("50 minutes")

    const pod = yield* api.get(Pods, { namespace: "edge", name: "web" })
    return { phase: pod.status?.phase, starts: (yield* device.runtime.runs).length }
  }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie))
// example ends

it.live(
  "the World serves tests of one's own: a link is down for an hour, and nothing is started again",
  () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* startsInTwoHours, { phase: "Running", starts: 1 })
    }),
  60_000
)

it("docs/simulation.md shows this very example", () => {
  const text = (path: string) => readFileSync(new URL(path, import.meta.url), "utf8")
  const example = text("./embedding.test.ts").split("// example begins\n")[1]?.split("// example ends")[0] ?? ""
  assert.isAbove(example.length, 500)
  assert.include(text("../../docs/simulation.md"), example.trim())
})

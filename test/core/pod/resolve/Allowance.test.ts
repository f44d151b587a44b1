/** Small pods that come to much: the operator of many devices puts none of them together. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { ConfigMap } from "../../../../core/kube/kinds.ts"
import type { Pod } from "../../../../core/kube/Pod.ts"
import type { Sources } from "../../../../core/pod/resolve/Resolution.ts"
import { resolvePod } from "../../../../core/pod/resolve/resolvePod.ts"
import { QuickCryptography } from "../../../fakes/QuickCryptography.ts"
import { noSources, plainSettings } from "./plain.ts"

const podOf = (container: object, volumes: ReadonlyArray<object> = []) =>
  ({
    metadata: { namespace: "edge", name: "web", uid: "u1" },
    spec: { dnsPolicy: "Default", containers: [{ name: "app", image: "app:1", ...container }], volumes }
  }) as unknown as Pod

const resolved = (pod: Pod, sources: Sources = noSources) =>
  Effect.provide(resolvePod(pod, sources, plainSettings), QuickCryptography.layer)

const isTold = Effect.fnUntraced(function*(pod: Pod, sources?: Sources) {
  const resolution = yield* resolved(pod, sources)
  assert(resolution._tag === "Waiting")
  assert.deepStrictEqual(resolution.notices.map(({ reason }) => reason), ["FailedSync"])
  assert.include(resolution.message, "more than 6291456 bytes")
})

/** A ConfigMap of 900 KB, and how often it was read. */
const large = () => {
  let reads = 0
  const object = {
    metadata: { namespace: "edge", name: "large" },
    get data() {
      reads += 1
      return { text: "x".repeat(900_000) }
    }
  } as unknown as ConfigMap
  return { reads: () => reads, sources: { ...noSources, configMap: () => object } satisfies Sources }
}

describe("a small pod that comes to more than a device is told", () => {
  it.effect("by variables that double what only the device knows", () => {
    const doubling = Array.from({ length: 17 }, (_, i) => ({ name: `A${i + 1}`, value: `$(A${i})$(A${i})` }))
    const users = Array.from({ length: 3000 }, (_, i) => ({ name: `B${i}`, value: "$(A17)" }))
    return isTold(podOf({
      env: [{ name: "A0", valueFrom: { fieldRef: { fieldPath: "status.podIP" } } }, ...doubling, ...users]
    }))
  })

  it.effect("by arguments", () =>
    isTold(podOf({
      env: [{ name: "A", value: "x".repeat(100_000) }],
      args: Array.from({ length: 3000 }, () => "$(A)")
    })))

  it.effect("by the same entry of a ConfigMap under many paths", () => {
    const { reads, sources } = large()
    const items = Array.from({ length: 10_000 }, (_, i) => ({ key: "text", path: `p${i}` }))
    return Effect.andThen(
      isTold(podOf({}, [{ name: "v", configMap: { name: "large", items } }]), sources),
      Effect.sync(() => assert.isBelow(reads(), 20))
    )
  })

  it.effect("by the same ConfigMap in many variables", () => {
    const { reads, sources } = large()
    const env = Array.from({ length: 10_000 }, (_, i) => ({
      name: `V${i}`,
      valueFrom: { configMapKeyRef: { name: "large", key: "text" } }
    }))
    return Effect.andThen(isTold(podOf({ env }), sources), Effect.sync(() => assert.isBelow(reads(), 20)))
  })
})

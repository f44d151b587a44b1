import { assert, describe, it } from "@effect/vitest"
import { Effect, SubscriptionRef } from "effect"
import { decodeEdgeDevice } from "../../../core/device/decodeEdgeDevice.ts"
import type { DeviceContext } from "../../../core/operator/DeviceContext.ts"
import { statusFor } from "../../../core/operator/statusFor.ts"

const shown = Effect.fnUntraced(function*(publishIP: string, hostNetwork: boolean) {
  const device = yield* Effect.orDie(decodeEdgeDevice({
    metadata: { namespace: "edge", name: "edge-1" },
    spec: { connectivity: { method: "grpc" }, pod: { publishIP } }
  }))
  const context = { device: yield* SubscriptionRef.make(device), clockOffset: () => 0 }
  const status = {
    phase: "Running" as const,
    hostIP: "192.168.7.9",
    hostIPs: [{ ip: "192.168.7.9" }, { ip: "10.88.0.254" }, { ip: "fd00::9" }, { ip: "fd01::9" }],
    podIP: "10.88.0.1",
    podIPs: [{ ip: "10.88.0.1" }]
  }
  const { hostIP, hostIPs, podIP, podIPs } = statusFor(
    context as unknown as DeviceContext,
    { metadata: {}, spec: { hostNetwork, containers: [] } },
    { uid: "u1", hash: "", finished: false, status } as unknown as Parameters<typeof statusFor>[2]
  )
  return { hostIP, hostIPs, podIP, podIPs }
})

/** One of each family, the first of them hostIP: the API takes no more. */
const hostIPs = [{ ip: "192.168.7.9" }, { ip: "fd00::9" }]

describe("the addresses in a pod's status", () => {
  it.effect("tell where the pod runs, and its own address only where the owner says that it can be reached", () =>
    Effect.gen(function*() {
      const host = { hostIP: "192.168.7.9", hostIPs }
      const own = { podIP: "10.88.0.1", podIPs: [{ ip: "10.88.0.1" }] }
      assert.deepStrictEqual(yield* shown("auto", false), { ...host, podIP: undefined, podIPs: [] })
      assert.deepStrictEqual(yield* shown("auto", true), { ...host, ...own })
      assert.deepStrictEqual(yield* shown("always", false), { ...host, ...own })
    }))

  it.effect("are taken away where the owner hides them", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* shown("never", true), {
        hostIP: undefined,
        hostIPs: [],
        podIP: undefined,
        podIPs: []
      })
    }))
})

/** One device whose containers run for ever, and an operator that has it. */
import { Effect } from "effect"
import { EdgeDevices } from "../../../core/device/EdgeDevice.ts"
import { KubeApi } from "../../../core/kube/KubeApi.ts"
import { forever } from "../../fakes/runtime/Program.ts"
import { createNamespaces, makeDevice, makeOperator, type SimulatedDevice } from "../../simulation/World.ts"

export const oneDevice = Effect.gen(function*() {
  yield* createNamespaces
  const device = yield* makeDevice("edge-1", 1)
  yield* device.runtime.image("busybox:1.36", {})
  yield* device.runtime.script(() => true, { run: forever })
  return device
})

/** They have been linked for a minute; `seen` is the API as the operator meets it. */
export const operated = Effect.fnUntraced(function*(device: SimulatedDevice, seen: KubeApi["Service"]) {
  const operator = yield* makeOperator([device]).pipe(Effect.provideService(KubeApi, seen))
  yield* operator.start
  yield* (yield* KubeApi).create(EdgeDevices, device.object())
  yield* device.agent.start
  yield* Effect.sleep("1 minute")
  return operator
})

import { assert, describe, it } from "@effect/vitest"
import type { ContainerState, ContainerStatus, Pod, PodStatus } from "../../../core/kube/Pod.ts"
import { takenStatus } from "../../../core/operator/takenStatus.ts"

const status = (name: string, state: ContainerState, restartCount = 0): ContainerStatus => ({
  name,
  image: "",
  imageID: "",
  ready: false,
  restartCount,
  state
})
const ended = (exitCode: number): ContainerState => ({ terminated: { exitCode } })
const running: ContainerState = { running: {} }

const pod = (restartPolicy: string, before: PodStatus): Pod => ({
  metadata: { name: "job" },
  spec: { restartPolicy, containers: [{ name: "c" }] },
  status: before
})

describe("a status as the API takes it", () => {
  it.each([
    ["Always", 0, true],
    ["OnFailure", 1, true],
    ["OnFailure", 0, false],
    ["Never", 1, false]
  ])("under %s leaves an end with %i: %s", (policy, code, leaves) => {
    for (const key of ["containerStatuses", "initContainerStatuses"] as const) {
      const before = status("c", ended(code))
      const after = status("c", running, 1)
      const taken = takenStatus(pod(policy, { [key]: [before] }), { phase: "Running", [key]: [after] })
      assert.deepStrictEqual(taken, { phase: "Running", [key]: [leaves ? after : before] })
    }
  })

  it("has every other container as it is told, and every other end", () => {
    const before = [status("a", running), status("b", ended(0))]
    const after = [status("a", ended(0)), status("b", ended(137), 1), status("new", running)]
    const taken = takenStatus(pod("Never", { containerStatuses: before }), { containerStatuses: after })
    assert.deepStrictEqual(taken.containerStatuses, after)
  })

  it("lets no ephemeral container go on, whatever the policy", () => {
    const before = [status("e", ended(1))]
    const taken = takenStatus(pod("Always", { ephemeralContainerStatuses: before }), {
      ephemeralContainerStatuses: [status("e", running)]
    })
    assert.deepStrictEqual(taken.ephemeralContainerStatuses, before)
  })

  it("has the class that the API gave", () => {
    const given = pod("Always", { qosClass: "Burstable" })
    assert.strictEqual(takenStatus(given, { qosClass: "BestEffort" }).qosClass, "Burstable")
    assert.notProperty(takenStatus(given, { phase: "Running" }), "qosClass")
  })
})

/** Containers added to a pod that runs, which this version accepts and does not start. */
import { skipped, suite } from "../Scenario.ts"

const none = skipped("ephemeral containers are not started yet: an event says so, and the pod goes on without them")

export const ephemeralContainers = suite("[sig-node] Ephemeral Containers", {
  "[NodeConformance] should update the ephemeral containers in an existing pod [Conformance]": none,
  "[NodeConformance] will start an ephemeral container in an existing pod [Conformance]": none
})

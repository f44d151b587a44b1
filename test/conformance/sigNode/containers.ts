/** Command and arguments: the image's own, or the pod's. */
import { Effect } from "effect"
import type { Container } from "../../../core/kube/Pod.ts"
import { mustEqual, podOf, printedBy } from "../podVocabulary.ts"
import { talker } from "../process/images.ts"
import { suite } from "../Scenario.ts"

const tells = (main: Partial<Container>, wanted: string) =>
  Effect.flatMap(
    printedBy(podOf("talker", { image: talker, ...main })),
    (printed) => mustEqual(printed, `${wanted}\n`, "what was started")
  )

export const containers = suite("[sig-node] Containers", {
  "should use the image defaults if command and args are blank [NodeConformance] [Conformance]": tells(
    {},
    "[tell entrypoint default arguments]"
  ),
  "should be able to override the image's default arguments (container cmd) [NodeConformance] [Conformance]": tells(
    { args: ["override", "arguments"] },
    "[tell entrypoint override arguments]"
  ),
  "should be able to override the image's default command (container entrypoint) [NodeConformance] [Conformance]":
    tells({ command: ["/bin/tell-otherwise"] }, "[tell-otherwise]"),
  "should be able to override the image's default command and arguments [NodeConformance] [Conformance]": tells(
    { command: ["/bin/tell-otherwise"], args: ["override", "arguments"] },
    "[tell-otherwise override arguments]"
  )
})

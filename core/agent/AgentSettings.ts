/** What the device's owner may set, with the defaults the documentation states. */
import { Context, type Duration } from "effect"

export const AgentSettings = Context.Reference<{
  readonly version: string
  /** Namespace and name of the EdgeDevice this device is. */
  readonly namespace: string
  readonly device: string
  /** How often the host is looked at; only a change is reported. */
  readonly hostPoll: Duration.Input
  /** How long the operator may take to confirm a report before it is sent again. */
  readonly reportTimeout: Duration.Input
  /** Reports under way at once. */
  readonly reportsAtOnce: number
  /** Grace for pods when the device was deleted from its cluster. */
  readonly retireGrace: Duration.Input
}>("aranya/agent/AgentSettings", {
  defaultValue: () => ({
    version: "0.0.0",
    namespace: "default",
    device: "",
    hostPoll: "1 minute",
    reportTimeout: "1 minute",
    reportsAtOnce: 4,
    retireGrace: "30 seconds"
  })
})

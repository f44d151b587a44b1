/**
 * How long all streams of a SPDY client of exec or attach may take to come, and the other half of each pair of a port-forward's;
 * a kubelet's, unless configured.
 */
import { Context, type Duration } from "effect"

export const StreamCreationTimeout = Context.Reference<Duration.Input>("aranya/kubelet/StreamCreationTimeout", {
  defaultValue: () => "30 seconds"
})

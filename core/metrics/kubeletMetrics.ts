/** `/metrics`: what the operator knows of a node as its kubelet, without asking the device. Pure. */
import type { Pod } from "../kube/Pod.ts"
import type { MetricFamily } from "./exposition.ts"

const stateOf = (
  state: { readonly running?: unknown; readonly terminated?: unknown } | undefined
): "running" | "exited" | "created" =>
  state?.running !== undefined ? "running" : state?.terminated !== undefined ? "exited" : "created"

export const kubeletMetrics = (
  node: string,
  pods: ReadonlyArray<Pod>,
  device: {
    readonly connected: boolean
    /** Milliseconds since the epoch of the last sample of its usage. */
    readonly sampledAt: number | undefined
  }
): ReadonlyArray<MetricFamily> => {
  const states = pods.flatMap(({ status }) =>
    [...status?.initContainerStatuses ?? [], ...status?.containerStatuses ?? []].map(({ state }) => stateOf(state))
  )
  const alone = (
    name: string,
    help: string,
    value: number,
    labels: Readonly<Record<string, string>> = {}
  ): MetricFamily => ({
    name,
    help,
    type: "gauge",
    samples: [{ labels, value }]
  })
  return [
    alone("kubelet_node_name", "The node's name. The count is always 1.", 1, { node }),
    alone("kubelet_active_pods", "Pods bound to the node that have not ended.", active(pods).length),
    alone(
      "kubelet_running_pods",
      "Pods of which a container runs, by the last word of the device.",
      pods.filter(({ status }) => (status?.containerStatuses ?? []).some(({ state }) => state?.running !== undefined))
        .length
    ),
    {
      name: "kubelet_running_containers",
      help: "Containers by state, by the last word of the device.",
      type: "gauge",
      samples: (["running", "exited", "created"] as const).map((state) => ({
        labels: { container_state: state },
        value: states.filter((each) => each === state).length
      }))
    },
    alone(
      "aranya_node_device_connected",
      "1 while a connection carries the link of the device, else 0.",
      device.connected ? 1 : 0
    ),
    ...(device.sampledAt === undefined ? [] : [
      alone(
        "aranya_node_usage_sample_time_seconds",
        "When the usage of device and pods was last measured, in seconds since the epoch.",
        device.sampledAt / 1000
      )
    ])
  ]
}

const active = (pods: ReadonlyArray<Pod>) =>
  pods.filter(({ status }) => status?.phase !== "Succeeded" && status?.phase !== "Failed")

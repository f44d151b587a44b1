/** The labels, taints and annotations by which a virtual Node is known. */
export const labels = {
  role: "arhat.dev/role",
  name: "arhat.dev/name",
  namespace: "arhat.dev/namespace"
} as const

export const roleEdgeDevice = "EdgeDevice"

/** On each Node: pods of other namespaces' owners do not land here by accident. */
export const namespaceTaint = "arhat.dev/namespace"
/** While the device is away: nothing new is scheduled there. */
export const disconnectedTaint = "arhat.dev/disconnected"

/** Somebody has given the machine up: Kubernetes lets go of what is Terminating there once the Node is not Ready. */
export const outOfServiceTaint = "node.kubernetes.io/out-of-service"

export const annotations = {
  /** Which EdgeDevice, by uid, and which installation of aranya this Node belongs to. */
  owner: "aranya.arhat.dev/owner",
  installation: "aranya.arhat.dev/installation",
  /** Where metrics-server finds this node's resource metrics on the shared listener (metrics-server 0.7). */
  resourceMetricsPath: "metrics.k8s.io/resource-metrics-path"
} as const

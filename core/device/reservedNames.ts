/** Label, annotation and taint keys that are not the owner's to set, and the syntax of those that are. */

const reservedLabels: ReadonlySet<string> = new Set([
  "kubernetes.io/hostname",
  "kubernetes.io/os",
  "kubernetes.io/arch",
  "beta.kubernetes.io/os",
  "beta.kubernetes.io/arch",
  "type",
  "metrics.k8s.io/resource-metrics-path"
])

/** What aranya keeps for itself is below this domain, now and in time to come. */
const ours = /^(?:[^/]*\.)?arhat\.dev\//u

/** For messages. */
export const reservedNames =
  "arhat.dev/*, *.arhat.dev/*, kubernetes.io/hostname, kubernetes.io/os, kubernetes.io/arch, type"

export const isReservedLabel = (key: string): boolean => ours.test(key) || reservedLabels.has(key)

/** The node lifecycle controller owns node.kubernetes.io; it would take away what it did not set. */
export const isReservedTaint = (key: string): boolean =>
  key.startsWith("arhat.dev/") || key.startsWith("node.kubernetes.io/")

const namePart = /^[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$/u
const subdomain = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/u

/** `[prefix/]name` as Kubernetes wants keys. */
export const isQualifiedName = (key: string): boolean => {
  const parts = key.split("/")
  if (parts.length === 1) return namePart.test(key)
  const [prefix = "", name = ""] = parts
  return parts.length === 2 && prefix.length <= 253 && subdomain.test(prefix) && namePart.test(name)
}

export const isLabelValue = (value: string): boolean => value === "" || namePart.test(value)

/**
 * Policy keep: pods bound to the device tolerate a Node that is not ready or unreachable for ever, so that they are not
 * evicted even while aranya itself is down. Of a bound pod's tolerations only tolerationSeconds may change, and that is all
 * that is changed here.
 */
import type { Pod } from "../kube/Pod.ts"

const kept = new Set(["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"])

/** The JSON patch, or undefined when the pod tolerates them for ever already. */
export const keepTolerations = (pod: Pod): ReadonlyArray<unknown> | undefined => {
  const tolerations = pod.spec.tolerations ?? []
  const patch = tolerations.flatMap((toleration, index) =>
    kept.has(toleration.key ?? "") && toleration.effect === "NoExecute" && toleration.tolerationSeconds !== undefined
      ? [
        // The list may have changed since it was read: an index is only good for the toleration it was taken from.
        { op: "test", path: `/spec/tolerations/${index}/key`, value: toleration.key },
        { op: "remove", path: `/spec/tolerations/${index}/tolerationSeconds` }
      ]
      : []
  )
  return patch.length === 0 ? undefined : patch
}

/**
 * Policy keep: pods bound to the device tolerate a Node that is not ready or unreachable for ever, so that they are not
 * evicted even while aranya itself is down. Of a bound pod's tolerations only tolerationSeconds may change, and more may be
 * added. One of every taint keeps its seconds, which are for the other taints too: ours are put before it, as the first that
 * tolerates a taint counts.
 */
import type { Pod, Toleration } from "../kube/Pod.ts"

const kept = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"]

const tolerates = ({ effect = "", key = "", operator, value = "" }: Toleration, taint: string) =>
  (effect === "" || effect === "NoExecute") && (key === "" || key === taint) &&
  (operator === "Exists" || (key !== "" && value === ""))

/** The JSON patch, or undefined when the pod tolerates them for ever already. */
export const keepTolerations = (pod: Pod): ReadonlyArray<unknown> | undefined => {
  const tolerations = pod.spec.tolerations ?? []
  const path = "/spec/tolerations"
  // The list may have changed since it was read: an index is only good for the toleration it was taken from.
  const shortened = tolerations.flatMap(({ effect, key = "", tolerationSeconds }, index) =>
    kept.includes(key) && effect === "NoExecute" && tolerationSeconds !== undefined
      ? [
        { op: "test", path: `${path}/${index}/key`, value: key },
        { op: "remove", path: `${path}/${index}/tolerationSeconds` }
      ]
      : []
  )
  const added = kept.flatMap((key) => {
    const first = tolerations.find((toleration) => tolerates(toleration, key))
    return first !== undefined && (first.key ?? "") === "" && first.tolerationSeconds !== undefined
      ? [{ op: "add", path: `${path}/0`, value: { key, operator: "Exists", effect: "NoExecute" } }]
      : []
  })
  const patch = [...shortened, ...added]
  return patch.length === 0 ? undefined : patch
}

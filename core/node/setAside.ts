/** Pods that another stands in for while their device is away keep their labels in an annotation. */
import type { Pod } from "../kube/Pod.ts"

/** JSON: the labels of a pod that was set aside. */
export const asideAnnotation = "aranya.arhat.dev/set-aside"
/** What a ReplicaSet goes by when it has one pod too many (KEP-2255). */
export const deletionCost = "controller.kubernetes.io/pod-deletion-cost"
/** Until when a pod that is back is the last that its controller would delete; goes with the cost that says so. */
export const favouredAnnotation = "aranya.arhat.dev/favoured-until"

/** What was kept; an annotation that somebody edited beyond reading keeps nothing. */
export const labelsOf = (pod: Pod): Readonly<Record<string, string>> => {
  try {
    const kept: unknown = JSON.parse(pod.metadata.annotations?.[asideAnnotation] ?? "{}")
    if (typeof kept !== "object" || kept === null || Array.isArray(kept)) return {}
    return Object.fromEntries(
      Object.entries(kept).flatMap(([key, value]) => typeof value === "string" ? [[key, value]] : [])
    )
  } catch {
    return {}
  }
}

export const isAside = ({ metadata }: Pod): boolean => metadata.annotations?.[asideAnnotation] !== undefined

/** The pod as its owner wrote it: what it runs must not change for having been set aside, nor for being back. */
export const withoutAside = (pod: Pod): Pod => {
  const { [asideAnnotation]: aside, [favouredAnnotation]: favoured, ...others } = pod.metadata.annotations ?? {}
  if (aside === undefined && favoured === undefined) return pod
  const { [deletionCost]: _, ...unfavoured } = others
  const annotations = favoured === undefined ? others : unfavoured
  const labels = aside === undefined ? pod.metadata.labels : { ...labelsOf(pod), ...pod.metadata.labels }
  return { ...pod, metadata: { ...pod.metadata, annotations, ...(labels === undefined ? {} : { labels }) } }
}

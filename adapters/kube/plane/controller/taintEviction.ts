/** Deletes pods that do not, or no longer, tolerate a NoExecute taint of their node. */
import { Effect } from "effect"
import { numberAt, objectsAt, stringAt } from "../object/json.ts"
import { isDeleting, type KubeObject, nameOf, namespaceOf, uidOf } from "../object/KubeObject.ts"
import { moment, parseTimestamp } from "../object/Moment.ts"
import { withCondition } from "../request/podSubresources.ts"
import { change, discard, remark } from "./acting.ts"
import { controller } from "./controller.ts"
import { hasEnded, tolerates } from "./scheduling.ts"

const component = "taint-eviction-controller"

/** A pod, and since when it is known to stand under a taint. */
interface Seen {
  readonly uid: string
  readonly since: number
}

/**
 * When the pod has to go: never (Infinity), or a moment that may have passed. A taint that does not say when it was added counts
 * from `seen`.
 */
const deadline = (pod: KubeObject, node: KubeObject, now: number, seen: number): number => {
  const taints = objectsAt(node, "spec", "taints").filter((taint) => stringAt(taint, "effect") === "NoExecute")
  const tolerations = objectsAt(pod, "spec", "tolerations")
  let earliest = Infinity
  for (const taint of taints) {
    // The manager looks no further than the first.
    const used = tolerations.find((toleration) => tolerates(toleration, taint))
    if (used === undefined) return now
    const seconds = numberAt(used, "tolerationSeconds") ?? Infinity
    // A pod that came after the taint is granted its whole time: the manager counts from when it saw both.
    const since = Math.max(
      parseTimestamp(stringAt(taint, "timeAdded")) ?? seen,
      parseTimestamp(stringAt(pod, "metadata", "creationTimestamp")) ?? 0
    )
    earliest = Math.min(earliest, since + Math.max(0, seconds) * 1000)
  }
  return earliest
}

export const taintEviction = controller({
  name: "taint-eviction",
  state: () => new Map<string, Seen>(),
  watches: [
    {
      collection: "pods",
      keys: ({ revision }) => [`${namespaceOf(revision.object)}/${nameOf(revision.object)}`]
    },
    {
      collection: "nodes",
      keys: ({ revision }, world) =>
        world.store.where("pods", "spec.nodeName", nameOf(revision.object)).map(({ object }) =>
          `${namespaceOf(object)}/${nameOf(object)}`
        )
    }
  ],
  reconcile: Effect.fnUntraced(function*(world, key, seen) {
    const [namespace = "", name = ""] = key.split("/")
    const pod = world.store.get("pods", namespace, name)?.object
    const before = seen.get(key)
    seen.delete(key)
    if (pod === undefined || isDeleting(pod) || hasEnded(pod)) return undefined
    const node = world.store.get("nodes", "", stringAt(pod, "spec", "nodeName") ?? "")?.object
    if (node === undefined) return undefined
    const { now } = yield* moment
    const uid = uidOf(pod)
    const since = before?.uid === uid ? before.since : now
    const due = deadline(pod, node, now, since)
    if (due === Infinity) return undefined
    if (due > now) {
      seen.set(key, { uid, since })
      return { after: due - now }
    }
    yield* remark(world, pod, {
      component,
      type: "Normal",
      reason: "TaintManagerEviction",
      message: `Marking for deletion Pod ${namespace}/${name}`
    })
    yield* change(world, "pods", pod, "status", (current) =>
      withCondition(current, {
        type: "DisruptionTarget",
        status: "True",
        reason: "DeletionByTaintManager",
        message: "Taint manager: deleting due to NoExecute taint"
      }, now))
    yield* discard(world, "pods", pod)
    return undefined
  })
})

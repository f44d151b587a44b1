/** Removes pods nobody will finish any more: those of nodes that are gone, or out of service, and unbound ones being deleted. */
import { Effect } from "effect"
import { objectsAt, stringAt, withAt } from "../object/json.ts"
import { isDeleting, type KubeObject } from "../object/KubeObject.ts"
import { moment } from "../object/Moment.ts"
import { withCondition } from "../request/podSubresources.ts"
import type { World } from "../request/World.ts"
import { change, discard } from "./acting.ts"
import { controller } from "./controller.ts"
import { readyStatus } from "./nodeLifecycle.ts"
import { hasEnded } from "./scheduling.ts"

/** A node that vanished may come back within this time. */
const quarantineMillis = 40_000

const finish = Effect.fnUntraced(function*(world: World, pod: KubeObject, why: string) {
  const { now } = yield* moment
  yield* change(world, "pods", pod, "status", (current) => {
    const targeted = withCondition(current, {
      type: "DisruptionTarget",
      status: "True",
      reason: "DeletionByPodGC",
      message: why
    }, now)
    return hasEnded(current) ? targeted : withAt(targeted, ["status", "phase"], "Failed")
  })
  yield* discard(world, "pods", pod, { gracePeriodSeconds: 0 })
})

const isOutOfService = (node: KubeObject): boolean =>
  readyStatus(node) !== "True" &&
  objectsAt(node, "spec", "taints").some((taint) => stringAt(taint, "key") === "node.kubernetes.io/out-of-service")

export const podGarbage = controller({
  name: "pod-garbage-collector",
  watches: [],
  tick: { every: "20 seconds", key: "" },
  state: () => new Map<string, number>(),
  reconcile: Effect.fnUntraced(function*(world, _, missingSince) {
    const { now } = yield* moment
    const missing = new Set<string>()
    for (const { object: pod } of [...world.store.objects("pods")]) {
      const nodeName = stringAt(pod, "spec", "nodeName") ?? ""
      const node = world.store.get("nodes", "", nodeName)?.object
      if (nodeName === "") {
        if (isDeleting(pod)) yield* finish(world, pod, "PodGC: unscheduled pod was being deleted")
        continue
      }
      if (node !== undefined) {
        if (isDeleting(pod) && isOutOfService(node)) yield* finish(world, pod, "PodGC: node is out of service")
        continue
      }
      missing.add(nodeName)
      const since = missingSince.get(nodeName) ?? now
      missingSince.set(nodeName, since)
      if (now - since >= quarantineMillis) yield* finish(world, pod, "PodGC: node no longer exists")
    }
    for (const name of missingSince.keys()) if (!missing.has(name)) missingSince.delete(name)
  })
})

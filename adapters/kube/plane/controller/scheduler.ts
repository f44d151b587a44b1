/** Binds pods without a node to the fitting node with the fewest pods. */
import { Effect } from "effect"
import { objectsAt, stringAt } from "../object/json.ts"
import { isDeleting, type KubeObject, nameOf, namespaceOf } from "../object/KubeObject.ts"
import { moment } from "../object/Moment.ts"
import { bindPod, withCondition } from "../request/podSubresources.ts"
import { controllerUser, type World } from "../request/World.ts"
import { change, remark } from "./acting.ts"
import { controller } from "./controller.ts"
import { hasEnded, isGated, obstacle } from "./scheduling.ts"

const component = "default-scheduler"

const isWaiting = (pod: KubeObject): boolean =>
  !stringAt(pod, "spec", "nodeName") && !isDeleting(pod) && !hasEnded(pod) &&
  (stringAt(pod, "spec", "schedulerName") ?? component) === component

const keyOf = (pod: KubeObject) => `${namespaceOf(pod)}/${nameOf(pod)}`

/** Pods without a node; the index makes this cost only as many as wait. */
const waiting = (world: World): ReadonlyArray<string> =>
  world.store.where("pods", "spec.nodeName", "").map(({ object }) => object).filter(isWaiting).map(keyOf)

const refuse = (world: World, pod: KubeObject, message: string, reason = "Unschedulable") =>
  Effect.gen(function*() {
    const { now } = yield* moment
    const told = objectsAt(pod, "status", "conditions").some((condition) => stringAt(condition, "message") === message)
    yield* change(world, "pods", pod, "status", (current) =>
      withCondition(current, { type: "PodScheduled", status: "False", reason, message }, now))
    if (!told) {
      yield* remark(world, pod, { component, type: "Warning", reason: "FailedScheduling", message })
    }
  })

export const scheduler = controller({
  name: "scheduler",
  watches: [
    {
      collection: "pods",
      keys: ({ type, revision }) => type !== "DELETED" && isWaiting(revision.object) ? [keyOf(revision.object)] : []
    },
    // A node that came or changed, or a pod that left, may make room.
    { collection: "nodes", keys: ({ type }, world) => type === "DELETED" ? [] : waiting(world) },
    {
      collection: "pods",
      keys: ({ type, revision }, world) => type === "DELETED" || hasEnded(revision.object) ? waiting(world) : []
    }
  ],
  reconcile: Effect.fnUntraced(function*(world, key) {
    const [namespace = "", name = ""] = key.split("/")
    const pod = world.store.get("pods", namespace, name)?.object
    if (pod === undefined || !isWaiting(pod)) return
    if (isGated(pod)) {
      return yield* refuse(world, pod, "Scheduling is blocked due to non-empty scheduling gates", "SchedulingGated")
    }
    const obstacles = new Map<string, number>()
    let best: KubeObject | undefined
    let fewest = Infinity
    const nodes = [...world.store.objects("nodes")]
    for (const { object: node } of nodes) {
      const why = obstacle(world.store, pod, node)
      if (why !== undefined) {
        obstacles.set(why, (obstacles.get(why) ?? 0) + 1)
        continue
      }
      const count = world.store.where("pods", "spec.nodeName", nameOf(node)).length
      if (count < fewest) {
        best = node
        fewest = count
      }
    }
    if (best === undefined) {
      const reasons = [...obstacles].map(([why, count]) => `${count} ${why}`).join(", ")
      return yield* refuse(world, pod, `0/${nodes.length} nodes are available${reasons === "" ? "" : `: ${reasons}`}.`)
    }
    const type = world.registry.ofCollection("pods")
    if (type === undefined) return
    const binding = { target: { kind: "Node", name: nameOf(best) } }
    yield* Effect.fromResult(
      bindPod(world, type, namespace, name, binding, { user: controllerUser, moment: yield* moment, dryRun: false })
    )
    yield* remark(world, pod, {
      component,
      type: "Normal",
      reason: "Scheduled",
      message: `Successfully assigned ${namespace}/${name} to ${nameOf(best)}`
    })
  })
})

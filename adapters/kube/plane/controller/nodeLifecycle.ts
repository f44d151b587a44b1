/**
 * Judges nodes by lease and heartbeat: silent ones become Unknown and tainted, their pods not ready; when every node is
 * silent the fault is taken to be the control plane's own and nothing is evicted (master disruption mode).
 */
import { Context, Duration, Effect } from "effect"
import { equal, type JsonObject, objectsAt, stringAt, withAt } from "../object/json.ts"
import { isDeleting, type KubeObject, nameOf } from "../object/KubeObject.ts"
import { moment, timestamp } from "../object/Moment.ts"
import { withCondition } from "../request/podSubresources.ts"
import type { World } from "../request/World.ts"
import { change, remark } from "./acting.ts"
import { controller } from "./controller.ts"

/** kube-controller-manager's defaults. */
export const NodeLifecycleTiming = Context.Reference<{
  readonly gracePeriod: Duration.Input
  readonly monitorPeriod: Duration.Input
  readonly startupGracePeriod: Duration.Input
}>("aranya/plane/NodeLifecycleTiming", {
  defaultValue: () => ({ gracePeriod: "50 seconds", monitorPeriod: "5 seconds", startupGracePeriod: "60 seconds" })
})

const component = "node-controller"
const notReady = "node.kubernetes.io/not-ready"
const unreachable = "node.kubernetes.io/unreachable"

const conditionTaints: ReadonlyArray<readonly [type: string, status: string, key: string]> = [
  ["MemoryPressure", "True", "node.kubernetes.io/memory-pressure"],
  ["DiskPressure", "True", "node.kubernetes.io/disk-pressure"],
  ["PIDPressure", "True", "node.kubernetes.io/pid-pressure"],
  ["NetworkUnavailable", "True", "node.kubernetes.io/network-unavailable"]
]

const conditionOf = (node: KubeObject, type: string): JsonObject | undefined =>
  objectsAt(node, "status", "conditions").find((condition) => stringAt(condition, "type") === type)

export const readyStatus = (node: KubeObject): string => stringAt(conditionOf(node, "Ready"), "status") ?? "Unknown"

const leaseOf = (world: World, name: string): KubeObject | undefined =>
  world.store.get("leases.coordination.k8s.io", "kube-node-lease", name)?.object

interface Heard {
  /** Of the Ready condition. */
  readonly heartbeat: string | undefined
  /** Of the Lease: a MicroTime, whose texts sort as the times do. */
  readonly renewed: string | undefined
  /** By this controller's own clock: device clocks are not to be trusted. */
  readonly at: number
  /** The Node, if it was as it should be, and its Lease: while neither is another, only time can change the verdict. */
  readonly settled?: KubeObject
  readonly lease?: KubeObject | undefined
}

/** Any other heartbeat is a sign of life; of renewals only one that is later than the one before, as in kube-controller-manager. */
const listen = (node: KubeObject, lease: KubeObject | undefined, last: Heard | undefined, now: number): Heard => {
  const renewal = stringAt(lease, "spec", "renewTime")
  const heartbeat = stringAt(conditionOf(node, "Ready"), "lastHeartbeatTime")
  const isLater = renewal !== undefined && (last?.renewed === undefined || renewal > last.renewed)
  if (last === undefined || last.heartbeat !== heartbeat) {
    return { heartbeat, renewed: isLater ? renewal : undefined, at: now }
  }
  return isLater ? { heartbeat, renewed: renewal, at: now } : last
}

const silence = (world: World, node: KubeObject, now: number) =>
  change(world, "nodes", node, "status", (current) => {
    let result = current
    for (const type of ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"]) {
      const before = conditionOf(current, type)
      if (stringAt(before, "status") === "Unknown") continue
      const never = before === undefined
      result = withCondition(result, {
        type,
        status: "Unknown",
        reason: never ? "NodeStatusNeverUpdated" : "NodeStatusUnknown",
        message: never ? "Kubelet never posted node status." : "Kubelet stopped posting node status.",
        lastHeartbeatTime: stringAt(before, "lastHeartbeatTime") ?? timestamp(now)
      }, now)
    }
    return result
  })

const unreadyPods = Effect.fnUntraced(function*(world: World, node: KubeObject, now: number) {
  for (const { object: pod } of world.store.where("pods", "spec.nodeName", nameOf(node))) {
    const ready = objectsAt(pod, "status", "conditions").find((condition) => stringAt(condition, "type") === "Ready")
    if (stringAt(ready, "status") !== "True") continue
    yield* change(
      world,
      "pods",
      pod,
      "status",
      (current) => withCondition(current, { type: "Ready", status: "False" }, now)
    )
    yield* remark(world, pod, { component, type: "Warning", reason: "NodeNotReady", message: "Node is not ready" })
  }
})

const managed = new Set([notReady, unreachable, ...conditionTaints.map(([, , key]) => key)])

/** The taints the conditions ask for; NoExecute ones keep the time they were added. */
const taintsOf = (node: KubeObject, isDisruption: () => boolean, now: number): ReadonlyArray<JsonObject> => {
  const before = objectsAt(node, "spec", "taints")
  const foreign = before.filter((taint) => !managed.has(stringAt(taint, "key") ?? ""))
  const wanted: Array<JsonObject> = conditionTaints.flatMap(([type, status, key]) =>
    stringAt(conditionOf(node, type), "status") === status ? [{ key, effect: "NoSchedule" }] : []
  )
  const ready = readyStatus(node)
  if (ready !== "True") {
    const key = ready === "False" ? notReady : unreachable
    wanted.push({ key, effect: "NoSchedule" })
    const evicting = before.some((taint) => stringAt(taint, "key") === key && stringAt(taint, "effect") === "NoExecute")
    if (evicting || !isDisruption()) wanted.push({ key, effect: "NoExecute" })
  }
  const kept = wanted.map((taint): JsonObject => {
    const same = before.find((other) => other["key"] === taint["key"] && other["effect"] === taint["effect"])
    return same ?? { ...taint, timeAdded: timestamp(now) }
  })
  return [...foreign, ...kept]
}

/** Asked only for nodes that are not ready, since it looks at all of them. */
const isDisrupted = (world: World): boolean => {
  for (const { object } of world.store.objects("nodes")) {
    if (readyStatus(object) === "True" && !isDeleting(object)) return false
  }
  return true
}

const isSilent = (heard: Heard, now: number, grace: number) => now - heard.at > grace

export const nodeLifecycle = controller({
  name: "node-lifecycle",
  watches: [{ collection: "nodes", keys: ({ revision }) => [nameOf(revision.object)] }],
  tick: { every: "5 seconds", key: "" },
  state: () => new Map<string, Heard>(),
  reconcile: Effect.fnUntraced(function*(world, key, heard) {
    const timing = yield* NodeLifecycleTiming
    const { now } = yield* moment
    const grace = Duration.toMillis(Duration.fromInputUnsafe(timing.gracePeriod))
    const startup = Duration.toMillis(Duration.fromInputUnsafe(timing.startupGracePeriod))
    const revisions = key === ""
      ? [...world.store.objects("nodes")]
      : [world.store.get("nodes", "", key)].filter((r) => r !== undefined)
    const concerned = revisions.map(({ object }) => object).filter((node) => !isDeleting(node))
    if (key === "") {
      for (const name of heard.keys()) if (world.store.get("nodes", "", name) === undefined) heard.delete(name)
    }
    for (const node of concerned) {
      const name = nameOf(node)
      const lease = leaseOf(world, name)
      const last = heard.get(name)
      if (last?.settled === node && last.lease === lease && !isSilent(last, now, grace)) continue
      const known = listen(node, lease, last, now)
      heard.set(name, known)
      const patience = conditionOf(node, "Ready") === undefined ? startup : grace
      const isKnownUnknown = stringAt(conditionOf(node, "Ready"), "status") === "Unknown"
      if (isSilent(known, now, patience) && !isKnownUnknown) {
        yield* silence(world, node, now)
        yield* remark(world, node, {
          component,
          type: "Normal",
          reason: "NodeNotReady",
          message: `Node ${name} status is now: NodeNotReady`
        })
      }
      const current = world.store.get("nodes", "", name)?.object
      if (current === undefined) continue
      if (readyStatus(current) !== "True") yield* unreadyPods(world, current, now)
      const taints = taintsOf(current, () => isDisrupted(world), now)
      if (!equal(taints, objectsAt(current, "spec", "taints"))) {
        yield* change(world, "nodes", current, "main", (each) => withAt(each, ["spec", "taints"], taints))
      } else if (readyStatus(current) === "True") {
        heard.set(name, { ...heard.get(name) ?? known, settled: current, lease })
      }
    }
  })
})

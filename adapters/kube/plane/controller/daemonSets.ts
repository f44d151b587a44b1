/** Keeps one pod of a DaemonSet on each node that it may run on. */
import { Effect } from "effect"
import { at, equal, type JsonObject, numberAt, objectAt, objectsAt, stringAt, withAt } from "../object/json.ts"
import { isDeleting, type KubeObject, labelsOf, nameOf } from "../object/KubeObject.ts"
import { isReady } from "../object/podReadiness.ts"
import type { Change } from "../store/Collection.ts"
import { change, discard, make, remark } from "./acting.ts"
import { controller } from "./controller.ts"
import { selectorMatches, untolerated } from "./scheduling.ts"
import { revisionLabel, templateHash } from "./templateHash.ts"
import { controlled, isActive, keyOf, ownerKey, ownKey, podFromTemplate } from "./workloadPods.ts"

const component = "daemonset-controller"

/** Daemons stay through every trouble of their node. */
const daemonTolerations: ReadonlyArray<JsonObject> = [
  ...["not-ready", "unreachable"].map((key) => ({
    key: `node.kubernetes.io/${key}`,
    operator: "Exists",
    effect: "NoExecute"
  })),
  ...["disk-pressure", "memory-pressure", "pid-pressure", "unschedulable"].map((key) => ({
    key: `node.kubernetes.io/${key}`,
    operator: "Exists",
    effect: "NoSchedule"
  }))
]

const daemonPod = (set: KubeObject, node: string): JsonObject => {
  const spec = objectAt(set, "spec", "template", "spec")
  const term = { matchFields: [{ key: "metadata.name", operator: "In", values: [node] }] }
  return podFromTemplate(set, {
    labels: { [revisionLabel]: templateHash(set) },
    spec: {
      tolerations: [...objectsAt(spec, "tolerations"), ...daemonTolerations],
      affinity: {
        ...objectAt(spec, "affinity"),
        nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [term] } }
      }
    }
  })
}

const pinnedNode = (pod: KubeObject): string => {
  const required = objectAt(pod, "spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
  const field = objectsAt(objectsAt(required, "nodeSelectorTerms")[0], "matchFields")[0]
  const value = at(field, "values")
  return Array.isArray(value) ? String(value[0]) : ""
}

const nodeOf = (pod: KubeObject): string => stringAt(pod, "spec", "nodeName") || pinnedNode(pod)

/** Whether the set's pods belong on the node; a running one also stays on a node that only refuses new pods. */
const belongs = (set: KubeObject, node: KubeObject, running: boolean): boolean => {
  const probe = { spec: { ...objectAt(set, "spec", "template", "spec") } }
  const tolerations = [...objectsAt(probe, "spec", "tolerations"), ...daemonTolerations]
  const tolerant = withAt(probe, ["spec", "tolerations"], tolerations)
  return selectorMatches(probe, node) &&
    untolerated(tolerant, node, running ? ["NoExecute"] : ["NoSchedule", "NoExecute"]) === undefined
}

/** Heartbeats change nothing about where daemons belong. */
const concernsPlacement = ({ type, revision, previous }: Change): boolean =>
  type !== "MODIFIED" || previous === undefined ||
  !equal(revision.object["spec"], previous.object["spec"]) ||
  !equal(labelsOf(revision.object), labelsOf(previous.object))

export const daemonSets = controller({
  name: "daemonset",
  watches: [
    { collection: "daemonsets.apps", keys: ownKey },
    { collection: "pods", keys: ownerKey("DaemonSet") },
    {
      collection: "nodes",
      keys: (change, world) =>
        concernsPlacement(change) ? [...world.store.objects("daemonsets.apps")].map(({ object }) => keyOf(object)) : []
    }
  ],
  reconcile: Effect.fnUntraced(function*(world, key) {
    const [namespace = "", name = ""] = key.split("/")
    const set = world.store.get("daemonsets.apps", namespace, name)?.object
    if (set === undefined || isDeleting(set)) return
    const nodes = [...world.store.objects("nodes")].map(({ object }) => object)
    const pods = controlled(world, "pods", set)
    const byNode = new Map<string, Array<KubeObject>>()
    for (const pod of pods) byNode.set(nodeOf(pod), [...byNode.get(nodeOf(pod)) ?? [], pod])
    const revision = templateHash(set)
    const isUpdated = (pod: KubeObject) => labelsOf(pod)[revisionLabel] === revision
    const rolling = stringAt(set, "spec", "updateStrategy", "type") !== "OnDelete"
    let misplaced = 0
    let desired = 0
    let unready = pods.some((pod) => isDeleting(pod) || !isReady(pod))
    const outdated: Array<KubeObject> = []
    for (const node of nodes) {
      const here = byNode.get(nameOf(node)) ?? []
      const active = here.filter(isActive)
      if (!belongs(set, node, active.length > 0)) {
        misplaced += active.length
        for (const pod of active) yield* discard(world, "pods", pod)
        continue
      }
      desired += 1
      for (const pod of here) {
        if (stringAt(pod, "status", "phase") === "Failed" && !isDeleting(pod)) yield* discard(world, "pods", pod)
      }
      if (here.filter((pod) => isActive(pod) || isDeleting(pod)).length === 0) {
        const made = yield* make(world, "pods", namespace, daemonPod(set, nameOf(node)))
        unready = true
        yield* remark(world, set, {
          component,
          type: "Normal",
          reason: "SuccessfulCreate",
          message: `Created pod: ${nameOf(made.object)}`
        })
        continue
      }
      outdated.push(...active.filter((pod) => !isUpdated(pod)))
    }
    // One node at a time, and none while another is not ready; what is not ready itself is no loss.
    for (const pod of rolling ? outdated : []) {
      if (unready && isReady(pod)) continue
      unready = true
      yield* discard(world, "pods", pod)
    }
    const now = controlled(world, "pods", set).filter(isActive)
    const ready = now.filter(isReady).length
    yield* change(world, "daemonsets.apps", set, "status", (current) =>
      withAt(current, ["status"], {
        ...objectAt(current, "status"),
        currentNumberScheduled: now.length,
        desiredNumberScheduled: desired,
        numberMisscheduled: misplaced,
        numberReady: ready,
        numberAvailable: ready,
        numberUnavailable: desired - ready,
        updatedNumberScheduled: now.filter(isUpdated).length,
        observedGeneration: numberAt(current, "metadata", "generation") ?? 0
      }))
  })
})

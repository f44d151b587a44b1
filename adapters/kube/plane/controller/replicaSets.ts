/** Keeps as many pods of a ReplicaSet as it asks for. */
import { Effect } from "effect"
import { at, numberAt, objectAt, stringAt, withAt } from "../object/json.ts"
import {
  controllerOf,
  controllerReference,
  isDeleting,
  type KubeObject,
  labelsOf,
  nameOf,
  namespaceOf
} from "../object/KubeObject.ts"
import { isReady } from "../object/podReadiness.ts"
import type { World } from "../request/World.ts"
import type { Change } from "../store/Collection.ts"
import { labelSelector } from "../store/labelSelector.ts"
import { change, discard, make, remark } from "./acting.ts"
import { controller } from "./controller.ts"
import { controlled, isActive, keyOf, ownerKey, ownKey, podFromTemplate } from "./workloadPods.ts"

const component = "replicaset-controller"

/** Pods that do the least go first: unbound before bound, pending before running, not ready before ready, newest first. */
const worth = (pod: KubeObject): number =>
  (stringAt(pod, "spec", "nodeName") ? 4 : 0) + (stringAt(pod, "status", "phase") === "Running" ? 2 : 0) +
  (isReady(pod) ? 1 : 0)

/** KEP-2255: of pods that are worth the same otherwise, those with less cost go first. */
const cost = (pod: KubeObject): number =>
  Number(stringAt(pod, "metadata", "annotations", "controller.kubernetes.io/pod-deletion-cost") ?? "0") || 0

const byWorth = (left: KubeObject, right: KubeObject): number =>
  worth(left) - worth(right) || cost(left) - cost(right) ||
  Number(stringAt(right, "metadata", "resourceVersion")) - Number(stringAt(left, "metadata", "resourceVersion"))

const selectorOf = (set: KubeObject) => labelSelector(objectAt(set, "spec", "selector"))

/** Sets that would have a pod which nobody controls. */
const orphanKeys = ({ revision: { object } }: Change, world: World): ReadonlyArray<string> =>
  controllerOf(object) !== undefined
    ? []
    : [...world.store.objects("replicasets.apps")].flatMap(({ object: set }) =>
      namespaceOf(set) === namespaceOf(object) && selectorOf(set)(labelsOf(object)) ? [keyOf(set)] : []
    )

/** Lets go of pods whose labels no longer fit, and takes in those that nobody controls and that fit. */
const claim = Effect.fnUntraced(function*(world: World, set: KubeObject) {
  const fits = selectorOf(set)
  for (const pod of controlled(world, "pods", set)) {
    if (fits(labelsOf(pod)) || isDeleting(pod)) continue
    yield* change(world, "pods", pod, "main", (each) => withAt(each, ["metadata", "ownerReferences"], []))
  }
  if (isDeleting(set)) return
  for (const { object: pod } of [...world.store.objects("pods")]) {
    const stray = namespaceOf(pod) === namespaceOf(set) && controllerOf(pod) === undefined
    if (!stray || !fits(labelsOf(pod)) || !isActive(pod)) continue
    yield* change(
      world,
      "pods",
      pod,
      "main",
      (each) => withAt(each, ["metadata", "ownerReferences"], [controllerReference(set)])
    )
  }
})

export const replicaSets = controller({
  name: "replicaset",
  watches: [
    { collection: "replicasets.apps", keys: ownKey },
    { collection: "pods", keys: ownerKey("ReplicaSet") },
    { collection: "pods", keys: orphanKeys }
  ],
  reconcile: Effect.fnUntraced(function*(world, key) {
    const [namespace = "", name = ""] = key.split("/")
    const set = world.store.get("replicasets.apps", namespace, name)?.object
    if (set === undefined) return
    yield* claim(world, set)
    const pods = controlled(world, "pods", set)
    const active = pods.filter(isActive)
    const wanted = numberAt(set, "spec", "replicas") ?? 1
    if (!isDeleting(set)) {
      for (let missing = active.length; missing < wanted; missing++) {
        const pod = yield* make(world, "pods", namespace, podFromTemplate(set)).pipe(
          Effect.tapError((error) =>
            remark(world, set, {
              component,
              type: "Warning",
              reason: "FailedCreate",
              message: `Error creating: ${error.message}`
            })
          )
        )
        yield* remark(world, set, {
          component,
          type: "Normal",
          reason: "SuccessfulCreate",
          message: `Created pod: ${nameOf(pod.object)}`
        })
      }
      for (const pod of active.toSorted(byWorth).slice(0, Math.max(0, active.length - wanted))) {
        yield* discard(world, "pods", pod)
        yield* remark(world, set, {
          component,
          type: "Normal",
          reason: "SuccessfulDelete",
          message: `Deleted pod: ${nameOf(pod)}`
        })
      }
    }
    const now = controlled(world, "pods", set).filter(isActive)
    const template = labelSelector({ matchLabels: objectAt(set, "spec", "template", "metadata", "labels") })
    const ready = now.filter(isReady).length
    yield* change(world, "replicasets.apps", set, "status", (current) =>
      withAt(current, ["status"], {
        ...objectAt(current, "status"),
        replicas: now.length,
        fullyLabeledReplicas: now.filter((pod) => template(labelsOf(pod))).length,
        readyReplicas: ready,
        availableReplicas: ready,
        observedGeneration: at(current, "metadata", "generation") ?? 0
      }))
  })
})

/** Says of each PodDisruptionBudget how many of its pods there should be, are ready, must be ready, and may go. */
import { Effect } from "effect"
import { at, equal, numberAt, objectAt, stringAt, withAt } from "../object/json.ts"
import { controllerOf, isDeleting, type KubeObject, labelsOf, namespaceOf, uidOf } from "../object/KubeObject.ts"
import { moment } from "../object/Moment.ts"
import { isReady } from "../object/podReadiness.ts"
import { budgets } from "../request/disruptionBudgets.ts"
import { withCondition } from "../request/podSubresources.ts"
import type { World } from "../request/World.ts"
import type { Change } from "../store/Collection.ts"
import { labelSelector } from "../store/labelSelector.ts"
import { change } from "./acting.ts"
import { controller } from "./controller.ts"
import { share } from "./share.ts"
import { keyOf, ownKey } from "./workloadPods.ts"

/** Where those are kept that say how many pods there are to be. */
const scaled = new Map([
  ["Deployment", "deployments.apps"],
  ["ReplicaSet", "replicasets.apps"],
  ["StatefulSet", "statefulsets.apps"]
])

const scaledOwner = (world: World, object: KubeObject): KubeObject | undefined => {
  const reference = controllerOf(object)
  const collection = scaled.get(stringAt(reference, "kind") ?? "")
  if (collection === undefined) return undefined
  const owner = world.store.get(collection, namespaceOf(object), stringAt(reference, "name") ?? "")?.object
  return owner !== undefined && uidOf(owner) === stringAt(reference, "uid") ? owner : undefined
}

/** As many as the pods' owners ask for. A Deployment counts for its ReplicaSets, which are several while it rolls. */
const scaleOf = (world: World, pods: ReadonlyArray<KubeObject>): number => {
  const replicas = new Map<string, number>()
  for (const pod of pods) {
    const owner = scaledOwner(world, pod)
    if (owner === undefined) continue
    const asking = scaledOwner(world, owner) ?? owner
    replicas.set(uidOf(asking), numberAt(asking, "spec", "replicas") ?? 1)
  }
  return [...replicas.values()].reduce((sum, each) => sum + each, 0)
}

interface Demand {
  readonly expected: number
  readonly desired: number
}

const demandOf = (world: World, budget: KubeObject, pods: ReadonlyArray<KubeObject>): Demand => {
  const most = at(budget, "spec", "maxUnavailable")
  const least = at(budget, "spec", "minAvailable")
  if (most !== undefined) {
    const expected = scaleOf(world, pods)
    return { expected, desired: Math.max(0, expected - share(most, expected, Math.ceil)) }
  }
  if (typeof least === "number") return { expected: pods.length, desired: least }
  const expected = least === undefined ? 0 : scaleOf(world, pods)
  return { expected, desired: share(least ?? 0, expected, Math.ceil) }
}

const keysIn = (world: World, namespace: string, concerns: (budget: KubeObject) => boolean): ReadonlyArray<string> =>
  world.store.inNamespace(budgets, namespace).map(({ object }) => object).filter(concerns).map(keyOf)

/** Budgets that select the pod now or did before. */
const selecting = ({ revision, previous }: Change, world: World): ReadonlyArray<string> =>
  keysIn(world, namespaceOf(revision.object), (budget) => {
    const selects = labelSelector(at(budget, "spec", "selector"))
    return selects(labelsOf(revision.object)) || (previous !== undefined && selects(labelsOf(previous.object)))
  })

/** Budgets for whose pods another number may be asked for. */
const scaling = ({ revision, previous }: Change, world: World): ReadonlyArray<string> =>
  previous !== undefined && equal(at(revision.object, "spec", "replicas"), at(previous.object, "spec", "replicas"))
    ? []
    : keysIn(world, namespaceOf(revision.object), () => true)

export const disruption = controller({
  name: "disruption",
  watches: [
    { collection: budgets, keys: ownKey },
    { collection: "pods", keys: selecting },
    ...[...scaled.values()].map((collection) => ({ collection, keys: scaling }))
  ],
  reconcile: Effect.fnUntraced(function*(world: World, key: string) {
    const [namespace = "", name = ""] = key.split("/")
    const budget = world.store.get(budgets, namespace, name)?.object
    if (budget === undefined || isDeleting(budget)) return
    const { now } = yield* moment
    const selects = labelSelector(at(budget, "spec", "selector"))
    const pods = world.store.inNamespace("pods", namespace).map(({ object }) => object)
      .filter((pod) => selects(labelsOf(pod)))
    const healthy = pods.filter((pod) => !isDeleting(pod) && isReady(pod)).length
    const { expected, desired } = demandOf(world, budget, pods)
    // One that matches no pod yet allows nothing, or the first pods to come would be without its protection.
    const allowed = expected === 0 ? 0 : Math.max(0, healthy - desired)
    yield* change(world, budgets, budget, "status", (current) =>
      withCondition(
        withAt(current, ["status"], {
          ...objectAt(current, "status"),
          expectedPods: expected,
          currentHealthy: healthy,
          desiredHealthy: desired,
          disruptionsAllowed: allowed,
          observedGeneration: numberAt(budget, "metadata", "generation") ?? 0
        }),
        {
          type: "DisruptionAllowed",
          status: allowed > 0 ? "True" : "False",
          reason: allowed > 0 ? "SufficientPods" : "InsufficientPods",
          message: "",
          observedGeneration: numberAt(budget, "metadata", "generation") ?? 0
        },
        now
      ))
  })
})

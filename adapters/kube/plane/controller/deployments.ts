/** Rolls a Deployment from ReplicaSet to ReplicaSet within its surge and unavailability. */
import { Effect } from "effect"
import {
  at,
  equal,
  type Json,
  type JsonObject,
  numberAt,
  objectAt,
  stringAt,
  withAt,
  withoutAt
} from "../object/json.ts"
import { annotationsOf, controllerReference, isDeleting, type KubeObject, nameOf } from "../object/KubeObject.ts"
import { moment, timestamp } from "../object/Moment.ts"
import { withCondition } from "../request/podSubresources.ts"
import type { World } from "../request/World.ts"
import { change, discard, make, remark } from "./acting.ts"
import { controller } from "./controller.ts"
import { share } from "./share.ts"
import { hashKey, templateHash, templateOf } from "./templateHash.ts"
import { controlled, isActive, ownerKey, ownKey } from "./workloadPods.ts"

const component = "deployment-controller"
const revisionKey = "deployment.kubernetes.io/revision"

/** What a rolling update without a word of its own may have too many or too few. */
const bound = (value: Json | undefined, of: number, round: (n: number) => number): number =>
  share(value ?? "25%", of, round)

const replicasOf = (set: KubeObject) => numberAt(set, "spec", "replicas") ?? 0
const availableOf = (set: KubeObject) => numberAt(set, "status", "availableReplicas") ?? 0
const sum = (sets: ReadonlyArray<KubeObject>, read: (set: KubeObject) => number) =>
  sets.reduce((total, set) => total + read(set), 0)

const scale = Effect.fnUntraced(function*(world: World, deployment: KubeObject, set: KubeObject, replicas: number) {
  const before = replicasOf(set)
  if (before === replicas) return
  yield* change(world, "replicasets.apps", set, "main", (current) => withAt(current, ["spec", "replicas"], replicas))
  const direction = replicas > before ? "up" : "down"
  yield* remark(world, deployment, {
    component,
    type: "Normal",
    reason: "ScalingReplicaSet",
    message: `Scaled ${direction} replica set ${nameOf(set)} from ${before} to ${replicas}`
  })
})

const newSet = Effect.fnUntraced(function*(world: World, deployment: KubeObject, revision: number) {
  const hash = templateHash(deployment)
  const template = objectAt(deployment, "spec", "template")
  const labels = { ...objectAt(template, "metadata", "labels"), [hashKey]: hash }
  const selector = objectAt(deployment, "spec", "selector")
  const made = yield* make(world, "replicasets.apps", stringAt(deployment, "metadata", "namespace") ?? "", {
    metadata: {
      name: `${nameOf(deployment)}-${hash}`,
      labels,
      annotations: { [revisionKey]: String(revision) },
      ownerReferences: [controllerReference(deployment)]
    },
    spec: {
      replicas: 0,
      selector: { ...selector, matchLabels: { ...objectAt(selector, "matchLabels"), [hashKey]: hash } },
      template: withAt(template, ["metadata", "labels"], labels)
    }
  })
  return made.object
})

const revisionOf = (set: KubeObject): number => Number(annotationsOf(set)[revisionKey] ?? 0)

const roll = Effect.fnUntraced(
  function*(world: World, deployment: KubeObject, current: KubeObject, old: ReadonlyArray<KubeObject>) {
    const wanted = numberAt(deployment, "spec", "replicas") ?? 1
    if (stringAt(deployment, "spec", "strategy", "type") === "Recreate") {
      for (const set of old) yield* scale(world, deployment, set, 0)
      const remaining = old.some((set) => controlled(world, "pods", set).some(isActive))
      if (!remaining) yield* scale(world, deployment, current, wanted)
      return
    }
    const rolling = objectAt(deployment, "spec", "strategy", "rollingUpdate")
    const surge = bound(rolling["maxSurge"], wanted, Math.ceil)
    const unavailable = bound(rolling["maxUnavailable"], wanted, Math.floor) || (surge === 0 ? 1 : 0)
    const total = sum(old, replicasOf) + replicasOf(current)
    const room = wanted + surge - total
    const target = replicasOf(current) > wanted ? wanted : Math.min(wanted, replicasOf(current) + Math.max(0, room))
    yield* scale(world, deployment, current, old.length === 0 ? wanted : target)
    // Old pods may go as far as enough others are available; those that never became so cost nothing.
    let spare = sum(old, availableOf) + availableOf(current) - (wanted - unavailable)
    for (const set of old) {
      const idle = Math.max(0, replicasOf(set) - availableOf(set))
      const fewer = Math.min(replicasOf(set), idle + Math.max(0, spare))
      spare -= Math.max(0, fewer - idle)
      yield* scale(world, deployment, set, replicasOf(set) - fewer)
    }
  }
)

export const deployments = controller({
  name: "deployment",
  watches: [
    { collection: "deployments.apps", keys: ownKey },
    { collection: "replicasets.apps", keys: ownerKey("Deployment") }
  ],
  reconcile: Effect.fnUntraced(function*(world, key) {
    const [namespace = "", name = ""] = key.split("/")
    const deployment = world.store.get("deployments.apps", namespace, name)?.object
    if (deployment === undefined || isDeleting(deployment)) return
    const sets = controlled(world, "replicasets.apps", deployment)
    const revision = Math.max(0, ...sets.map(revisionOf))
    const existing = sets.find((set) => equal(templateOf(set), templateOf(deployment)))
    if (existing === undefined && deployment["spec"] !== undefined && at(deployment, "spec", "paused") === true) return
    const current = existing ?? (yield* newSet(world, deployment, revision + 1))
    // Going back to an older template makes its ReplicaSet the newest.
    if (existing !== undefined && revisionOf(existing) < revision) {
      yield* change(
        world,
        "replicasets.apps",
        existing,
        "main",
        (set) =>
          withAt(set, ["metadata", "annotations"], { ...annotationsOf(set), [revisionKey]: String(revision + 1) })
      )
    }
    const old = sets.filter((set) => nameOf(set) !== nameOf(current))
    yield* roll(world, deployment, current, old)
    const spent = old.filter((set) => replicasOf(set) === 0 && (numberAt(set, "status", "replicas") ?? 0) === 0)
      .toSorted((a, b) => revisionOf(a) - revisionOf(b))
    const keep = numberAt(deployment, "spec", "revisionHistoryLimit") ?? 10
    for (const set of spent.slice(0, Math.max(0, spent.length - keep))) yield* discard(world, "replicasets.apps", set)
    yield* report(world, deployment, nameOf(current))
  })
})

const report = Effect.fnUntraced(function*(world: World, deployment: KubeObject, currentName: string) {
  const { now } = yield* moment
  const sets = controlled(world, "replicasets.apps", deployment)
  const current = sets.find((set) => nameOf(set) === currentName)
  const wanted = numberAt(deployment, "spec", "replicas") ?? 1
  const count = (read: string) => sum(sets, (set) => numberAt(set, "status", read) ?? 0)
  const available = count("availableReplicas")
  const updated = current === undefined ? 0 : numberAt(current, "status", "replicas") ?? 0
  const least = wanted -
    bound(at(deployment, "spec", "strategy", "rollingUpdate", "maxUnavailable"), wanted, Math.floor)
  const enough = available >= least
  const done = updated === wanted && available >= wanted && count("replicas") === wanted
  if (current !== undefined && annotationsOf(deployment)[revisionKey] !== annotationsOf(current)[revisionKey]) {
    yield* change(
      world,
      "deployments.apps",
      deployment,
      "main",
      (object) =>
        withAt(object, ["metadata", "annotations"], {
          ...annotationsOf(object),
          [revisionKey]: String(annotationsOf(current)[revisionKey] ?? "1")
        })
    )
  }
  yield* change(world, "deployments.apps", deployment, "status", (object) => {
    const counted = withAt(object, ["status"], {
      ...objectAt(object, "status"),
      observedGeneration: at(object, "metadata", "generation") ?? 0,
      replicas: count("replicas"),
      updatedReplicas: updated,
      readyReplicas: count("readyReplicas"),
      availableReplicas: available,
      unavailableReplicas: Math.max(0, wanted - available)
    })
    const availability = withCondition(counted, {
      type: "Available",
      status: enough ? "True" : "False",
      reason: enough ? "MinimumReplicasAvailable" : "MinimumReplicasUnavailable",
      message: enough ? "Deployment has minimum availability." : "Deployment does not have minimum availability.",
      lastUpdateTime: timestamp(now)
    }, now)
    const before = withoutTimes(object, "Available")
    const settled = equal(before, withoutTimes(availability, "Available"))
      ? keepTime(availability, object, "Available")
      : availability
    const progress = withCondition(settled, {
      type: "Progressing",
      status: "True",
      reason: done ? "NewReplicaSetAvailable" : "ReplicaSetUpdated",
      message: `ReplicaSet "${currentName}" ${done ? "has successfully progressed." : "is progressing."}`,
      lastUpdateTime: timestamp(now)
    }, now)
    return equal(withoutTimes(object, "Progressing"), withoutTimes(progress, "Progressing"))
      ? keepTime(progress, object, "Progressing")
      : progress
  })
})

const conditionOf = (object: KubeObject, type: string): JsonObject =>
  (objectAt(object, "status")["conditions"] as ReadonlyArray<JsonObject> | undefined)?.find((condition) =>
    condition["type"] === type
  ) ?? {}

const withoutTimes = (object: KubeObject, type: string): JsonObject =>
  withoutAt(withoutAt(conditionOf(object, type), ["lastUpdateTime"]), ["lastTransitionTime"])

/** A status that says the same may not change only because time passed, or reconciling would never rest. */
const keepTime = (object: KubeObject, before: KubeObject, type: string): KubeObject =>
  withAt(
    object,
    ["status", "conditions"],
    (objectAt(object, "status")["conditions"] as ReadonlyArray<JsonObject>).map((condition) =>
      condition["type"] === type ? conditionOf(before, type) : condition
    )
  )

/** Deleting an object: preconditions, graceful pods, finalizers and what happens to dependents. */
import { Result } from "effect"
import { type ApiFailure, conflict, notFound } from "../object/ApiFailure.ts"
import { booleanAt, type JsonObject, numberAt, stringAt, withAt } from "../object/json.ts"
import {
  finalizersOf,
  isDeleting,
  type KubeObject,
  metadataOf,
  uidOf,
  versionOf,
  withMetadata
} from "../object/KubeObject.ts"
import { parseTimestamp, timestamp } from "../object/Moment.ts"
import type { ResourceType } from "../registry/ResourceType.ts"
import { Revision } from "../store/Revision.ts"
import { mayVanish } from "./updateObject.ts"
import type { Asking, World } from "./World.ts"

export interface Deleted {
  /** False while grace or finalizers keep the object. */
  readonly gone: boolean
  readonly revision: Revision
}

const preconditionProblem = (
  type: ResourceType,
  object: KubeObject,
  name: string,
  options: JsonObject
): ApiFailure | undefined => {
  const uid = stringAt(options, "preconditions", "uid")
  const version = stringAt(options, "preconditions", "resourceVersion")
  if (uid !== undefined && uid !== uidOf(object)) {
    return conflict(
      type,
      name,
      `the UID in the precondition (${uid}) does not match the UID in record (${
        uidOf(object)
      }). The object might have been deleted and then recreated`
    )
  }
  if (version !== undefined && version !== versionOf(object)) {
    return conflict(
      type,
      name,
      `the ResourceVersion in the precondition (${version}) does not match the ResourceVersion in record (${
        versionOf(object)
      }). The object might have been modified`
    )
  }
  return undefined
}

/** Seconds a pod gets: none before it is bound or after it ended, at least 1 where a negative number was asked for. */
const podGrace = (pod: KubeObject, options: JsonObject): number => {
  const phase = stringAt(pod, "status", "phase")
  if (!stringAt(pod, "spec", "nodeName") || phase === "Succeeded" || phase === "Failed") return 0
  const asked = numberAt(options, "gracePeriodSeconds") ?? numberAt(pod, "spec", "terminationGracePeriodSeconds") ?? 30
  return asked < 0 ? 1 : asked
}

/** foregroundDeletion and orphan are finalizers that the garbage collector removes when it has done its part. */
const withPropagation = (object: KubeObject, options: JsonObject): KubeObject => {
  const policy = stringAt(options, "propagationPolicy")
  const finalizer = policy === "Foreground"
    ? "foregroundDeletion"
    : policy === "Orphan" || (policy === undefined && booleanAt(options, "orphanDependents") === true)
    ? "orphan"
    : undefined
  if (finalizer === undefined || finalizersOf(object).includes(finalizer)) return object
  return withMetadata(object, { finalizers: [...finalizersOf(object), finalizer] })
}

const withGeneration = (object: KubeObject): JsonObject => {
  const generation = numberAt(object, "metadata", "generation")
  return generation === undefined ? {} : { generation: generation + 1 }
}

/** The object as marked for deletion, or undefined if it is so already and nothing gets shorter. */
const marked = (type: ResourceType, object: KubeObject, options: JsonObject, now: number): KubeObject | undefined => {
  const graceful = type.collection === "pods"
  const grace = graceful ? podGrace(object, options) : 0
  const held = withPropagation(object, options)
  if (!isDeleting(object)) {
    const phase = type.collection === "namespaces" ? withAt(held, ["status", "phase"], "Terminating") : held
    return withMetadata(phase, {
      deletionTimestamp: timestamp(now + grace * 1000),
      deletionGracePeriodSeconds: grace,
      ...withGeneration(object)
    })
  }
  const before = numberAt(object, "metadata", "deletionGracePeriodSeconds") ?? 0
  const asked = numberAt(options, "gracePeriodSeconds") !== undefined || grace === 0
  if (!graceful || !asked || grace >= before) return held === object ? undefined : held
  const deadline = parseTimestamp(stringAt(metadataOf(object), "deletionTimestamp")) ?? now
  return withMetadata(held, {
    deletionTimestamp: timestamp(Math.min(deadline, deadline - before * 1000 + grace * 1000)),
    deletionGracePeriodSeconds: grace
  })
}

export const deleteObject = (
  world: World,
  type: ResourceType,
  namespace: string,
  name: string,
  options: JsonObject,
  asking: Asking
): Result.Result<Deleted, ApiFailure> => {
  const current = world.store.get(type.collection, namespace, name)
  if (current === undefined) return Result.fail(notFound(type, name))
  const problem = preconditionProblem(type, current.object, name, options)
  if (problem !== undefined) return Result.fail(problem)
  const wanted = marked(type, current.object, options, asking.moment.now)
  const object = wanted ?? current.object
  const gone = mayVanish(type, object)
  if (asking.dryRun) return Result.succeed({ gone, revision: new Revision(object, current.version) })
  // Pods are seen MODIFIED with a grace of 0 before DELETED; other kinds vanish without an intermediate state.
  const revision = wanted === undefined || (gone && type.collection !== "pods")
    ? current
    : world.store.replace(type.collection, current, wanted)
  if (!gone) return Result.succeed({ gone, revision })
  return Result.succeed({ gone, revision: world.store.remove(type.collection, revision) })
}

/** binding, eviction, ephemeralcontainers and resize of pods. */
import { Result } from "effect"
import { containerDefaults } from "../admission/podDefaults.ts"
import { type ApiFailure, conflict, invalid, notFound } from "../object/ApiFailure.ts"
import { at, equal, type JsonObject, objectAt, objectsAt, stringAt, withAt } from "../object/json.ts"
import { annotationsOf, isDeleting, type KubeObject, nameOf } from "../object/KubeObject.ts"
import { timestamp } from "../object/Moment.ts"
import type { ResourceType } from "../registry/ResourceType.ts"
import type { Revision } from "../store/Revision.ts"
import { deleteObject } from "./deleteObject.ts"
import { budgetsOf, refusal, spend } from "./disruptionBudgets.ts"
import { updateObject } from "./updateObject.ts"
import type { Asking, World } from "./World.ts"

type Changed = Result.Result<KubeObject, ApiFailure>

/** Puts the pod on a node: once, and only while it is alive. */
export const bindPod = (
  world: World,
  type: ResourceType,
  namespace: string,
  name: string,
  binding: JsonObject,
  asking: Asking
): Result.Result<Revision, ApiFailure> =>
  updateObject(world, type, namespace, name, {
    part: "any",
    change: (pod): Changed => {
      const node = stringAt(binding, "target", "name")
      if (node === undefined || node === "") {
        return Result.fail(
          invalid({ group: "", plural: "bindings", kind: "Binding" }, name, [{
            type: "Required",
            field: "target.name",
            detail: ""
          }])
        )
      }
      const uid = stringAt(binding, "metadata", "uid")
      if (uid !== undefined && uid !== "" && uid !== stringAt(pod, "metadata", "uid")) {
        return Result.fail(
          conflict(
            type,
            name,
            `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${
              stringAt(pod, "metadata", "uid") ?? ""
            }`
          )
        )
      }
      if (isDeleting(pod)) {
        return Result.fail(conflict(type, name, `pod ${name} is being deleted, cannot be assigned to a host`))
      }
      const bound = stringAt(pod, "spec", "nodeName")
      if (bound !== undefined && bound !== "") {
        return Result.fail(conflict(type, name, `pod ${name} is already assigned to node ${JSON.stringify(bound)}`))
      }
      const annotations = { ...annotationsOf(pod), ...objectAt(binding, "metadata", "annotations") }
      const placed = withAt(pod, ["spec", "nodeName"], node)
      const annotated = Object.keys(annotations).length === 0
        ? placed
        : withAt(placed, ["metadata", "annotations"], annotations)
      return Result.succeed(withCondition(annotated, { type: "PodScheduled", status: "True" }, asking.moment.now))
    }
  }, asking)

/** Replaces the condition of the same type; the transition time moves only when the status does. */
export const withCondition = (object: KubeObject, condition: JsonObject, now: number): KubeObject => {
  const conditions = objectsAt(object, "status", "conditions")
  const same = conditions.find((entry) => entry["type"] === condition["type"])
  const since = same !== undefined && same["status"] === condition["status"] ? same["lastTransitionTime"] : undefined
  const entry = { ...same, ...condition, lastTransitionTime: since ?? timestamp(now) }
  return withAt(
    object,
    ["status", "conditions"],
    same === undefined ? [...conditions, entry] : conditions.map((other) => other === same ? entry : other)
  )
}

/** `policy/v1 Eviction`: a deletion that PodDisruptionBudgets may refuse. */
export const evictPod = (
  world: World,
  type: ResourceType,
  namespace: string,
  name: string,
  eviction: JsonObject,
  asking: Asking
): Result.Result<Revision, ApiFailure> => {
  const pod = world.store.get("pods", namespace, name)?.object
  if (pod === undefined) return Result.fail(notFound(type, name))
  const drawn = budgetsOf(world, pod)
  for (const budget of drawn) {
    const refused = refusal(budget)
    if (refused !== undefined) return Result.fail(refused)
  }
  return Result.map(
    deleteObject(world, type, namespace, name, objectAt(eviction, "deleteOptions"), asking),
    ({ revision }) => {
      if (!asking.dryRun) { for (const budget of drawn) spend(world, budget) }
      return revision
    }
  )
}

/** Ephemeral containers may be added, never changed or taken away, and nothing else may change with them. */
export const addEphemeralContainers = (change: (pod: KubeObject) => Changed) => (pod: KubeObject): Changed =>
  Result.flatMap(change(pod), (wanted) => {
    const before = objectsAt(pod, "spec", "ephemeralContainers")
    const after = objectsAt(wanted, "spec", "ephemeralContainers").map((container) =>
      containerDefaults(container, false)
    )
    const kept = before.every((container) => after.some((other) => equal(containerDefaults(container, false), other)))
    const names = [...objectsAt(pod, "spec", "containers"), ...objectsAt(pod, "spec", "initContainers"), ...after].map((
      c
    ) => stringAt(c, "name"))
    if (!kept || new Set(names).size !== names.length) {
      return Result.fail(invalid({ group: "", plural: "pods", kind: "Pod" }, nameOf(pod), [{
        type: "Forbidden",
        field: "spec.ephemeralContainers",
        detail: kept
          ? "names of containers must be unique in a pod"
          : "existing ephemeral containers may not be changed or removed"
      }]))
    }
    for (const container of after) {
      if (!stringAt(container, "name") || !stringAt(container, "image")) {
        return Result.fail(
          invalid({ group: "", plural: "pods", kind: "Pod" }, nameOf(pod), [{
            type: "Required",
            field: "spec.ephemeralContainers[*].image",
            detail: ""
          }])
        )
      }
    }
    return Result.succeed(
      withAt({ ...pod, metadata: wanted["metadata"] ?? {} }, ["spec", "ephemeralContainers"], after)
    )
  })

/** In-place resize (KEP-1287): only cpu and memory of containers. */
export const resizeContainers = (change: (pod: KubeObject) => Changed) => (pod: KubeObject): Changed =>
  Result.map(change(pod), (wanted) => {
    let result = pod
    for (const list of ["containers", "initContainers"]) {
      if (at(pod, "spec", list) === undefined) continue
      const containers = objectsAt(pod, "spec", list).map((container) => {
        const other = objectsAt(wanted, "spec", list).find((candidate) => candidate["name"] === container["name"])
        return other === undefined
          ? container
          : {
            ...container,
            resources: objectAt(other, "resources"),
            ...(other["resizePolicy"] === undefined ? {} : { resizePolicy: other["resizePolicy"] })
          }
      })
      result = withAt(result, ["spec", list], containers)
    }
    return { ...result, metadata: wanted["metadata"] ?? {} }
  })

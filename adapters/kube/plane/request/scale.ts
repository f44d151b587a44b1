/** autoscaling/v1 Scale: the one number of a workload that autoscalers and `kubectl scale` change. */
import { Result } from "effect"
import { type ApiFailure, badRequest, conflict } from "../object/ApiFailure.ts"
import { at, type JsonObject, numberAt, stringAt, withAt } from "../object/json.ts"
import { type KubeObject, metadataOf, nameOf, namespaceOf, uidOf, versionOf } from "../object/KubeObject.ts"
import type { ResourceType } from "../registry/ResourceType.ts"

export const scaleOf = (type: ResourceType, object: KubeObject): JsonObject => {
  const { specReplicas, statusReplicas, selector } = type.scale ??
    { specReplicas: [], statusReplicas: [], selector: () => "" }
  const text = selector(object)
  return {
    kind: "Scale",
    apiVersion: "autoscaling/v1",
    metadata: {
      name: nameOf(object),
      namespace: namespaceOf(object),
      uid: uidOf(object),
      resourceVersion: versionOf(object),
      creationTimestamp: metadataOf(object)["creationTimestamp"] ?? null
    },
    spec: { replicas: numberAt(object, ...specReplicas) ?? 0 },
    status: { replicas: numberAt(object, ...statusReplicas) ?? 0, ...(text === "" ? {} : { selector: text }) }
  }
}

/** Lifts a change of the Scale to a change of the workload. */
export const scaling =
  (type: ResourceType, change: (scale: JsonObject) => Result.Result<JsonObject, ApiFailure>) =>
  (object: KubeObject): Result.Result<KubeObject, ApiFailure> =>
    Result.flatMap(change(scaleOf(type, object)), (wanted) => {
      const version = stringAt(wanted, "metadata", "resourceVersion")
      if (version !== undefined && version !== "" && version !== versionOf(object)) {
        return Result.fail(
          conflict(
            type,
            nameOf(object),
            "the object has been modified; please apply your changes to the latest version and try again"
          )
        )
      }
      const replicas = at(wanted, "spec", "replicas") ?? 0
      return typeof replicas === "number" && Number.isInteger(replicas) && replicas >= 0
        ? Result.succeed(withAt(object, type.scale?.specReplicas ?? ["spec", "replicas"], replicas))
        : Result.fail(badRequest("spec.replicas must be a whole number greater than or equal to 0"))
    })

/** Reading the parts every Kubernetes object has. */
import { booleanAt, type JsonObject, objectAt, objectsAt, stringAt, stringsAt } from "./json.ts"

export type KubeObject = JsonObject

export const metadataOf = (object: KubeObject): JsonObject => objectAt(object, "metadata")
export const nameOf = (object: KubeObject): string => stringAt(object, "metadata", "name") ?? ""
export const namespaceOf = (object: KubeObject): string => stringAt(object, "metadata", "namespace") ?? ""
export const uidOf = (object: KubeObject): string => stringAt(object, "metadata", "uid") ?? ""
export const versionOf = (object: KubeObject): string => stringAt(object, "metadata", "resourceVersion") ?? ""
export const labelsOf = (object: KubeObject): JsonObject => objectAt(object, "metadata", "labels")
export const annotationsOf = (object: KubeObject): JsonObject => objectAt(object, "metadata", "annotations")
export const finalizersOf = (object: KubeObject): ReadonlyArray<string> => stringsAt(object, "metadata", "finalizers")
export const ownersOf = (object: KubeObject): ReadonlyArray<JsonObject> =>
  objectsAt(object, "metadata", "ownerReferences")
export const isDeleting = (object: KubeObject): boolean =>
  stringAt(object, "metadata", "deletionTimestamp") !== undefined

/** The one owner marked `controller: true`, if there is one. */
export const controllerOf = (object: KubeObject): JsonObject | undefined =>
  ownersOf(object).find((owner) => booleanAt(owner, "controller") === true)

export const withMetadata = (object: KubeObject, changes: JsonObject): KubeObject => ({
  ...object,
  metadata: { ...metadataOf(object), ...changes }
})

/** The reference a controller puts on what it creates. */
export const controllerReference = (owner: KubeObject): JsonObject => ({
  apiVersion: stringAt(owner, "apiVersion") ?? "",
  kind: stringAt(owner, "kind") ?? "",
  name: nameOf(owner),
  uid: uidOf(owner),
  controller: true,
  blockOwnerDeletion: true
})

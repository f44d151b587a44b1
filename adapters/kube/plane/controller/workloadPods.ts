/** What Deployments, ReplicaSets, DaemonSets and Jobs have in common: their pods, and pods from a template. */
import { type JsonObject, objectAt, stringAt } from "../object/json.ts"
import {
  controllerOf,
  controllerReference,
  isDeleting,
  type KubeObject,
  nameOf,
  namespaceOf,
  uidOf
} from "../object/KubeObject.ts"
import type { World } from "../request/World.ts"
import type { Change } from "../store/Collection.ts"

/** Objects of a collection that the owner controls, found through the owner index. */
export const controlled = (world: World, collection: string, owner: KubeObject): ReadonlyArray<KubeObject> =>
  world.store.dependentsOf(uidOf(owner)).flatMap((place): ReadonlyArray<KubeObject> => {
    if (place.collection !== collection) return []
    const object = world.store.get(collection, place.namespace, place.name)?.object
    return object !== undefined && stringAt(controllerOf(object), "uid") === uidOf(owner) ? [object] : []
  })

export const keyOf = (object: KubeObject): string => `${namespaceOf(object)}/${nameOf(object)}`

export const ownKey = ({ revision }: Change): ReadonlyArray<string> => [keyOf(revision.object)]

/** The key of the controlling owner, when it is of the kind. */
export const ownerKey = (kind: string) => ({ revision }: Change): ReadonlyArray<string> => {
  const owner = controllerOf(revision.object)
  return stringAt(owner, "kind") === kind ? [`${namespaceOf(revision.object)}/${stringAt(owner, "name") ?? ""}`] : []
}

export const isActive = (pod: KubeObject): boolean =>
  !isDeleting(pod) && !["Succeeded", "Failed"].includes(stringAt(pod, "status", "phase") ?? "")

export const podFromTemplate = (
  owner: KubeObject,
  more: { readonly labels?: JsonObject; readonly spec?: JsonObject } = {}
): JsonObject => {
  const template = objectAt(owner, "spec", "template")
  const metadata = objectAt(template, "metadata")
  return {
    metadata: {
      generateName: `${nameOf(owner)}-`,
      labels: { ...objectAt(metadata, "labels"), ...more.labels },
      annotations: objectAt(metadata, "annotations"),
      ...(metadata["finalizers"] === undefined ? {} : { finalizers: metadata["finalizers"] }),
      ownerReferences: [controllerReference(owner)]
    },
    spec: { ...objectAt(template, "spec"), ...more.spec }
  }
}

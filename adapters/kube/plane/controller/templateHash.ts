/** Names a pod template by what it says, so that pods of another one can be told apart. */
import { isList, isObject, type Json, type JsonObject, objectAt, withoutAt } from "../object/json.ts"
import type { KubeObject } from "../object/KubeObject.ts"

/** On the pods and ReplicaSets of a Deployment. */
export const hashKey = "pod-template-hash"

/** On the pods of DaemonSets and StatefulSets. */
export const revisionLabel = "controller-revision-hash"

export const templateOf = (object: KubeObject): JsonObject =>
  withoutAt(withoutAt(objectAt(object, "spec", "template"), ["metadata", "labels", hashKey]), [
    "metadata",
    "creationTimestamp"
  ])

/** Clients send the same template with its keys in another order. */
const sorted = (value: Json): Json => {
  if (isList(value)) return value.map(sorted)
  if (!isObject(value)) return value
  return Object.fromEntries(Object.keys(value).toSorted().map((key) => [key, sorted(value[key] ?? null)]))
}

/** FNV-1a over the template: the same template always gives the same name. */
export const templateHash = (object: KubeObject): string => {
  const alphabet = "bcdfghjklmnpqrstvwxz2456789"
  let hash = 0x811c9dc5
  for (const character of JSON.stringify(sorted(templateOf(object)))) {
    hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 0x01000193) >>> 0
  }
  let text = ""
  for (let i = 0; i < 10; i++) {
    text += alphabet[hash % alphabet.length]
    hash = Math.imul(hash ^ (hash >>> 13), 0x5bd1e995) >>> 0
  }
  return text
}

/** Deletes what lost its last owner, and carries out foreground deletion and orphaning. */
import { Effect } from "effect"
import { booleanAt, stringAt } from "../object/json.ts"
import { finalizersOf, isDeleting, type KubeObject, ownersOf, uidOf, withMetadata } from "../object/KubeObject.ts"
import type { World } from "../request/World.ts"
import type { Change } from "../store/Collection.ts"
import { everything } from "../store/Store.ts"
import { change, discard } from "./acting.ts"
import { controller } from "./controller.ts"

const withoutFinalizer = (object: KubeObject, finalizer: string): KubeObject =>
  withMetadata(object, { finalizers: finalizersOf(object).filter((name) => name !== finalizer) })

const without = (object: KubeObject, ownerUid: string): KubeObject =>
  withMetadata(object, { ownerReferences: ownersOf(object).filter((owner) => stringAt(owner, "uid") !== ownerUid) })

const find = (world: World, uid: string): { readonly collection: string; readonly object: KubeObject } | undefined => {
  const place = world.store.placeOf(uid)
  const object = place === undefined
    ? undefined
    : world.store.get(place.collection, place.namespace, place.name)?.object
  return place === undefined || object === undefined ? undefined : { collection: place.collection, object }
}

/** Foreground: dependents first. Orphan: dependents lose the reference. Then the finalizer goes. */
const finishDeletion = Effect.fnUntraced(function*(world: World, collection: string, object: KubeObject) {
  const dependents = world.store.dependentsOf(uidOf(object))
  if (finalizersOf(object).includes("orphan")) {
    for (const place of dependents) {
      const dependent = world.store.get(place.collection, place.namespace, place.name)?.object
      if (dependent !== undefined) {
        yield* change(world, place.collection, dependent, "main", (each) => without(each, uidOf(object)))
      }
    }
    yield* change(world, collection, object, "main", (each) => withoutFinalizer(each, "orphan"))
    return
  }
  let blocking = 0
  for (const place of dependents) {
    const dependent = world.store.get(place.collection, place.namespace, place.name)?.object
    if (dependent === undefined) continue
    const reference = ownersOf(dependent).find((owner) => stringAt(owner, "uid") === uidOf(object))
    if (reference !== undefined && booleanAt(reference, "blockOwnerDeletion") === true) blocking += 1
    if (!isDeleting(dependent)) yield* discard(world, place.collection, dependent, { propagationPolicy: "Foreground" })
  }
  if (blocking === 0) {
    yield* change(world, collection, object, "main", (each) => withoutFinalizer(each, "foregroundDeletion"))
  }
})

/** Keys are uids. */
const reconcile = Effect.fnUntraced(function*(world: World, uid: string) {
  const found = find(world, uid)
  if (found === undefined) return
  const { collection, object } = found
  if (isDeleting(object)) {
    const finalizers = finalizersOf(object)
    if (finalizers.includes("foregroundDeletion") || finalizers.includes("orphan")) {
      yield* finishDeletion(world, collection, object)
    }
    return
  }
  const owners = ownersOf(object)
  const living = owners.filter((owner) => world.store.placeOf(stringAt(owner, "uid") ?? "") !== undefined)
  if (owners.length === 0 || living.length === owners.length) return
  if (living.length > 0) {
    yield* change(world, collection, object, "main", (each) => withMetadata(each, { ownerReferences: living }))
    return
  }
  yield* discard(world, collection, object, { propagationPolicy: "Background", preconditions: { uid } })
})

const keysOf = ({ type, revision }: Change, world: World): ReadonlyArray<string> => {
  const uid = uidOf(revision.object)
  const owners = ownersOf(revision.object)
  if (type === "DELETED") {
    return [
      ...world.store.dependentsOf(uid).flatMap((place) => {
        const object = world.store.get(place.collection, place.namespace, place.name)?.object
        return object === undefined ? [] : [uidOf(object)]
      }),
      // An owner may wait in foreground deletion for this one.
      ...owners.map((owner) => stringAt(owner, "uid") ?? "")
    ]
  }
  return isDeleting(revision.object) || owners.length > 0 ? [uid] : []
}

/** Watches every collection there is, also those that custom resources add later. */
export const garbageCollector = controller({
  name: "garbage-collector",
  watches: [{ collection: everything, keys: keysOf }],
  reconcile
})

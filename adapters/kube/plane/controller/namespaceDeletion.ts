/** Empties a namespace that is being deleted, then lets it go. */
import { Effect } from "effect"
import { withAt } from "../object/json.ts"
import { isDeleting, nameOf, namespaceOf } from "../object/KubeObject.ts"
import { everything } from "../store/Store.ts"
import { change, discard } from "./acting.ts"
import { controller } from "./controller.ts"

export const namespaceDeletion = controller({
  name: "namespace",
  watches: [
    { collection: "namespaces", keys: ({ revision }) => isDeleting(revision.object) ? [nameOf(revision.object)] : [] },
    {
      collection: everything,
      keys: ({ type, revision }, world) => {
        const namespace = namespaceOf(revision.object)
        if (type !== "DELETED" || namespace === "") return []
        const owner = world.store.get("namespaces", "", namespace)?.object
        return owner !== undefined && isDeleting(owner) ? [namespace] : []
      }
    }
  ],
  reconcile: Effect.fnUntraced(function*(world, name) {
    const namespace = world.store.get("namespaces", "", name)?.object
    if (namespace === undefined || !isDeleting(namespace)) return
    let remaining = 0
    for (const collection of world.store.collections) {
      for (const { object } of world.store.inNamespace(collection, name)) {
        if (!isDeleting(object)) yield* discard(world, collection, object, { propagationPolicy: "Background" })
        if (world.store.get(collection, name, nameOf(object)) !== undefined) remaining += 1
      }
    }
    if (remaining > 0) return { after: "5 seconds" as const }
    yield* change(world, "namespaces", namespace, "any", (current) => withAt(current, ["spec", "finalizers"], []))
    return undefined
  })
})

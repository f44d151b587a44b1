/** The memory of the control plane: versioned collections, who owns whom, and those who watch. Every method is atomic. */
import { stringAt } from "../object/json.ts"
import { type KubeObject, nameOf, namespaceOf, ownersOf, uidOf, withMetadata } from "../object/KubeObject.ts"
import { type Change, Collection, keyOf } from "./Collection.ts"
import type { FieldReader } from "./fieldSelector.ts"
import { Revision } from "./Revision.ts"

/** Listening to this "collection" means listening to all. */
export const everything = "*"

export interface Place {
  readonly collection: string
  readonly namespace: string
  readonly name: string
}

/** Narrow watchers hang on a narrow hook, so that a change costs only those it may concern. */
export type Hook = "all" | `namespace:${string}` | `name:${string}` | `field:${string}=${string}`

export type Listener = (change: Change) => void

export class Store {
  #version = 1
  readonly #window: number
  readonly #collections = new Map<string, Collection>()
  readonly #listeners = new Map<string, Map<Hook, Set<Listener>>>()
  readonly #places = new Map<string, Place>()
  readonly #dependents = new Map<string, Set<string>>()

  /** @param window how many changes per resource stay replayable for watches */
  constructor(window = 4096) {
    this.#window = window
  }

  get version(): number {
    return this.#version
  }

  declare(collection: string, indexes: Readonly<Record<string, FieldReader>> = {}): void {
    if (!this.#collections.has(collection)) this.#collections.set(collection, new Collection(indexes, this.#window))
  }

  collection(name: string): Collection {
    let found = this.#collections.get(name)
    if (found === undefined) this.#collections.set(name, found = new Collection({}, this.#window))
    return found
  }

  get collections(): ReadonlyArray<string> {
    return [...this.#collections.keys()]
  }

  get(collection: string, namespace: string, name: string): Revision | undefined {
    return this.#collections.get(collection)?.objects.get(keyOf(namespace, name))
  }

  /** Every object of a collection, in no promised order. */
  objects(collection: string): Iterable<Revision> {
    if (collection === everything) {
      return [...this.#collections.values()].flatMap(({ objects }) => [...objects.values()])
    }
    return this.#collections.get(collection)?.objects.values() ?? []
  }

  where(collection: string, field: string, value: string): ReadonlyArray<Revision> {
    return this.#read(collection, this.#collections.get(collection)?.keysOfField(field, value) ?? [])
  }

  inNamespace(collection: string, namespace: string): ReadonlyArray<Revision> {
    return this.#read(collection, this.#collections.get(collection)?.keysOfNamespace(namespace) ?? [])
  }

  placeOf(uid: string): Place | undefined {
    return this.#places.get(uid)
  }

  dependentsOf(uid: string): ReadonlyArray<Place> {
    return [...this.#dependents.get(uid) ?? []].flatMap((dependent) => this.#places.get(dependent) ?? [])
  }

  insert(collection: string, object: KubeObject): Revision {
    return this.#commit(collection, "ADDED", object, undefined)
  }

  replace(collection: string, previous: Revision, object: KubeObject): Revision {
    return this.#commit(collection, "MODIFIED", object, previous)
  }

  remove(collection: string, previous: Revision): Revision {
    return this.#commit(collection, "DELETED", previous.object, previous)
  }

  /** Calls the listener, synchronously, for each change of the collection that may concern the hook. */
  listen(collection: string, hook: Hook, listener: Listener): () => void {
    let hooks = this.#listeners.get(collection)
    if (hooks === undefined) this.#listeners.set(collection, hooks = new Map())
    let listeners = hooks.get(hook)
    if (listeners === undefined) hooks.set(hook, listeners = new Set())
    listeners.add(listener)
    return () => {
      listeners.delete(listener)
      if (listeners.size === 0) hooks.delete(hook)
    }
  }

  /** For tests: how many watches hang on the store. */
  get listeners(): number {
    let count = 0
    for (const hooks of this.#listeners.values()) for (const set of hooks.values()) count += set.size
    return count
  }

  #read(collection: string, keys: ReadonlyArray<string>): ReadonlyArray<Revision> {
    const objects = this.#collections.get(collection)?.objects
    return keys.flatMap((key) => objects?.get(key) ?? [])
  }

  #commit(name: string, type: Change["type"], object: KubeObject, previous: Revision | undefined): Revision {
    const version = ++this.#version
    const revision = new Revision(withMetadata(object, { resourceVersion: String(version) }), version)
    const change: Change = { type, revision, previous, version }
    this.#trace(name, revision.object, previous?.object, type === "DELETED")
    const collection = this.collection(name)
    collection.record(change)
    this.#tell(name, collection, change)
    return revision
  }

  #trace(collection: string, object: KubeObject, previous: KubeObject | undefined, gone: boolean): void {
    const uid = uidOf(object)
    const before = previous === undefined ? [] : ownersOf(previous)
    const after = gone ? [] : ownersOf(object)
    if (gone) this.#places.delete(uid)
    else if (previous === undefined) {
      this.#places.set(uid, { collection, namespace: namespaceOf(object), name: nameOf(object) })
    }
    if (before === after) return
    for (const owner of before) {
      const ownerUid = stringAt(owner, "uid") ?? ""
      const set = this.#dependents.get(ownerUid)
      set?.delete(uid)
      if (set?.size === 0) this.#dependents.delete(ownerUid)
    }
    for (const owner of after) {
      const ownerUid = stringAt(owner, "uid") ?? ""
      const set = this.#dependents.get(ownerUid)
      if (set === undefined) this.#dependents.set(ownerUid, new Set([uid]))
      else set.add(uid)
    }
  }

  #tell(name: string, collection: Collection, change: Change): void {
    for (const listener of this.#listeners.get(everything)?.get("all") ?? []) listener(change)
    const hooks = this.#listeners.get(name)
    if (hooks === undefined) return
    const call = (hook: Hook) => {
      for (const listener of hooks.get(hook) ?? []) listener(change)
    }
    const object = change.revision.object
    call("all")
    call(`namespace:${namespaceOf(object)}`)
    call(`name:${nameOf(object)}`)
    for (const [field, read] of collection.indexed) {
      const after = read(object)
      const before = change.previous === undefined ? after : read(change.previous.object)
      call(`field:${field}=${after}`)
      if (before !== after) call(`field:${field}=${before}`)
    }
  }
}

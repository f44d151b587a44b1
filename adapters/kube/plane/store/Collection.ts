/** All objects of one resource: by key, by namespace, by indexed field, and the recent changes. */
import { compare } from "../object/json.ts"
import { type KubeObject, nameOf, namespaceOf } from "../object/KubeObject.ts"
import type { FieldReader } from "./fieldSelector.ts"
import type { EventType, Revision } from "./Revision.ts"

export interface Change {
  readonly type: EventType
  readonly revision: Revision
  readonly previous: Revision | undefined
  readonly version: number
}

export const keyOf = (namespace: string, name: string): string => `${namespace}/${name}`

export class Collection {
  readonly objects = new Map<string, Revision>()
  /** Version of the newest change that history no longer holds. */
  forgotten = 0
  readonly #namespaces = new Map<string, Set<string>>()
  readonly #indexes = new Map<string, { readonly read: FieldReader; readonly keys: Map<string, Set<string>> }>()
  readonly #window: number
  #sorted: ReadonlyArray<string> | undefined
  #history: Array<Change> = []

  constructor(indexes: Readonly<Record<string, FieldReader>>, window: number) {
    this.#window = window
    for (const [field, read] of Object.entries(indexes)) this.#indexes.set(field, { read, keys: new Map() })
  }

  get indexed(): Iterable<readonly [field: string, read: FieldReader]> {
    return [...this.#indexes].map(([field, { read }]) => [field, read] as const)
  }

  record(change: Change): void {
    const { revision, previous } = change
    const object = revision.object
    const key = keyOf(namespaceOf(object), nameOf(object))
    if (change.type === "DELETED") this.objects.delete(key)
    else this.objects.set(key, revision)
    if (change.type !== "MODIFIED") this.#sorted = undefined
    this.#place(key, object, previous?.object, change.type === "DELETED")
    this.#history.push(change)
    // Trimmed in blocks, so that a write costs the same however long the window is.
    if (this.#history.length >= this.#window * 2) {
      const dropped = this.#history.length - this.#window
      this.forgotten = this.#history[dropped - 1]?.version ?? this.forgotten
      this.#history = this.#history.slice(dropped)
    }
  }

  /** Keys in the order an API server lists them. */
  keys(): ReadonlyArray<string> {
    return this.#sorted ??= [...this.objects.keys()].sort(compare)
  }

  keysOfNamespace(namespace: string): ReadonlyArray<string> {
    return [...this.#namespaces.get(namespace) ?? []].sort(compare)
  }

  /** Undefined when the field has no index. */
  keysOfField(field: string, value: string): ReadonlyArray<string> | undefined {
    const index = this.#indexes.get(field)
    return index === undefined ? undefined : [...index.keys.get(value) ?? []].sort(compare)
  }

  /** Changes after a version, oldest first; undefined if history does not reach back that far. */
  since(version: number): ReadonlyArray<Change> | undefined {
    if (version < this.forgotten) return undefined
    let low = 0
    let high = this.#history.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#history[middle]?.version ?? 0) <= version) low = middle + 1
      else high = middle
    }
    return this.#history.slice(low)
  }

  /** The objects as they were at a version, for reads that a fault makes stale; as old as history allows. */
  asOf(version: number): ReadonlyMap<string, Revision> {
    const past = new Map(this.objects)
    for (const { revision, previous } of [...this.since(Math.max(version, this.forgotten)) ?? []].reverse()) {
      const key = keyOf(namespaceOf(revision.object), nameOf(revision.object))
      if (previous === undefined) past.delete(key)
      else past.set(key, previous)
    }
    return past
  }

  #place(key: string, object: KubeObject, previous: KubeObject | undefined, gone: boolean): void {
    const namespace = namespaceOf(object)
    if (gone) drop(this.#namespaces, namespace, key)
    else if (previous === undefined) add(this.#namespaces, namespace, key)
    for (const { read, keys } of this.#indexes.values()) {
      const before = previous === undefined ? undefined : read(previous)
      const after = gone ? undefined : read(object)
      if (before === after) continue
      if (before !== undefined) drop(keys, before, key)
      if (after !== undefined) add(keys, after, key)
    }
  }
}

const add = (index: Map<string, Set<string>>, value: string, key: string) => {
  const keys = index.get(value)
  if (keys === undefined) index.set(value, new Set([key]))
  else keys.add(key)
}

const drop = (index: Map<string, Set<string>>, value: string, key: string) => {
  const keys = index.get(value)
  keys?.delete(key)
  if (keys?.size === 0) index.delete(value)
}

/** Which objects of a collection a request is about, and the cheapest way to find them. */
import { type KubeObject, labelsOf, nameOf, namespaceOf, withMetadata } from "../object/KubeObject.ts"
import { type Change, keyOf } from "./Collection.ts"
import type { FieldSelector } from "./fieldSelector.ts"
import type { LabelMatch } from "./labelSelector.ts"
import { type EventType, Revision } from "./Revision.ts"
import type { Hook, Store } from "./Store.ts"

export interface Selection {
  readonly collection: string
  /** Empty for all namespaces and for cluster-scoped resources. */
  readonly namespace: string
  readonly labels: LabelMatch | undefined
  readonly fields: FieldSelector
}

export const isSelected = (selection: Selection, object: KubeObject): boolean =>
  (selection.namespace === "" || namespaceOf(object) === selection.namespace) &&
  selection.fields.matches(object) &&
  (selection.labels === undefined || selection.labels(labelsOf(object)))

const indexedTerm = (store: Store, selection: Selection): readonly [string, string] | undefined => {
  for (const [field] of store.collection(selection.collection).indexed) {
    const value = selection.fields.equals.get(field)
    if (value !== undefined) return [field, value]
  }
  return undefined
}

const candidates = (store: Store, selection: Selection): ReadonlyArray<string> => {
  const collection = store.collection(selection.collection)
  const name = selection.fields.equals.get("metadata.name")
  if (name !== undefined && selection.namespace !== "") return [keyOf(selection.namespace, name)]
  if (name !== undefined && collection.objects.has(keyOf("", name))) return [keyOf("", name)]
  const term = indexedTerm(store, selection)
  const indexed = term === undefined ? undefined : collection.keysOfField(...term)
  if (indexed !== undefined) return indexed
  return selection.namespace === "" ? collection.keys() : collection.keysOfNamespace(selection.namespace)
}

/** The selected objects in list order, starting after a key. */
export const select = (
  store: Store,
  selection: Selection,
  options: { readonly after?: string; readonly limit?: number; readonly from?: ReadonlyMap<string, Revision> } = {}
): { readonly items: ReadonlyArray<Revision>; readonly next: string | undefined; readonly remaining: number } => {
  const objects = options.from ?? store.collection(selection.collection).objects
  const keys = options.from === undefined ? candidates(store, selection) : [...options.from.keys()].sort()
  const items: Array<Revision> = []
  let last: string | undefined
  let remaining = 0
  for (const key of keys) {
    if (options.after !== undefined && key <= options.after) continue
    const revision = objects.get(key)
    if (revision === undefined || !isSelected(selection, revision.object)) continue
    if (options.limit !== undefined && items.length >= options.limit) remaining += 1
    else {
      items.push(revision)
      last = key
    }
  }
  return { items, next: remaining === 0 ? undefined : last, remaining }
}

export const hookOf = (store: Store, selection: Selection): Hook => {
  const name = selection.fields.equals.get("metadata.name")
  if (name !== undefined) return `name:${name}`
  const term = indexedTerm(store, selection)
  if (term !== undefined) return `field:${term[0]}=${term[1]}`
  return selection.namespace === "" ? "all" : `namespace:${selection.namespace}`
}

export interface Seen {
  readonly type: EventType
  readonly revision: Revision
}

const departed = new WeakMap<Change, Revision>()

/** The last selected state under the version at which it stopped being selected. */
const departure = (change: Change, previous: Revision): Revision => {
  let made = departed.get(change)
  if (made === undefined) {
    const object = withMetadata(previous.object, { resourceVersion: String(change.version) })
    departed.set(change, made = new Revision(object, change.version))
  }
  return made
}

/** What a watcher of the selection sees of a change: objects enter and leave as their labels and fields change. */
export const seen = (selection: Selection, change: Change): Seen | undefined => {
  const { type, revision, previous } = change
  const is = isSelected(selection, revision.object)
  const was = previous !== undefined && isSelected(selection, previous.object)
  if (type === "DELETED") return was || is ? { type: "DELETED", revision } : undefined
  if (is) return { type: was ? "MODIFIED" : "ADDED", revision }
  return was && previous !== undefined ? { type: "DELETED", revision: departure(change, previous) } : undefined
}

export const nameOfRevision = (revision: Revision): string => nameOf(revision.object)

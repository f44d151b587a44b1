/** The resource types served right now; custom resources come and go. */
import { compare, type JsonObject } from "../object/json.ts"
import { apiVersionOf, type ResourceType } from "./ResourceType.ts"

const keyOf = (group: string, version: string, plural: string) => `${group}/${version}/${plural}`

export class Registry {
  readonly #types = new Map<string, ResourceType>()
  readonly #byCollection = new Map<string, ResourceType>()
  /** Grows with every change; cached discovery documents are keyed by it. */
  revision = 0

  constructor(types: Iterable<ResourceType>) {
    for (const type of types) this.add(type)
  }

  add(type: ResourceType): void {
    this.#types.set(keyOf(type.group, type.version, type.plural), type)
    // A type without conversion is the stored one.
    if (type.conversion === undefined || !this.#byCollection.has(type.collection)) {
      this.#byCollection.set(type.collection, type)
    }
    this.revision += 1
  }

  remove(group: string, plural: string): void {
    for (const [key, type] of this.#types) {
      if (type.group !== group || type.plural !== plural) continue
      this.#types.delete(key)
      this.#byCollection.delete(type.collection)
    }
    this.revision += 1
  }

  find(group: string, version: string, plural: string): ResourceType | undefined {
    return this.#types.get(keyOf(group, version, plural))
  }

  /** The type whose form the collection keeps. */
  ofCollection(collection: string): ResourceType | undefined {
    return this.#byCollection.get(collection)
  }

  ofKind(apiVersion: string, kind: string): ResourceType | undefined {
    for (const type of this.#types.values()) {
      if (type.kind === kind && apiVersionOf(type) === apiVersion) return type
    }
    return undefined
  }

  get types(): ReadonlyArray<ResourceType> {
    return [...this.#types.values()]
  }

  /** Group versions in discovery order: core first, groups by name, versions as registered. */
  get groups(): ReadonlyMap<string, ReadonlyMap<string, ReadonlyArray<ResourceType>>> {
    const groups = new Map<string, Map<string, Array<ResourceType>>>()
    for (const type of [...this.#types.values()].sort((a, b) => compare(a.group, b.group))) {
      const versions = groups.get(type.group) ?? new Map<string, Array<ResourceType>>()
      groups.set(type.group, versions)
      const types = versions.get(type.version) ?? []
      versions.set(type.version, types)
      types.push(type)
    }
    return groups
  }
}

/** The same object as another version of its resource shows it. */
export const shownAs = (type: ResourceType, object: JsonObject): JsonObject =>
  type.conversion === undefined ? object : type.conversion.fromStored(object)

export const storedAs = (type: ResourceType, object: JsonObject): JsonObject => {
  const stored = type.conversion === undefined ? object : type.conversion.toStored(object)
  return type.canonical === undefined ? stored : type.canonical(stored)
}

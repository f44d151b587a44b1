/** Builds a resource type from what makes it special. */
import { allVerbs, type ResourceType, type Subresource } from "./ResourceType.ts"

export type Special = Partial<ResourceType> & Pick<ResourceType, "kind" | "plural">

export const statusSubresource = (kind: string): Subresource => ({
  name: "status",
  kind,
  verbs: ["get", "patch", "update"]
})

export const scaleSubresource: Subresource = {
  name: "scale",
  kind: "Scale",
  group: "autoscaling",
  version: "v1",
  verbs: ["get", "patch", "update"]
}

export const resourceType = (group: string, version: string, special: Special): ResourceType => {
  const hasStatus = special.hasStatus ?? false
  return {
    group,
    version,
    singular: special.kind.toLowerCase(),
    shortNames: [],
    categories: [],
    namespaced: true,
    collection: group === "" ? special.plural : `${special.plural}.${group}`,
    verbs: allVerbs,
    hasGeneration: false,
    fields: {},
    indexes: [],
    columns: undefined,
    ...special,
    hasStatus,
    subresources: [...hasStatus ? [statusSubresource(special.kind)] : [], ...special.subresources ?? []]
  }
}

/** Discovery: which groups, versions, resources and subresources are served, in the aggregated and in the plain form. */
import { type JsonObject } from "../object/json.ts"
import type { Registry } from "../registry/Registry.ts"
import { apiVersionOf, type ResourceType, type Subresource } from "../registry/ResourceType.ts"

const aggregatedSubresource = (type: ResourceType) => (subresource: Subresource): JsonObject => ({
  subresource: subresource.name,
  responseKind: {
    group: subresource.group ?? type.group,
    version: subresource.version ?? type.version,
    kind: subresource.kind
  },
  verbs: subresource.verbs
})

const aggregatedResource = (type: ResourceType): JsonObject => ({
  resource: type.plural,
  responseKind: { group: type.group, version: type.version, kind: type.kind },
  scope: type.namespaced ? "Namespaced" : "Cluster",
  singularResource: type.singular,
  verbs: type.verbs,
  ...(type.shortNames.length === 0 ? {} : { shortNames: type.shortNames }),
  ...(type.categories.length === 0 ? {} : { categories: type.categories }),
  ...(type.subresources.length === 0 ? {} : { subresources: type.subresources.map(aggregatedSubresource(type)) })
})

/** APIGroupDiscoveryList for `/api` (core only) or `/apis` (all others). */
export const aggregatedDiscovery = (registry: Registry, core: boolean): JsonObject => ({
  kind: "APIGroupDiscoveryList",
  apiVersion: "apidiscovery.k8s.io/v2",
  metadata: {},
  items: [...registry.groups].filter(([group]) => (group === "") === core).map(([group, versions]) => ({
    metadata: { ...(group === "" ? {} : { name: group }), creationTimestamp: null },
    versions: [...versions].map(([version, types]) => ({
      version,
      resources: types.map(aggregatedResource),
      freshness: "Current"
    }))
  }))
})

const groupEntry = (group: string, versions: Iterable<string>): JsonObject => {
  const all = [...versions].map((version) => ({ groupVersion: `${group}/${version}`, version }))
  return { name: group, versions: all, preferredVersion: all[0] ?? {} }
}

export const coreVersions = (address: string): JsonObject => ({
  kind: "APIVersions",
  versions: ["v1"],
  serverAddressByClientCIDRs: [{ clientCIDR: "0.0.0.0/0", serverAddress: address }]
})

export const groupList = (registry: Registry): JsonObject => ({
  kind: "APIGroupList",
  apiVersion: "v1",
  groups: [...registry.groups].filter(([group]) => group !== "").map(([group, versions]) =>
    groupEntry(group, versions.keys())
  )
})

export const apiGroup = (registry: Registry, group: string): JsonObject | undefined => {
  const versions = registry.groups.get(group)
  return versions === undefined
    ? undefined
    : { kind: "APIGroup", apiVersion: "v1", ...groupEntry(group, versions.keys()) }
}

const plainResource = (type: ResourceType): JsonObject => ({
  name: type.plural,
  singularName: type.singular,
  namespaced: type.namespaced,
  kind: type.kind,
  verbs: type.verbs,
  ...(type.shortNames.length === 0 ? {} : { shortNames: type.shortNames }),
  ...(type.categories.length === 0 ? {} : { categories: type.categories })
})

const plainSubresource = (type: ResourceType) => (subresource: Subresource): JsonObject => ({
  name: `${type.plural}/${subresource.name}`,
  singularName: "",
  namespaced: type.namespaced,
  ...(subresource.group === undefined ? {} : { group: subresource.group, version: subresource.version ?? "v1" }),
  kind: subresource.kind,
  verbs: subresource.verbs
})

export const resourceList = (registry: Registry, group: string, version: string): JsonObject | undefined => {
  const types = registry.groups.get(group)?.get(version)
  if (types === undefined) return undefined
  return {
    kind: "APIResourceList",
    ...(group === "" ? {} : { apiVersion: "v1" }),
    groupVersion: apiVersionOf({ group, version }),
    resources: types.flatMap((type) => [plainResource(type), ...type.subresources.map(plainSubresource(type))])
  }
}

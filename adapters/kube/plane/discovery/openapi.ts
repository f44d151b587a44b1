/** OpenAPI v3 per group version, enough for kubectl's create, apply and explain; v2 as the empty document old kubectl accepts. */
import { type Json, type JsonObject } from "../object/json.ts"
import type { Registry } from "../registry/Registry.ts"
import { apiVersionOf, type ResourceType } from "../registry/ResourceType.ts"
import { fieldDocuments, specDocuments } from "./fieldDocuments.ts"

const groupPath = (group: string, version: string) => group === "" ? `api/${version}` : `apis/${group}/${version}`

export const openApiIndex = (registry: Registry): JsonObject => {
  const paths: Record<string, Json> = {}
  for (const [group, versions] of registry.groups) {
    for (const version of versions.keys()) {
      const path = groupPath(group, version)
      paths[path] = { serverRelativeURL: `/openapi/v3/${path}?hash=${registry.revision.toString(16)}` }
    }
  }
  return { paths }
}

const parameter = (name: string): JsonObject => ({ name, in: "query", schema: { type: "string", uniqueItems: true } })
const response: JsonObject = { "200": { description: "OK" } }

const schemaName = (type: ResourceType) => {
  const reversed = type.group === "" ? "io.k8s.api.core" : type.group.split(".").toReversed().join(".")
  return `${reversed}.${type.version}.${type.kind}`
}
const documentName = (name: string) => `io.k8s.api.core.v1.${name}`
const reference = (name: string): JsonObject => ({ $ref: `#/components/schemas/${name}` })

const fieldSchema = (type: string, description: string): JsonObject => {
  if (type.startsWith("[]")) return { description, type: "array", items: fieldSchema(type.slice(2), "") }
  if (type === "map") return { description, type: "object", additionalProperties: { type: "string", default: "" } }
  if (type === "object") return { description, type: "object" }
  if (fieldDocuments[type] !== undefined) return { description, allOf: [reference(documentName(type))], default: {} }
  return { description, type }
}

const documentSchemas = (): JsonObject =>
  Object.fromEntries(
    Object.entries(fieldDocuments).map(([name, { description, fields }]) => [documentName(name), {
      description,
      type: "object",
      properties: Object.fromEntries(
        Object.entries(fields).map(([field, [type, text]]) => [field, fieldSchema(type, text)])
      )
    }])
  )

const kindOf = (type: ResourceType): JsonObject => ({ group: type.group, version: type.version, kind: type.kind })

const kindSchema = (type: ResourceType): JsonObject => {
  const spec = specDocuments[type.kind]
  const own = type.schema ?? {
    description: `${type.kind} is a resource of ${apiVersionOf(type)}.`,
    type: "object",
    properties: {
      spec: spec === undefined ? { type: "object" } : { allOf: [reference(documentName(spec))], default: {} },
      status: { type: "object" },
      ...(type.kind === "ConfigMap" || type.kind === "Secret" ? { data: fieldSchema("map", "The data, by key.") } : {})
    }
  }
  const properties = own["properties"]
  return {
    ...own,
    properties: {
      ...(typeof properties === "object" && properties !== null ? properties : {}),
      apiVersion: { description: "The versioned schema of this representation of an object.", type: "string" },
      kind: { description: "The REST resource this object represents.", type: "string" },
      metadata: {
        description: "Standard object's metadata.",
        allOf: [reference(documentName("ObjectMeta"))],
        default: {}
      }
    },
    "x-kubernetes-group-version-kind": [kindOf(type)]
  }
}

const operation = (type: ResourceType, action: string, parameters: ReadonlyArray<string>): JsonObject => ({
  operationId: `${action}${type.kind}`,
  parameters: parameters.map(parameter),
  responses: response,
  "x-kubernetes-action": action,
  "x-kubernetes-group-version-kind": kindOf(type)
})

const writing = ["dryRun", "fieldManager", "fieldValidation"]

export const openApiDocument = (registry: Registry, group: string, version: string): JsonObject | undefined => {
  const types = registry.groups.get(group)?.get(version)
  if (types === undefined) return undefined
  const paths: Record<string, Json> = {}
  const schemas: Record<string, Json> = { ...documentSchemas() }
  for (const type of types) {
    const base = `/${groupPath(group, version)}${type.namespaced ? "/namespaces/{namespace}" : ""}/${type.plural}`
    schemas[schemaName(type)] = kindSchema(type)
    paths[base] = { get: operation(type, "list", ["limit", "continue"]), post: operation(type, "post", writing) }
    if (!type.verbs.includes("get")) continue
    paths[`${base}/{name}`] = {
      get: operation(type, "get", []),
      put: operation(type, "put", writing),
      patch: operation(type, "patch", [...writing, "force"]),
      delete: operation(type, "delete", ["dryRun"])
    }
  }
  return {
    openapi: "3.0.0",
    info: { title: "Kubernetes", version: "unversioned" },
    paths,
    components: { schemas }
  }
}

/** swagger 2.0 without definitions: kubectl up to 1.26 then skips its own validation. */
export const swagger: JsonObject = {
  swagger: "2.0",
  info: { title: "Kubernetes", version: "unversioned" },
  paths: {},
  definitions: {}
}

/** The same as gnostic's `openapi.v2.Document` message, the form kubectl asks for: swagger = 1, info = 2 {title = 1, version = 2}. */
export const swaggerProtobuf: Uint8Array = (() => {
  const text = new TextEncoder()
  const field = (number: number, bytes: Uint8Array) => [number << 3 | 2, bytes.length, ...bytes]
  const info = [...field(1, text.encode("Kubernetes")), ...field(2, text.encode("unversioned"))]
  return Uint8Array.from([...field(1, text.encode("2.0")), ...field(2, Uint8Array.from(info))])
})()

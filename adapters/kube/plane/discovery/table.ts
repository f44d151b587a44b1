/** Tables: what `kubectl get` prints, computed by the server. */
import { type Json, type JsonObject, maybe, objectAt } from "../object/json.ts"
import type { KubeObject } from "../object/KubeObject.ts"
import { plainColumns } from "../registry/columns.ts"
import type { Column, ResourceType } from "../registry/ResourceType.ts"

export type IncludeObject = "None" | "Metadata" | "Object"

const columnsOf = (type: ResourceType): ReadonlyArray<Column> => type.columns ?? plainColumns

export const columnDefinitions = (type: ResourceType): ReadonlyArray<JsonObject> =>
  columnsOf(type).map((column) => ({
    name: column.name,
    type: column.type,
    format: column.format ?? "",
    description: column.description ?? "",
    priority: column.priority ?? 0
  }))

const rowObject = (object: KubeObject, include: IncludeObject): JsonObject =>
  include === "None"
    ? {}
    : include === "Object"
    ? { object }
    : {
      object: { kind: "PartialObjectMetadata", apiVersion: "meta.k8s.io/v1", metadata: objectAt(object, "metadata") }
    }

const row = (type: ResourceType, object: KubeObject, now: number, include: IncludeObject): JsonObject => ({
  cells: columnsOf(type).map((column): Json => column.cell(object, now)),
  ...rowObject(object, include)
})

export const table = (
  type: ResourceType,
  objects: ReadonlyArray<KubeObject>,
  listMetadata: JsonObject,
  now: number,
  options: { readonly include: IncludeObject; readonly headers: boolean }
): JsonObject => ({
  kind: "Table",
  apiVersion: "meta.k8s.io/v1",
  metadata: listMetadata,
  ...maybe("columnDefinitions", options.headers ? columnDefinitions(type) : []),
  rows: objects.map((object) => row(type, object, now, options.include))
})

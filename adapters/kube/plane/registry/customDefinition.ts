/** CustomResourceDefinitions: admitted as objects, and turned into resource types that are served at once. */
import { Result } from "effect"
import { type FieldError, invalid } from "../object/ApiFailure.ts"
import {
  isObject,
  type Json,
  type JsonObject,
  maybe,
  numberAt,
  objectAt,
  objectsAt,
  stringAt,
  stringsAt,
  withAt,
  withDefaults
} from "../object/json.ts"
import { type KubeObject, nameOf } from "../object/KubeObject.ts"
import { timestamp } from "../object/Moment.ts"
import type { FieldReader } from "../store/fieldSelector.ts"
import { ageColumn, ago, nameColumn } from "./columns.ts"
import { resourceType, scaleSubresource } from "./defineResource.ts"
import { parseJsonPath, readJsonPath } from "./jsonPath.ts"
import { apiVersionOf, type Column, type ResourceType } from "./ResourceType.ts"
import { schemaErrors, withSchemaDefaults } from "./structuralSchema.ts"

export const prepareDefinition: NonNullable<ResourceType["prepare"]> = (object, _, { moment }) => {
  const spec = objectAt(object, "spec")
  const names = objectAt(spec, "names")
  const kind = stringAt(names, "kind") ?? ""
  const complete = withDefaults(names, { singular: kind.toLowerCase(), listKind: `${kind}List` })
  const filled = withAt(object, ["spec"], {
    ...spec,
    names: complete,
    ...maybe("conversion", spec["conversion"] ?? { strategy: "None" })
  })
  const since = timestamp(moment.now)
  const condition = (type: string, reason: string, message: string): JsonObject => {
    const before = objectsAt(object, "status", "conditions").find((entry) => stringAt(entry, "type") === type)
    return before ?? { type, status: "True", lastTransitionTime: since, reason, message }
  }
  const stored = objectsAt(spec, "versions").filter((version) => version["storage"] === true).map((v) =>
    stringAt(v, "name") ?? ""
  )
  return Result.succeed({
    ...filled,
    status: {
      conditions: [
        condition("NamesAccepted", "NoConflicts", "no conflicts found"),
        condition("Established", "InitialNamesAccepted", "the initial names have been accepted")
      ],
      acceptedNames: complete,
      storedVersions: [...new Set([...stringsAt(object, "status", "storedVersions"), ...stored])]
    }
  })
}

export const validateDefinition: NonNullable<ResourceType["validate"]> = (object) => {
  const errors: Array<FieldError> = []
  const group = stringAt(object, "spec", "group") ?? ""
  const plural = stringAt(object, "spec", "names", "plural") ?? ""
  for (
    const [field, value] of [["spec.group", group], ["spec.names.plural", plural], [
      "spec.names.kind",
      stringAt(object, "spec", "names", "kind")
    ]] as const
  ) {
    if (!value) errors.push({ type: "Required", field, detail: "" })
  }
  if (nameOf(object) !== `${plural}.${group}`) {
    errors.push({
      type: "Invalid",
      field: "metadata.name",
      value: nameOf(object),
      detail: `must be spec.names.plural+"."+spec.group`
    })
  }
  const versions = objectsAt(object, "spec", "versions")
  if (versions.filter((version) => version["storage"] === true).length !== 1) {
    errors.push({
      type: "Invalid",
      field: "spec.versions",
      value: "",
      detail: "must have exactly one version marked as storage version"
    })
  }
  versions.forEach((version, index) => {
    if (!isObject(objectAt(version, "schema")["openAPIV3Schema"])) {
      errors.push({
        type: "Required",
        field: `spec.versions[${index}].schema.openAPIV3Schema`,
        detail: "schemas are required"
      })
    }
  })
  const scope = stringAt(object, "spec", "scope")
  if (scope !== "Namespaced" && scope !== "Cluster") {
    errors.push({
      type: "NotSupported",
      field: "spec.scope",
      value: scope ?? "",
      detail: `supported values: "Cluster", "Namespaced"`
    })
  }
  return errors
}

const dotted = (path: string | undefined): ReadonlyArray<string> =>
  (path ?? "").split(".").filter((part) => part !== "")

const columnsOf = (version: JsonObject): ReadonlyArray<Column> => {
  const extra = objectsAt(version, "additionalPrinterColumns").map((definition): Column => {
    const steps = parseJsonPath(stringAt(definition, "jsonPath") ?? "")
    const type = stringAt(definition, "type") ?? "string"
    const format = stringAt(definition, "format")
    const description = stringAt(definition, "description")
    return {
      name: stringAt(definition, "name") ?? "",
      type: type === "integer" || type === "number" || type === "boolean" || type === "date" ? type : "string",
      ...(format === undefined ? {} : { format }),
      ...(description === undefined ? {} : { description }),
      priority: numberAt(definition, "priority") ?? 0,
      cell: (object, now) => {
        const found = steps === undefined ? [] : readJsonPath(object, steps)
        const value = found[0]
        if (value === undefined) return null
        if (type === "date") return ago(String(value), now)
        if (found.length > 1) {
          return found.map((item) => typeof item === "string" ? item : JSON.stringify(item)).join(",")
        }
        return isObject(value) || Array.isArray(value) ? JSON.stringify(value) : value
      }
    }
  })
  return extra.length === 0 ? [nameColumn, ageColumn] : [nameColumn, ...extra]
}

const fieldsOf = (version: JsonObject): Readonly<Record<string, FieldReader>> =>
  Object.fromEntries(
    objectsAt(version, "selectableFields").flatMap((entry) => {
      const path = stringAt(entry, "jsonPath") ?? ""
      const steps = parseJsonPath(path)
      const read: FieldReader = (object) => String(readJsonPath(object, steps ?? [])[0] ?? "")
      return steps === undefined ? [] : [[path.replace(/^\./, ""), read] as const]
    })
  )

/** One resource type per served version; conversion between versions changes apiVersion only. */
export const customResources = (definition: KubeObject): ReadonlyArray<ResourceType> => {
  const spec = objectAt(definition, "spec")
  const names = objectAt(spec, "names")
  const group = stringAt(spec, "group") ?? ""
  const plural = stringAt(names, "plural") ?? ""
  const kind = stringAt(names, "kind") ?? ""
  const versions = objectsAt(spec, "versions")
  const storage = stringAt(versions.find((version) => version["storage"] === true), "name") ?? ""
  return versions.filter((version) => version["served"] === true).map((version) => {
    const name = stringAt(version, "name") ?? ""
    const schema = objectAt(version, "schema", "openAPIV3Schema")
    const subresources = objectAt(version, "subresources")
    const scale = subresources["scale"]
    const as = (target: string) => (object: KubeObject): KubeObject => ({
      ...object,
      apiVersion: apiVersionOf({ group, version: target })
    })
    return resourceType(group, name, {
      kind,
      plural,
      singular: stringAt(names, "singular") ?? kind.toLowerCase(),
      shortNames: stringsAt(names, "shortNames"),
      categories: stringsAt(names, "categories"),
      namespaced: stringAt(spec, "scope") === "Namespaced",
      hasStatus: isObject(subresources["status"]),
      hasGeneration: true,
      fields: fieldsOf(version),
      columns: columnsOf(version),
      schema,
      subresources: isObject(scale) ? [scaleSubresource] : [],
      prepare: (object) => {
        const filled = withSchemaDefaults(object, schema)
        return isObject(filled)
          ? Result.succeed(filled)
          : Result.fail(invalid({ group, plural, kind }, nameOf(object), []))
      },
      validate: (object) => schemaErrors(object, schema, ""),
      ...(name === storage ? {} : { conversion: { toStored: as(storage), fromStored: as(name) } }),
      ...(isObject(scale)
        ? {
          scale: {
            specReplicas: dotted(stringAt(scale, "specReplicasPath")),
            statusReplicas: dotted(stringAt(scale, "statusReplicasPath")),
            selector: (object: KubeObject) => {
              const path = dotted(stringAt(scale, "labelSelectorPath"))
              const value: Json | undefined = path.length === 0
                ? undefined
                : path.reduce<Json | undefined>((v, key) => objectAt(v)[key], object)
              return typeof value === "string" ? value : ""
            }
          }
        }
        : {})
    })
  })
}

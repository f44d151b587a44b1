/** The rules for names and labels that every object obeys. */
import type { FieldError } from "../object/ApiFailure.ts"
import { type JsonObject, objectAt, stringAt } from "../object/json.ts"
import { type KubeObject, labelsOf, nameOf } from "../object/KubeObject.ts"

export const dnsLabel = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/
export const dnsSubdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/
const pathSegment = /^(?!\.\.?$)[^/%]+$/
const labelValue = /^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$/
const qualifiedName = /^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/

const subdomainText =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
const labelText =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"

export type NameRule = "subdomain" | "label" | "path"

export const nameErrors = (object: KubeObject, rule: NameRule): ReadonlyArray<FieldError> => {
  const name = nameOf(object)
  const field = "metadata.name"
  if (name === "") return [{ type: "Required", field, detail: "name or generateName is required" }]
  const limit = rule === "label" ? 63 : 253
  if (name.length > limit) return [{ type: "TooLong", field, detail: `may not be more than ${limit} bytes` }]
  const form = rule === "label" ? dnsLabel : rule === "path" ? pathSegment : dnsSubdomain
  const detail = rule === "label" ? labelText : rule === "path" ? "may not contain '/' or '%'" : subdomainText
  return form.test(name) ? [] : [{ type: "Invalid", field, value: name, detail }]
}

export const isQualifiedName = (key: string): boolean => {
  const parts = key.split("/")
  const name = parts.at(-1) ?? ""
  if (parts.length > 2 || name.length > 63 || !qualifiedName.test(name)) return false
  return parts.length === 1 || (dnsSubdomain.test(parts[0] ?? "") && (parts[0] ?? "").length <= 253)
}

const labelErrorsOf = (labels: JsonObject, field: string): ReadonlyArray<FieldError> =>
  Object.entries(labels).flatMap(([key, value]): ReadonlyArray<FieldError> => {
    if (!isQualifiedName(key)) {
      return [{ type: "Invalid", field, value: key, detail: "name part must be a qualified name" }]
    }
    if (typeof value !== "string" || value.length > 63 || !labelValue.test(value)) {
      const detail =
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
      return [{ type: "Invalid", field, value: String(value), detail }]
    }
    return []
  })

const annotationLimit = 256 * 1024

export const metadataErrors = (object: KubeObject): ReadonlyArray<FieldError> => {
  const annotations = objectAt(object, "metadata", "annotations")
  let size = 0
  const errors: Array<FieldError> = [...labelErrorsOf(labelsOf(object), "metadata.labels")]
  for (const [key, value] of Object.entries(annotations)) {
    size += key.length + String(value).length
    if (!isQualifiedName(key.toLowerCase())) {
      errors.push({
        type: "Invalid",
        field: "metadata.annotations",
        value: key,
        detail: "name part must be a qualified name"
      })
    }
  }
  if (size > annotationLimit) {
    errors.push({
      type: "TooLong",
      field: "metadata.annotations",
      detail: `may not be more than ${annotationLimit} bytes`
    })
  }
  return errors
}

export const requiredText = (object: KubeObject, ...path: ReadonlyArray<string>): ReadonlyArray<FieldError> =>
  stringAt(object, ...path) ? [] : [{ type: "Required", field: path.join("."), detail: "" }]

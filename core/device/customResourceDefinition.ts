/** The CustomResourceDefinition of EdgeDevice, generated from its Schema: structural, with sentences for what a schema cannot say. */
import { Schema } from "effect"
import { EdgeDevices, EdgeDeviceSpec, EdgeDeviceStatus } from "./EdgeDevice.ts"
import {
  needless,
  type NotActedOn,
  notActedOn,
  type RefusedValue,
  refusedValues,
  sentenceFor,
  valueSentence
} from "./notActedOn.ts"
import { olderSpellings } from "./olderSpellings.ts"

type Json = { readonly [key: string]: unknown }
type Node = { [key: string]: unknown }

const isObject = (value: unknown): value is Json => typeof value === "object" && value !== null && !Array.isArray(value)

/** What a schema of its own checks in the operator: Kubernetes' structural schemas know the pair, and nothing of its halves. */
const isIntOrString = (value: unknown): boolean =>
  Array.isArray(value) && value.length === 2 &&
  ["integer", "string"].every((type) => value.some((part) => isObject(part) && part["type"] === type))

/** JSON Schema as Effect writes it, brought to what Kubernetes calls structural. */
const structural = (schema: unknown, definitions: Json): Node => {
  if (!isObject(schema)) return {}
  const reference = schema["$ref"]
  if (typeof reference === "string") return structural(definitions[reference.split("/").at(-1) ?? ""], definitions)
  const node: Node = {}
  for (const [key, value] of Object.entries(schema)) {
    if (key === "anyOf" && isIntOrString(value)) node["x-kubernetes-int-or-string"] = true
    else if (key === "anyOf" && Array.isArray(value) && value.length === 1) {
      Object.assign(node, structural(value[0], definitions))
    } else if (key === "allOf" && Array.isArray(value)) {
      for (const part of value) Object.assign(node, structural(part, definitions))
    } else if (key === "properties" && isObject(value)) {
      node[key] = Object.fromEntries(
        Object.entries(value).map(([name, inner]) => [name, structural(inner, definitions)])
      )
    } else if (key === "items") node[key] = structural(value, definitions)
    else if (key === "additionalProperties") {
      // Beside properties it is implied: unknown fields are pruned, or refused by strict clients.
      if (isObject(value)) node[key] = structural(value, definitions)
    } else node[key] = value
  }
  return node
}

const documentOf = (schema: Schema.Top): Node => {
  const document = Schema.toJsonSchemaDocument(schema)
  return structural(document.schema, document.definitions as Json)
}

/** The schema node that holds the last part of `spec.a.b`, made on the way where it is missing. */
const holder = (spec: Node, path: string): { readonly properties: Node; readonly name: string } => {
  const parts = path.split(".").slice(1)
  const name = parts.pop() ?? ""
  let node = spec
  for (const part of parts) {
    const properties = (node["properties"] ??= {}) as Node
    node = (properties[part] ??= { type: "object" }) as Node
  }
  return { properties: (node["properties"] ??= {}) as Node, name }
}

const anything = { type: "object", "x-kubernetes-preserve-unknown-fields": true }
const mostEntries = 256

const shapeOf = (kind: NotActedOn["kind"]): Node => {
  switch (kind) {
    case "section":
      return { ...anything }
    case "enabled":
      return { ...anything, properties: { enabled: { type: "boolean" } } }
    case "list":
      return { type: "array", maxItems: mostEntries, items: { ...anything } }
    case "text":
      return { type: "string", maxLength: 256 }
  }
}

const inSpec = (path: string) => path.split(".").slice(1).join(".")

/** `has(self.a) && has(self.a.b)`: CEL fails on what is absent. */
const present = (path: string): string => {
  const parts = path.split(".").slice(1)
  return parts.map((_, i) => `has(self.${parts.slice(0, i + 1).join(".")})`).join(" && ")
}

const rule = (field: NotActedOn): string => {
  const at = `self.${inSpec(field.path)}`
  const asked = {
    section: "true",
    list: `size(${at}) > 0`,
    text: `${at} != ''`,
    enabled: `(has(${at}.enabled) && ${at}.enabled)`
  }
  return `!(${present(field.path)} && ${asked[field.kind]})`
}

const valueRule = ({ path, value }: RefusedValue): string => `!(${present(path)} && self.${inSpec(path)} == '${value}')`

const spec = (): Node => {
  const node = documentOf(EdgeDeviceSpec)
  for (const field of notActedOn) {
    const { name, properties } = holder(node, field.path)
    const inner = properties[name]
    if (inner === undefined || !isObject(inner) || inner["type"] === undefined || Object.keys(inner).length === 1) {
      properties[name] = { ...shapeOf(field.kind), ...(isObject(inner) ? { properties: inner["properties"] } : {}) }
      if ((properties[name] as Node)["properties"] === undefined) delete (properties[name] as Node)["properties"]
      ;(properties[name] as Node)["description"] = "Not acted on by this version."
    }
  }
  for (const { path, type } of needless) {
    const { name, properties } = holder(node, path)
    properties[name] = {
      type,
      ...(type === "string" ? { maxLength: 4096 } : {}),
      description: "Has no effect: what it was for is met without it."
    }
  }
  /** What is required may come in its older spelling. */
  const moved: Array<{ readonly rule: string; readonly message: string }> = []
  for (const { now, old, seconds } of olderSpellings) {
    const today = holder(node, now)
    const field = today.properties[today.name] as Node | undefined
    const typeNow = field?.["type"]
    // The API server would fill it in beside the older spelling, and the two would differ.
    delete field?.["default"]
    const { name, properties } = holder(node, old)
    properties[name] = {
      ...(seconds === true
        ? { "x-kubernetes-int-or-string": true }
        : typeNow === "string"
        ? { type: "string", maxLength: 253 }
        : typeNow === "array"
        ? shapeOf("list")
        : { ...anything }),
      description: `Deprecated: the older spelling of ${now}.`
    }
    const outer = now.split(".").slice(0, -1).join(".")
    if (outer === "spec" || old.split(".").slice(0, -1).join(".") !== outer) continue
    const around = holder(node, outer)
    const section = around.properties[around.name] as Node
    const required = section["required"]
    if (!Array.isArray(required) || !required.includes(today.name)) continue
    const still = required.filter((each) => each !== today.name)
    if (still.length > 0) section["required"] = still
    else delete section["required"]
    moved.push({
      rule: `!(${present(outer)}) || has(self.${inSpec(now)}) || has(self.${inSpec(old)})`,
      message: `${now} is required.`
    })
  }
  // An enumeration would be judged first, and say less.
  const enumerations = [...new Set(refusedValues.map(({ path }) => path))].map((path) => {
    const { name, properties } = holder(node, path)
    const { enum: values, ...field } = properties[name] as Node
    properties[name] = { ...field, maxLength: 63 }
    const expected = (values as ReadonlyArray<string>).map((value) => `'${value}'`)
    return {
      rule: `!(${present(path)}) || self.${inSpec(path)} in [${
        [...expected, ...refusedValues.filter((refused) => refused.path === path).map(({ value }) => `'${value}'`)]
          .join(", ")
      }]`,
      message: `${path} is wrong: expected ${expected.join(" or ")}.`
    }
  })
  node["x-kubernetes-validations"] = [
    ...notActedOn.map((field) => ({ rule: rule(field), message: sentenceFor(field) })),
    ...refusedValues.map((refused) => ({ rule: valueRule(refused), message: valueSentence(refused) })),
    ...enumerations,
    ...moved,
    {
      rule: "self.connectivity.method != 'mqtt' || has(self.connectivity.mqtt) || has(self.connectivity.mqttConfig)",
      message: "spec.connectivity.mqtt is required where spec.connectivity.method is mqtt."
    }
  ]
  return node
}

const column = (name: string, type: string, jsonPath: string, more: Json = {}) => ({ name, type, jsonPath, ...more })

export const customResourceDefinition = (): Json => ({
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: `${EdgeDevices.plural}.${EdgeDevices.group}` },
  spec: {
    group: EdgeDevices.group,
    scope: "Namespaced",
    names: {
      kind: EdgeDevices.kind,
      listKind: `${EdgeDevices.kind}List`,
      plural: EdgeDevices.plural,
      singular: "edgedevice",
      shortNames: ["ed", "eds"]
    },
    versions: [{
      name: EdgeDevices.version,
      served: true,
      storage: true,
      subresources: { status: {} },
      additionalPrinterColumns: [
        column("Connectivity", "string", ".spec.connectivity.method"),
        column("Connected", "string", ".status.conditions[?(@.type==\"Connected\")].status"),
        column("Host-Node", "string", ".status.hostNode", { priority: 1 }),
        column("Agent", "string", ".status.agentVersion", { priority: 1 }),
        column("Age", "date", ".metadata.creationTimestamp")
      ],
      schema: {
        openAPIV3Schema: {
          type: "object",
          description: "A device at the edge: for each one aranya keeps a Node, and the conversation with its agent.",
          required: ["spec"],
          properties: {
            apiVersion: { type: "string" },
            kind: { type: "string" },
            metadata: { type: "object" },
            spec: spec(),
            status: documentOf(EdgeDeviceStatus)
          }
        }
      }
    }]
  }
})

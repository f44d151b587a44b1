/** Reads an EdgeDevice as the API serves it: older spellings, defaults, and one sentence for each thing that is wrong. */
import { Duration, Effect, Schema, SchemaIssue } from "effect"
import type { ObjectMeta } from "../kube/ObjectMeta.ts"
import { backoffProblems, needlessBackoff } from "./brokerBackoff.ts"
import { type EdgeDevice, EdgeDeviceSpec, type EdgeDeviceStatus } from "./EdgeDevice.ts"
import { mqttProblems } from "./MqttConnectivity.ts"
import { asks, needless, notActedOn, refusedValues, sentenceFor, valueSentence } from "./notActedOn.ts"
import { normaliseSpellings } from "./olderSpellings.ts"
import { partitionProblems, partitionWarnings } from "./partitionPolicy.ts"
import { isJsonObject, type Json, valueAt, withValueAt } from "./path.ts"
import { isLabelValue, isQualifiedName, isReservedLabel, isReservedTaint, reservedNames } from "./reservedNames.ts"

/** What the owner has to mend, one sentence per field; it is also the text of the Invalid condition. */
export class InvalidEdgeDevice extends Schema.TaggedError<InvalidEdgeDevice>()("InvalidEdgeDevice", {
  namespace: Schema.String,
  name: Schema.String,
  problems: Schema.Array(Schema.Struct({ path: Schema.String, sentence: Schema.String }))
}) {
  override get message() {
    return this.problems.map(({ sentence }) => sentence).join(" ")
  }
}

interface Problem {
  readonly path: string
  readonly sentence: string
}

/** Sections of older generations: what was in them has moved, or asks for nothing. */
const emptied = ["spec.node.timers", "spec.pod.timers", "spec.connectivity.mqtt.connectPacket"]

/** The device's name becomes the name of a Node and the value of two labels; those hold 63 characters. */
export const longestName = 63

const decodeSpec = Schema.decodeUnknownEffect(EdgeDeviceSpec, { errors: "all", onExcessProperty: "error" })

const format = SchemaIssue.makeFormatterStandardSchemaV1()

const pathText = (path: ReadonlyArray<unknown>): string =>
  path.reduce<string>((text, part) => {
    const key = isJsonObject(part) ? part["key"] : part
    return typeof key === "number" ? `${text}[${key}]` : `${text}.${String(key)}`
  }, "spec")

const sentenceOf = (path: string, message: string): string => {
  if (message === "Missing key") return `${path} is required.`
  if (message === "Expected no excess property") {
    return `${path} is not a field of an EdgeDevice: remove it, or mend its spelling.`
  }
  return `${path} is wrong: ${message.charAt(0).toLowerCase()}${message.slice(1)}.`
}

const schemaProblems = (issue: SchemaIssue.Issue): ReadonlyArray<Problem> =>
  (format(issue).issues ?? []).map(({ message, path }) => {
    const at = pathText(path ?? [])
    return { path: at, sentence: sentenceOf(at, message) }
  })

/** What a schema cannot say. */
const furtherProblems = (meta: ObjectMeta, spec: EdgeDeviceSpec): ReadonlyArray<Problem> => {
  const problems: Array<Problem> = []
  const wrong = (path: string, sentence: string) => problems.push({ path, sentence: `${path} ${sentence}` })
  const name = meta.name ?? ""
  if (name.length > longestName) {
    wrong(
      "metadata.name",
      `has ${name.length} characters: it becomes a label of the Node, so keep it to ${longestName}.`
    )
  }
  if (Duration.isLessThan(spec.connectivity.timers.unarySessionTimeout, Duration.millis(1))) {
    wrong("spec.connectivity.timers.unarySessionTimeout", "is too short: give it at least 1ms.")
  }
  const { backoff, grpc, method, mqtt } = spec.connectivity
  for (const part of ["node", "pod"] as const) {
    const { forceSyncInterval } = spec[part].timers
    if (!Duration.isZero(forceSyncInterval) && Duration.isLessThan(forceSyncInterval, Duration.seconds(1))) {
      wrong(`spec.${part}.timers.forceSyncInterval`, "is too short: give it at least 1s, or 0 for never.")
    }
  }
  // RFC 1035, as the API server has it for Services.
  if (grpc?.service !== undefined && !/^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$/u.test(grpc.service.name ?? name)) {
    wrong(
      "spec.connectivity.grpc.service.name",
      "is no name of a Service: use at most 63 small letters, digits and dashes, a letter first; without it the name of this object counts."
    )
  }
  if (mqtt !== undefined) {
    for (const { field, sentence } of mqttProblems(mqtt)) wrong(`spec.connectivity.mqtt.${field}`, sentence)
  } else if (method === "mqtt") wrong("spec.connectivity.mqtt", "is required where spec.connectivity.method is mqtt.")
  if (backoff !== undefined) problems.push(...backoffProblems(backoff))
  problems.push(...partitionProblems(spec.partition))
  for (const [key, value] of Object.entries(spec.node.labels)) {
    const path = `spec.node.labels[${key}]`
    if (isReservedLabel(key)) wrong(path, `is set by aranya itself (${reservedNames}): choose another key.`)
    else if (!isQualifiedName(key)) {
      wrong(path, "is no label key: write [prefix/]name with at most 63 characters a name.")
    } else if (!isLabelValue(value)) {
      wrong(path, "has a value that is no label value: use at most 63 letters, digits, dashes, dots and underscores.")
    }
  }
  for (const key of Object.keys(spec.node.annotations)) {
    const path = `spec.node.annotations[${key}]`
    if (isReservedLabel(key)) wrong(path, `is set by aranya itself (${reservedNames}): choose another key.`)
    else if (!isQualifiedName(key)) {
      wrong(path, "is no annotation key: write [prefix/]name with at most 63 characters a name.")
    }
  }
  const seen = new Set<string>()
  spec.node.taints.forEach((taint, at) => {
    const path = `spec.node.taints[${at}]`
    const identity = `${taint.key}:${taint.effect}`
    if (isReservedTaint(taint.key)) wrong(`${path}.key`, `is set by Kubernetes or aranya itself: choose another key.`)
    else if (!isQualifiedName(taint.key)) wrong(`${path}.key`, "is no taint key: write [prefix/]name.")
    else if (!isLabelValue(taint.value ?? "")) {
      wrong(`${path}.value`, "is no taint value: it follows the rules of labels.")
    } else if (seen.has(identity)) wrong(path, `repeats the taint ${identity}: keep one of them.`)
    seen.add(identity)
  })
  spec.pod.dns.servers.forEach((server, at) => {
    if (!/^(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3}|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)$/u.test(server)) {
      wrong(`spec.pod.dns.servers[${at}]`, "is no IP address: a name server is written as an address.")
    }
  })
  return problems
}

/**
 * The spec as the program works with it. What is refused names its field and the remedy; what is merely outdated becomes a
 * warning. Status is taken as it stands: only the operator writes it.
 */
export const decodeEdgeDevice = Effect.fnUntraced(function*(raw: {
  readonly metadata: ObjectMeta
  readonly spec?: unknown
  readonly status?: EdgeDeviceStatus
}): Effect.fn.Return<EdgeDevice, InvalidEdgeDevice> {
  const namespace = raw.metadata.namespace ?? ""
  const name = raw.metadata.name ?? ""
  const refuse = (problems: ReadonlyArray<Problem>) => new InvalidEdgeDevice({ namespace, name, problems })

  if (!isJsonObject(raw.spec)) {
    return yield* refuse([{
      path: "spec",
      sentence: "spec is required: it needs at least spec.connectivity.method, set to grpc or mqtt."
    }])
  }
  const { conflicts, object, warnings } = normaliseSpellings({ spec: raw.spec })
  const problems: Array<Problem> = [...conflicts]
  const told = [...warnings]

  // What is not acted on is judged here and then put out of the schema's sight.
  let rest: Json = object
  for (const field of notActedOn) {
    const value = valueAt(object, field.path)
    if (value === undefined) continue
    if (asks(field, value)) problems.push({ path: field.path, sentence: sentenceFor(field) })
    rest = withValueAt(rest, field.path, undefined)
  }
  for (const { path, reason } of needless) {
    if (valueAt(object, path) === undefined) continue
    told.push(`${path} has no effect: ${reason}.`)
    rest = withValueAt(rest, path, undefined)
  }
  for (const path of emptied) {
    const value = valueAt(rest, path)
    if (isJsonObject(value) && Object.keys(value).length === 0) rest = withValueAt(rest, path, undefined)
  }
  for (const refused of refusedValues) {
    if (valueAt(rest, refused.path) !== refused.value) continue
    problems.push({ path: refused.path, sentence: valueSentence(refused) })
    // Its default stands in, so that the rest can be judged.
    rest = withValueAt(rest, refused.path, undefined)
  }
  const method = valueAt(rest, "spec.connectivity.method")
  if (typeof method === "string" && method !== "grpc" && method !== "mqtt") {
    problems.push({
      path: "spec.connectivity.method",
      sentence: `spec.connectivity.method ${
        JSON.stringify(method)
      } is not supported by this version: set it to grpc or mqtt.`
    })
    rest = withValueAt(rest, "spec.connectivity.method", "grpc")
  }

  const decoded = yield* Effect.result(decodeSpec(rest["spec"]))
  if (decoded._tag === "Failure") return yield* refuse([...problems, ...schemaProblems(decoded.failure.issue)])
  const spec = decoded.success
  problems.push(...furtherProblems(raw.metadata, spec))
  if (problems.length > 0) return yield* refuse(problems)

  if (spec.identity.publicKey !== undefined && spec.identity.enrolmentSecretRef !== undefined) {
    told.push("spec.identity.enrolmentSecretRef has no effect: spec.identity.publicKey says which key the device has.")
  }
  if (spec.connectivity.backoff !== undefined && spec.connectivity.mqtt === undefined) told.push(needlessBackoff)
  told.push(...partitionWarnings(spec.partition))
  return {
    namespace,
    name,
    uid: raw.metadata.uid ?? "",
    generation: raw.metadata.generation ?? 0,
    spec,
    status: raw.status ?? {},
    warnings: told
  }
})

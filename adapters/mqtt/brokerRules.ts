/** What can be told to be wrong with a broker's configuration before it is dialed, in sentences for whoever wrote it. */
import { Duration } from "effect"
import { knownCipherSuites, unknownCipherSuites } from "../../core/link/cipherSuites.ts"
import { type BrokerOptions, type BrokerVariant, defaultMaxPayload } from "./MqttBroker.ts"

const utf8 = (text: string) => Buffer.byteLength(text)

/** AWS IoT Core endpoints and quotas, "message broker and protocol": topic length and number of slashes. */
const awsTopicBytes = 256
const awsSlashes = 7
/** A client id there is the name of a thing: `iot:ClientId` and thing names share these characters. */
const awsClientId = /^[a-zA-Z0-9:_-]{1,128}$/u

/** The longest that follows a namespace. */
const longest = "/status"

/** Why this cannot be a topic namespace, if it cannot: MQTT 5, section 4.7, and what the variant asks for. */
export const namespaceProblem = (topicNamespace: string, variant: BrokerVariant = "standard"): string | undefined => {
  if (topicNamespace === "") return "the topic namespace is empty"
  const quoted = `topic namespace ${JSON.stringify(topicNamespace.slice(0, 300))}`
  if (/[+#\0]/u.test(topicNamespace)) return `${quoted} has one of the characters + # and NUL, which topics cannot have`
  if (!topicNamespace.isWellFormed()) return `${quoted} is not well-formed Unicode`
  if (topicNamespace.startsWith("$")) return `${quoted} starts with $, which is the broker's own`
  if (topicNamespace.endsWith("/")) return `${quoted} ends with a slash`
  if (topicNamespace.includes("//")) return `${quoted} has an empty level`
  if (variant === "aws-iot-core") {
    if (utf8(topicNamespace + longest) > awsTopicBytes) {
      return `${quoted} is longer than the ${awsTopicBytes - longest.length} bytes that AWS IoT Core leaves for it`
    }
    if ((topicNamespace + longest).split("/").length - 1 > awsSlashes) {
      return `${quoted} has more than the ${awsSlashes - 1} slashes that AWS IoT Core leaves for it`
    }
  }
  return utf8(topicNamespace) > 1024 ? `${quoted} is longer than 1024 bytes` : undefined
}

/** Empty: nothing is known to be wrong. */
export const brokerProblems = (broker: BrokerOptions): ReadonlyArray<string> => {
  const { clientId, keepalive, maxPayload, password, port, tls, transport, username, variant = "standard", version } =
    broker
  const aws = variant === "aws-iot-core"
  const encrypted = transport === "tls" || transport === "secure websocket"
  const problems: Array<string> = []
  if (broker.host === "") problems.push("the broker has no host")
  if (!Number.isInteger(port) || port < 1 || port > 65535) problems.push(`${port} is no port`)
  if (clientId === "") problems.push("the client id is empty")
  if (utf8(clientId) > 1024) problems.push("the client id is longer than 1024 bytes")
  if (keepalive !== undefined) {
    const seconds = Duration.toSeconds(Duration.fromInputUnsafe(keepalive))
    const [least, most] = aws ? [30, 1200] : [1, 65535]
    if (!(seconds >= least && seconds <= most)) {
      problems.push(`the keepalive interval is not between ${least} s and ${most} s`)
    }
  }
  if (
    maxPayload !== undefined && (!Number.isInteger(maxPayload) || maxPayload < 8192 || maxPayload > 16 * 1024 * 1024)
  ) {
    problems.push("the maximum payload size is not between 8 KiB and 16 MiB")
  }
  if (password !== undefined && username === undefined && version === "3.1.1") {
    problems.push("a password without a username is possible in MQTT 5 only")
  }
  if (tls !== undefined && !encrypted) problems.push(`TLS settings without effect: the transport is ${transport}`)
  const unknown = unknownCipherSuites(tls?.cipherSuites ?? [])
  if (unknown.length > 0) {
    problems.push(`cipher suite ${unknown.join(", ")} is not offered; these are: ${knownCipherSuites.join(", ")}`)
  }
  if (aws) {
    if (!awsClientId.test(clientId)) {
      problems.push("with AWS IoT Core the client id is the name of a thing: letters, digits, : _ and -, at most 128")
    }
    if (transport !== "tls") problems.push("AWS IoT Core is reached with transport tls")
    if (tls?.identity === undefined) problems.push("AWS IoT Core needs a client certificate and its key")
    if (username !== undefined || password !== undefined) {
      problems.push("AWS IoT Core knows devices by their certificates: username and password have no place there")
    }
    if ((maxPayload ?? 0) > defaultMaxPayload) problems.push("AWS IoT Core takes payloads of at most 128 KiB")
  }
  return problems
}

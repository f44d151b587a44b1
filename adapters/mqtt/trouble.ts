/** What went wrong between us and a broker, as a reason the link acts on and a sentence for whoever has to mend it. */
import { TransportError } from "../../core/link/Transport.ts"
import { type BrokerOptions, describeBroker } from "./MqttBroker.ts"

/** How OpenSSL and Node name a certificate that one side or the other does not accept. */
const certificate = /certificate|altname|unable to (get|verify)|CERT_|ssl alert|tlsv1 alert|ERR_SSL_\w*ALERT/iu

/** Mends itself: a device without a battery for its clock sees it after each boot, until it has the time. */
const notYetValid = /not.yet.valid/iu

const remedyFor = (detail: string): string => {
  if (/altname|hostname/iu.test(detail)) return "set tls.serverName to a name that is in the broker's certificate"
  if (/expired|not.yet.valid/iu.test(detail)) return "renew the broker's certificate, or set this machine's clock"
  if (/alert/iu.test(detail)) return "the broker does not accept this client's certificate: see tls.cert and tls.key"
  return "the broker's certificate is not of an authority in tls.caCert"
}

/** What `CONNACK` and `DISCONNECT` may say (MQTT 3.1.1, 3.2.2.3; MQTT 5, 2.4), where more can be told than its name. */
const refusals: ReadonlyMap<number, readonly [reason: TransportError["reason"], what: string]> = new Map([
  [1, ["Refused", "the broker does not speak this version of MQTT"]],
  [2, ["Rejected", "the broker does not accept this client id"]],
  [3, ["Refused", "the broker says that it is unavailable"]],
  [4, ["Rejected", "the broker does not accept username and password"]],
  [5, [
    "Rejected",
    "the broker does not authorize this client: see username, password or certificate, and its access rules"
  ]],
  [0x84, ["Refused", "the broker does not speak this version of MQTT"]],
  [0x85, ["Rejected", "the broker does not accept this client id"]],
  [0x86, ["Rejected", "the broker does not accept username and password"]],
  [0x87, [
    "Rejected",
    "the broker does not authorize this client: see username, password or certificate, and its access rules"
  ]],
  [0x88, ["Refused", "the broker says that it is unavailable"]],
  [0x89, ["Refused", "the broker says that it is busy"]],
  [0x8A, ["Rejected", "the broker has banned this client"]],
  [0x8B, ["Refused", "the broker is shutting down"]],
  [0x8C, ["Rejected", "the broker wants another way of authentication"]],
  [0x8E, ["Refused", "another client with the same client id has connected"]],
  [0x90, ["Rejected", "the broker does not accept the topics of this namespace"]],
  [0x95, ["Refused", "the broker takes no packet of this size: set a smaller maximum payload size on both ends"]],
  [0x97, ["Refused", "the broker says that a quota is exceeded"]],
  [0x9B, ["Refused", "the broker does not support QoS 1"]]
])

const coded = (code: number) =>
  refusals.get(code) ??
    ["Refused", `the broker answered with reason code 0x${code.toString(16).padStart(2, "0")}`] as const

const lost = (reason: TransportError["reason"], connected: boolean) =>
  connected && reason === "Refused" ? "Lost" : reason

/** A reason code in the broker's CONNACK, or in its DISCONNECT if we were connected. */
export const reasonCodeError = (broker: BrokerOptions, code: number, connected: boolean): TransportError => {
  const [reason, what] = coded(code)
  return new TransportError({ reason: lost(reason, connected), detail: `${describeBroker(broker)}: ${what}` })
}

/** Node adds advice for users of Node. */
const tidy = (detail: string): string =>
  detail.replace(/; if the root CA is installed locally, try running Node\.js with --use-system-ca/u, "")
    .replace(/^[0-9A-F]+:error:[0-9A-F]+:[^:]*:[^:]*:/u, "").split("\n", 1)[0] ?? ""

/** What a socket or websocket says. */
export const streamError = (broker: BrokerOptions, error: unknown, connected: boolean): TransportError => {
  const { code, message } = error as { readonly code?: unknown; readonly message?: unknown }
  if (typeof code === "number") return reasonCodeError(broker, code, connected)
  const told = tidy(typeof message === "string" && message !== "" ? message : String(code ?? "no reason given"))
  const where = describeBroker(broker)
  if (!connected && (certificate.test(told) || (typeof code === "string" && certificate.test(code)))) {
    const all = `${told} ${String(code)}`
    return new TransportError({
      reason: notYetValid.test(all) ? "Refused" : "Rejected",
      detail: `${where}: ${told}; ${remedyFor(all)}`
    })
  }
  const status = /Unexpected server response: (\d+)/u.exec(told)?.[1]
  if (status === "401" || status === "403") {
    return new TransportError({ reason: "Rejected", detail: `${where}: the websocket is answered with ${status}` })
  }
  if (status !== undefined) {
    return new TransportError({ reason: "Refused", detail: `${where}: no websocket at this path, but ${status}` })
  }
  return new TransportError({ reason: connected ? "Lost" : "Refused", detail: `${where}: ${told}` })
}

/** The stream ended, and nobody said why. */
export const endedError = (broker: BrokerOptions, connected: boolean): TransportError => {
  const where = describeBroker(broker)
  if (connected) return new TransportError({ reason: "Lost", detail: `${where}: the broker ended the connection` })
  const look = broker.variant === "aws-iot-core"
    ? "check that the certificate is active, and that its policy allows this client id"
    : "check port, transport and TLS, and whether the broker accepts this client"
  return new TransportError({ reason: "Refused", detail: `${where}: the broker ended the connection at once; ${look}` })
}

/** `spec.connectivity.mqtt` of an EdgeDevice: the broker through which operator and device find each other, and how to log in there. */
import { Duration, Effect, Schema } from "effect"
import { goDuration } from "./goDuration.ts"
import { topicNamespaceProblem } from "./topicNamespace.ts"

const opt = Schema.optionalKey
const text = (description: string, most = 253) =>
  Schema.String.check(Schema.isMaxLength(most)).annotate({ description })

export const MqttConnectivity = Schema.Struct({
  variant: Schema.Literals(["standard", "aws-iot-core"]).annotate({
    description:
      "The habits of the broker. aws-iot-core: client certificates, no retained messages, 128 KiB a message.",
    default: "standard"
  }).pipe(Schema.withDecodingDefaultKey(Effect.succeed("standard" as const))),
  broker: text("Where the broker is, host:port.").check(Schema.isMinLength(1)),
  version: Schema.Literals(["3.1.1", "5"]).annotate({
    description: "The version of MQTT that the operator speaks with the broker; the device may speak another.",
    default: "3.1.1"
  }).pipe(Schema.withDecodingDefaultKey(Effect.succeed("3.1.1" as const))),
  transport: Schema.Literals(["tcp", "websocket"]).annotate({
    description: "What carries MQTT; with tlsSecretRef either is inside TLS.",
    default: "tcp"
  }).pipe(Schema.withDecodingDefaultKey(Effect.succeed("tcp" as const))),
  websocketPath: text("Path of the websocket; without effect with transport tcp.").check(
    Schema.isPattern(/^\/[!-~]*$/u, { expected: "a path such as /mqtt" })
  ).annotate({ default: "/mqtt" }).pipe(Schema.withDecodingDefaultKey(Effect.succeed("/mqtt"))),
  topicNamespace: text(
    "What the topics of this device begin with, the same text as in the agent's configuration and no other device's.",
    200
  ),
  clientID: opt(
    text("The operator's client identifier at the broker; without one each process makes its own.", 128)
  ),
  keepaliveInterval: goDuration({
    description: "How long the operator's connection to the broker may be silent before it is asked, 1s to 65535s.",
    default: "2m"
  }).pipe(Schema.withDecodingDefaultKey(Effect.succeed("2m"))),
  maxPayloadSize: Schema.Int.check(Schema.isBetween({ minimum: 8192, maximum: 262_144 })).annotate({
    description: "Bytes that one message may have; longer ones are cut into pieces.",
    default: 131_072
  }).pipe(Schema.withDecodingDefaultKey(Effect.succeed(131_072))),
  tlsSecretRef: opt(
    Schema.Struct({ name: opt(text("Name of the Secret, in the namespace of this object.")) }).annotate({
      description:
        "TLS to the broker, which must show a certificate. The Secret may hold ca.crt, the authorities to trust "
        + "instead of the system's; tls.crt and tls.key, the operator's client certificate; serverName, the name in the "
        + "broker's certificate where that is not the broker's host. Without a name the system's authorities are trusted."
    })
  ),
  userPassRef: opt(
    Schema.Struct({
      name: text("Name of the Secret, in the namespace of this object.").check(Schema.isMinLength(1))
    }).annotate({ description: "A Secret of type kubernetes.io/basic-auth: username and password at the broker." })
  )
}).annotate({
  description:
    "Settings of the MQTT method. The operator serves the device at this broker whichever method is its first."
})
export type MqttConnectivity = typeof MqttConnectivity.Type

const addressPattern = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)):([0-9]{1,5})$/u

export interface BrokerAddress {
  readonly host: string
  readonly port: number
}

/** `broker.example.com:1883`, `[2001:db8::1]:8883`; undefined for anything else. */
export const parseBrokerAddress = (broker: string): BrokerAddress | undefined => {
  const match = addressPattern.exec(broker)
  const port = Number(match?.[3])
  return match === null || port < 1 || port > 65_535 ? undefined : { host: match[1] ?? match[2] ?? "", port }
}

/** AWS IoT Core's limits (AWS General Reference, message broker quotas). */
const aws = { payload: 131_072, leastKeepalive: Duration.seconds(30), mostKeepalive: Duration.seconds(1200) }

/** What a schema cannot say, each with the field it is about. */
export const mqttProblems = (
  mqtt: MqttConnectivity
): ReadonlyArray<{ readonly field: string; readonly sentence: string }> => {
  const problems: Array<{ field: string; sentence: string }> = []
  const wrong = (field: string, sentence: string) => void problems.push({ field, sentence })
  if (parseBrokerAddress(mqtt.broker) === undefined) {
    wrong("broker", "is no host:port: write it like broker.example.com:1883.")
  }
  const unusable = topicNamespaceProblem(mqtt.topicNamespace)
  if (unusable !== undefined) wrong("topicNamespace", `${unusable}.`)
  const within = (minimum: Duration.Duration, maximum: Duration.Duration) =>
    Duration.between(mqtt.keepaliveInterval, { minimum, maximum })
  if (!within(Duration.seconds(1), Duration.seconds(65_535))) {
    wrong("keepaliveInterval", "must be from 1s to 65535s.")
  }
  if (mqtt.variant === "aws-iot-core") {
    if ((mqtt.tlsSecretRef?.name ?? "") === "") {
      wrong("tlsSecretRef.name", "is required with variant aws-iot-core: name the Secret with tls.crt and tls.key.")
    }
    if (mqtt.transport !== "tcp") wrong("transport", "must be tcp with variant aws-iot-core.")
    if ((mqtt.clientID ?? "") === "") {
      wrong("clientID", "is required with variant aws-iot-core: it is the name of the operator's own Thing.")
    }
    if (mqtt.userPassRef !== undefined) {
      wrong(
        "userPassRef",
        "has no place with variant aws-iot-core, which knows its clients by certificates: remove it."
      )
    }
    if (mqtt.maxPayloadSize > aws.payload) {
      wrong("maxPayloadSize", `is more than aws-iot-core takes: at most ${aws.payload}.`)
    }
    if (!within(aws.leastKeepalive, aws.mostKeepalive)) {
      wrong("keepaliveInterval", "must be from 30s to 1200s with variant aws-iot-core.")
    }
  }
  return problems
}

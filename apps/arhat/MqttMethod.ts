/** A way to the operator through an MQTT broker, as the configuration names it. */
import { Effect, Schema } from "effect"
import { goDuration } from "../../core/device/goDuration.ts"
import { parseBrokerAddress } from "../../core/device/MqttConnectivity.ts"
import { topicNamespaceProblem } from "../../core/device/topicNamespace.ts"
import { ClientTls } from "./ClientTls.ts"
import { DialTimeout } from "./DialTimeout.ts"

const opt = Schema.optionalKey
const or = <A>(value: A) => Effect.succeed(value)

const notServed: { readonly [variant: string]: string } = {
  "azure-iot-hub":
    "azure-iot-hub is not spoken at both ends yet: use a broker of variant standard or aws-iot-core, or method grpc",
  "gcp-iot-core":
    "the service of gcp-iot-core has ended: use a broker of variant standard or aws-iot-core, or method grpc"
}

const TopicNamespaceSource = Schema.Struct({
  /** As it stands here. */
  text: opt(Schema.String),
  /** What a file holds; white space around it is left out. */
  file: opt(Schema.String),
  /** What a program prints, by its arguments; white space around it is left out. */
  exec: opt(Schema.NonEmptyArray(Schema.String))
}).check(
  Schema.makeFilter(({ exec, file, text }) =>
    [text, file, exec].some((each) => each !== undefined && each !== "") ||
    "give one of text, file and exec: the same text as spec.connectivity.mqtt.topicNamespace of the EdgeDevice"
  ),
  Schema.makeFilter(({ text = "" }) => {
    const problem = text === "" ? undefined : topicNamespaceProblem(text)
    return problem === undefined || `text ${problem}`
  })
)
export type TopicNamespaceSource = typeof TopicNamespaceSource.Type

const MqttConfig = Schema.Struct({
  /** `host:port` of the broker. */
  endpoint: Schema.String.check(
    Schema.makeFilter((text) =>
      parseBrokerAddress(text) !== undefined || "write host:port, such as broker.example.com:8883"
    )
  ),
  variant: Schema.Literals(["standard", "aws-iot-core", "azure-iot-hub", "gcp-iot-core"]).check(
    Schema.makeFilter((variant) => notServed[variant] ?? true)
  ).pipe(Schema.withDecodingDefaultKey(or("standard" as const))),
  version: Schema.Literals(["3.1.1", "5"]).annotate({ expected: "\"3.1.1\" or \"5\", in quotes" }).pipe(
    Schema.withDecodingDefaultKey(or("3.1.1" as const))
  ),
  transport: Schema.Literals(["tcp", "websocket"]).pipe(Schema.withDecodingDefaultKey(or("tcp" as const))),
  websocketPath: Schema.String.pipe(Schema.withDecodingDefaultKey(or("/mqtt"))),
  topicNamespaceFrom: TopicNamespaceSource,
  /** Made of namespace and device when absent; with aws-iot-core the name of the Thing. */
  clientID: opt(Schema.String),
  username: opt(Schema.String),
  password: opt(Schema.String),
  /** Read anew for each connection, so that a password can be changed under a running agent. */
  passwordFile: opt(Schema.String),
  keepaliveInterval: goDuration({ description: "How long the connection may be silent before the broker is asked." })
    .pipe(Schema.withDecodingDefaultKey(or("2m"))),
  maxPayloadSize: Schema.Int.check(Schema.isBetween({ minimum: 8192, maximum: 262_144 })).pipe(
    Schema.withDecodingDefaultKey(or(131_072))
  ),
  tls: ClientTls.pipe(Schema.withDecodingDefaultKey(or({})))
}).check(
  Schema.makeFilter(({ password, passwordFile }) =>
    password === undefined || passwordFile === undefined || "password and passwordFile: give one of them"
  ),
  Schema.makeFilter(({ password, passwordFile, username }) =>
    username !== undefined || (password ?? passwordFile) === undefined || "a password needs its username"
  ),
  Schema.makeFilter(({ clientID, variant }) =>
    variant !== "aws-iot-core" || (clientID ?? "") !== "" ||
    "clientID is required with variant aws-iot-core: it is the name of the device's Thing"
  )
)

export const MqttMethod = Schema.Struct({
  name: Schema.Literal("mqtt"),
  /** Lowest first. */
  priority: Schema.Int.pipe(Schema.withDecodingDefaultKey(or(0))),
  dialTimeout: opt(DialTimeout),
  config: MqttConfig
})
export type MqttMethod = typeof MqttMethod.Type

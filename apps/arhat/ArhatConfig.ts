/** The agent's configuration file, `/etc/arhat/config.yaml`; docs/configuration.md explains every key. */
import { Duration, Effect, Schema } from "effect"
import { LogSink } from "../../adapters/logging/LogSink.ts"
import { goDurationBetween } from "../../core/device/goDuration.ts"
import { parseBrokerAddress } from "../../core/device/MqttConnectivity.ts"
import { ClientTls } from "./ClientTls.ts"
import { DialTimeout } from "./DialTimeout.ts"
import { MqttMethod } from "./MqttMethod.ts"
import { refused } from "./refused.ts"

const opt = Schema.optionalKey
const or = <A>(value: A) => Effect.succeed(value)
const text = (fallback: string) => Schema.String.pipe(Schema.withDecodingDefaultKey(or(fallback)))
const flag = (fallback: boolean) => Schema.Boolean.pipe(Schema.withDecodingDefaultKey(or(fallback)))

/** The number after it is what systems call nobody with: chown(2). */
const lastAccountId = 4_294_967_294
const accountId = Schema.Int.check(
  Schema.isBetween({ minimum: 0, maximum: lastAccountId }, { expected: "the number of a user or group" })
)

/** The device itself, as its host pod reaches it: nothing unless it is allowed here. */
const Host = Schema.Struct({
  /** Commands, shells and files are held to this directory; the agent's own root when absent. */
  rootfs: opt(
    Schema.String.check(Schema.isPattern(/^\//u, { expected: "the absolute path of a directory" }))
  ),
  /** Who they run as; the agent's own user and groups when both are absent. */
  uid: opt(accountId),
  gid: opt(accountId),
  allowExec: flag(false),
  allowAttach: flag(false),
  allowLog: flag(false),
  allowPortForward: flag(false),
  allowCopy: flag(false),
  allowLogFiles: flag(false),
  /** Below `rootfs`, where that is given. */
  logDir: Schema.String.check(Schema.isPattern(/^\//u, { expected: "the absolute path of a directory" })).pipe(
    Schema.withDecodingDefaultKey(or("/var/log"))
  )
})

const Sink = Schema.Struct({
  ...LogSink.fields,
  kubeLog: refused(
    "kubectl logs of the host pod shows the first file in arhat.log: put that one first, and remove this"
  )
})

/** What former agents told of the device itself. */
const Node = Schema.Struct({
  machineIDFrom: refused("the Node shows what /etc/machine-id of the device says: write it there, and remove this"),
  extInfo: refused("write it into spec.node.labels and spec.node.annotations of the EdgeDevice, and remove this")
})

export const GrpcMethod = Schema.Struct({
  name: Schema.Literal("grpc"),
  /** Lowest first. */
  priority: Schema.Int.pipe(Schema.withDecodingDefaultKey(or(0))),
  dialTimeout: opt(DialTimeout),
  config: Schema.Struct({
    /** `host:port` of the operator. */
    endpoint: Schema.String.check(
      Schema.makeFilter((text) =>
        parseBrokerAddress(text) !== undefined || "write host:port, such as aranya.example.com:8443"
      )
    ),
    maxPayloadSize: Schema.Int.check(Schema.isBetween({ minimum: 4096, maximum: 65536 })).pipe(
      Schema.withDecodingDefaultKey(or(65536))
    ),
    /** HTTP/2 pings on a silent connection, for networks that forget it sooner than the link beats; none when absent. */
    keepaliveInterval: opt(goDurationBetween(Duration.seconds(10), Duration.hours(1), {
      description: "How often a silent connection is pinged. Each ping costs about 170 bytes."
    })),
    tls: ClientTls.pipe(Schema.withDecodingDefaultKey(or({})))
  })
})

export type GrpcMethod = typeof GrpcMethod.Type

/** A way that former agents had: nothing of this is ever decoded. */
const formerMethod = (name: string) =>
  Schema.Struct({
    name: Schema.Literal(name).check(
      Schema.makeFilter(() => `the operator does not speak ${name}: use grpc, or mqtt through a broker`)
    ),
    priority: opt(Schema.Unknown),
    dialTimeout: opt(Schema.Unknown),
    config: opt(Schema.Unknown)
  }) as unknown as Schema.Codec<never>

export const ArhatConfig = Schema.Struct({
  arhat: Schema.Struct({
    /** The EdgeDevice this device is. */
    namespace: text("default"),
    device: Schema.String.check(Schema.isMinLength(1)),
    /** Journal, keys and pods' files. */
    dataDir: text("/var/lib/arhat"),
    host: Host.pipe(Schema.withDecodingDefaultKey(or({}))),
    log: Schema.Array(Sink).pipe(Schema.withDecodingDefaultKey(or([{}]))),
    node: opt(Node),
    pprof: refused("profiles are not served: remove it")
  }),
  connectivity: Schema.Struct({
    /** The operator's public key, 32 bytes in base64: what makes it the right operator, whatever carries the link. */
    operatorKey: Schema.String.check(
      Schema.isPattern(/^[A-Za-z0-9+/]{43}=$/u, { expected: "the operator's public key, 32 bytes in base64" })
    ),
    /** File with the one-time enrolment token (32 bytes in base64); needed until the device is enrolled. */
    enrolmentTokenFile: opt(Schema.String),
    dialTimeout: DialTimeout.pipe(Schema.withDecodingDefaultKey(or("10s"))),
    initialBackoff: goDurationBetween(Duration.millis(10), Duration.hours(1), {
      description: "Pause after the first failed try."
    }).pipe(Schema.withDecodingDefaultKey(or("1s"))),
    maxBackoff: goDurationBetween(Duration.millis(10), Duration.hours(24), {
      description: "Longest pause in the first ten minutes of an outage."
    }).pipe(Schema.withDecodingDefaultKey(or("30s"))),
    backoffFactor: Schema.Number.check(Schema.isBetween({ minimum: 1, maximum: 10 })).pipe(
      Schema.withDecodingDefaultKey(or(2))
    ),
    methods: Schema.NonEmptyArray(
      Schema.Union([GrpcMethod, MqttMethod, formerMethod("coap"), formerMethod("nats")]).annotate({
        expected: "a method with name grpc or mqtt"
      })
    ),
    method: refused(
      "the ways to the operator are listed in methods, each with its priority: list them there, and remove this"
    )
  }).check(
    Schema.makeFilter(({ initialBackoff, maxBackoff }) =>
      Duration.isLessThanOrEqualTo(initialBackoff, maxBackoff) ||
      "initialBackoff is longer than maxBackoff: raise maxBackoff too"
    )
  ),
  runtime: Schema.Struct({
    docker: Schema.Struct({
      /** Docker is used when its socket answers, unless this says otherwise. */
      enabled: flag(true),
      socket: text("/var/run/docker.sock"),
      /** Holds the namespaces of each pod. */
      pauseImage: text("registry.k8s.io/pause:3.10")
    }).pipe(Schema.withDecodingDefaultKey(or({}))),
    process: Schema.Struct({
      /** Pods as plain processes: host execution by whoever may create pods on this device. */
      enabled: flag(false),
      allowRoot: flag(false),
      /** Each pod gets a uid of its own from here on. */
      firstUid: Schema.Int.check(
        Schema.isGreaterThanOrEqualTo(1, { expected: "the number of a user that is not root, 1 or more" })
      ).pipe(Schema.withDecodingDefaultKey(or(200_000))),
      uids: Schema.Int.check(
        Schema.isGreaterThanOrEqualTo(1, { expected: "how many users there are, 1 or more" })
      ).pipe(Schema.withDecodingDefaultKey(or(1000))),
      /** Image names that stand for root filesystems on this device: a directory or a tar archive. */
      images: Schema.Record(Schema.String, Schema.String).pipe(Schema.withDecodingDefaultKey(or({})))
    }).check(
      Schema.makeFilter(({ firstUid, uids }) =>
        firstUid + uids - 1 <= lastAccountId ||
        `firstUid and uids go beyond ${lastAccountId}, the last number a user can have: lower one of them`
      )
    ).pipe(Schema.withDecodingDefaultKey(or({}))),
    hostexec: Schema.Struct({
      /** Pods whose image is the bare host, beside those of docker; users and rights are those of `runtime.process`. */
      enabled: flag(false)
    }).pipe(Schema.withDecodingDefaultKey(or({})))
  }).pipe(Schema.withDecodingDefaultKey(or({}))),
  storage: refused("volumes of storage classes cannot be mounted on devices: remove it"),
  network: refused("there is no cluster network between devices, and abbot is not run: remove it"),
  extension: refused("plugins are not served yet, and runtimes are built in: remove it, and set runtime instead")
}).check(
  Schema.makeFilter(({ arhat, runtime }) =>
    arhat.host.rootfs === undefined || !runtime.hostexec.enabled ||
    "arhat.host.rootfs does not hold pods of hostexec: leave out runtime.hostexec.enabled, or arhat.host.rootfs"
  )
)
export type ArhatConfig = typeof ArhatConfig.Type

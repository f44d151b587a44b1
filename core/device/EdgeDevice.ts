/** The EdgeDevice resource: what an owner writes about one device, and what the operator answers in status. */
import { Effect, Schema } from "effect"
import type { KubeResource } from "../kube/KubeResource.ts"
import { ObjectMeta } from "../kube/ObjectMeta.ts"
import { BrokerBackoff } from "./brokerBackoff.ts"
import { byteQuantity } from "./byteQuantity.ts"
import { goDuration } from "./goDuration.ts"
import { MqttConnectivity } from "./MqttConnectivity.ts"
import { PartitionPolicy } from "./partitionPolicy.ts"

const opt = Schema.optionalKey
const text = (description: string, most = 253) =>
  Schema.String.check(Schema.isMaxLength(most)).annotate({ description })
const texts = (description: string, most: number, each = 253) =>
  Schema.Array(Schema.String.check(Schema.isMaxLength(each))).check(Schema.isMaxLength(most)).annotate({ description })
const map = (description: string, most: number) =>
  Schema.Record(Schema.String, Schema.String.check(Schema.isMaxLength(262_144))).check(Schema.isMaxProperties(most))
    .annotate({ description })

const CertificateSubject = Schema.Struct({
  country: opt(text("C of the subject.")),
  state: opt(text("ST of the subject.")),
  locality: opt(text("L of the subject.")),
  org: opt(text("O of the subject, besides system:nodes.")),
  orgUnit: opt(text("OU of the subject."))
}).annotate({ description: "Subject of the request for the node's serving certificate." })

const DeviceTaint = Schema.Struct({
  key: text("Taint key.", 316).check(Schema.isMinLength(1)),
  value: opt(text("Taint value.", 63)),
  effect: Schema.Literals(["NoSchedule", "PreferNoSchedule", "NoExecute"])
})

const none: { readonly [key: string]: string } = {}

const NodeSpec = Schema.Struct({
  cert: opt(CertificateSubject),
  labels: map("Labels of the Node, besides those aranya sets.", 64).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed(none))
  ),
  annotations: map("Annotations of the Node, besides those aranya sets.", 64).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed(none))
  ),
  taints: Schema.Array(DeviceTaint).check(Schema.isMaxLength(32)).annotate({
    description: "Taints of the Node, besides arhat.dev/namespace=<namespace>:NoSchedule."
  }).pipe(Schema.withDecodingDefaultKey(Effect.succeed([]))),
  timers: Schema.Struct({
    forceSyncInterval: goDuration({
      description:
        "How often the device is asked how it is although it tells each change, give or take a fifth, as a Go "
        + "duration of at least 1s; 0 is never. One exchange costs about 600 bytes.",
      default: "0s"
    }).pipe(Schema.withDecodingDefaultKey(Effect.succeed("0s")))
  }).annotate({ description: "Intervals of what is done for the Node." }).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed({}))
  )
}).annotate({ description: "What the device's Node looks like." })

const PodDns = Schema.Struct({
  servers: texts("Name servers of pods.", 3, 45).pipe(Schema.withDecodingDefaultKey(Effect.succeed([]))),
  searches: texts("Search domains of pods.", 32).pipe(Schema.withDecodingDefaultKey(Effect.succeed([]))),
  options: texts("Resolver options of pods, such as ndots:5.", 32, 64).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed([]))
  )
}).annotate({
  description:
    "Base of the DNS settings of pods with dnsPolicy ClusterFirst; without servers they get the device's own."
})

const PodsSpec = Schema.Struct({
  allocatable: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1000 })).annotate({
    description: "How many workload pods the device may run.",
    default: 10
  }).pipe(Schema.withDecodingDefaultKey(Effect.succeed(10))),
  dns: PodDns.pipe(Schema.withDecodingDefaultKey(Effect.succeed({}))),
  publishIP: Schema.Literals(["auto", "always", "never"]).annotate({
    description: "Whether status.podIP shows the address a pod has on the device. auto shows it for pods on the host "
      + "network only: a bridge address means nothing outside the device, and an EndpointSlice that carried it would "
      + "route traffic to strangers. always is for devices whose pod addresses are routed from the cluster.",
    default: "auto"
  }).pipe(Schema.withDecodingDefaultKey(Effect.succeed("auto" as const))),
  timers: Schema.Struct({
    forceSyncInterval: goDuration({
      description:
        "How often the device is asked what it holds although it tells each change, give or take a fifth, as a Go "
        + "duration of at least 1s; 0 is never. One exchange costs about 500 bytes and 100 for each pod.",
      default: "0s"
    }).pipe(Schema.withDecodingDefaultKey(Effect.succeed("0s")))
  }).annotate({ description: "Intervals of what is done for pods." }).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed({}))
  )
}).annotate({ description: "What pods on the device get." })

const Budget = Schema.Struct({
  control: opt(byteQuantity({
    description:
      "What keeps device and pods going: assignments, statuses, beats. Beyond it an event warns, and nothing is "
      + "held up."
  })),
  streams: opt(byteQuantity({
    description:
      "logs, exec, attach, port-forward. Beyond it running ones end and new ones are refused until the next day."
  })),
  metrics: opt(byteQuantity({
    description: "Scrapes of the device's metrics. Beyond it the device is not asked until the next day."
  }))
}).annotate({
  description:
    "Bytes that the link may carry in a day (UTC), both directions together, as sealed frames without what the "
    + "transport adds. Absent is without limit."
})

const GrpcService = Schema.Struct({
  name: opt(text("Name of the Service; that of this object when absent.", 63)),
  port: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 65535 })).annotate({
    description: "Port of the Service, named grpc.",
    default: 8443
  }).pipe(Schema.withDecodingDefaultKey(Effect.succeed(8443))),
  labels: map("Labels of the Service.", 64).pipe(Schema.withDecodingDefaultKey(Effect.succeed(none))),
  annotations: map("Annotations of the Service, which some Ingress controllers read.", 64).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed(none))
  )
}).annotate({
  description:
    "Where it is there, aranya keeps a Service for this device in this namespace, for an Ingress that routes a "
    + "host name of the device to the operator's gRPC listener. It is owned by this object and goes with it."
})

const Connectivity = Schema.Struct({
  method: Schema.Literals(["grpc", "mqtt"]).annotate({
    description:
      "How the device reaches the operator first. mqtt needs the section mqtt; the operator's gRPC listener is "
      + "there for every device."
  }),
  timers: Schema.Struct({
    unarySessionTimeout: goDuration({
      description: "How long one request to the device may take once it has it, as a Go duration of at least 1ms.",
      default: "1m"
    }).pipe(Schema.withDecodingDefaultKey(Effect.succeed("1m")))
  }).annotate({ description: "Time limits of the conversation." }).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed({}))
  ),
  budget: Budget.pipe(Schema.withDecodingDefaultKey(Effect.succeed({}))),
  grpc: opt(
    Schema.Struct({
      tlsSecretRef: opt(
        Schema.Struct({ name: opt(text("Name of the Secret, in the namespace of this object.")) })
          .annotate({
            description: "A Secret with the certificate that the operator shows to this device: tls.crt and tls.key; "
              + "client_ca.crt where the device must show a certificate of its own; serverName, the name that the device "
              + "asks for, where it is not in the certificate. Without it the device sees the operator's own certificate."
          })
      ),
      service: opt(GrpcService)
    }).annotate({ description: "Settings of the gRPC method." })
  ),
  mqtt: opt(MqttConnectivity),
  backoff: opt(BrokerBackoff)
}).annotate({ description: "How the device and the operator find each other." })

const Identity = Schema.Struct({
  publicKey: opt(
    Schema.String.check(Schema.isPattern(/^[A-Za-z0-9+/]{43}=$/u, { expected: "32 bytes in base64 (44 characters)" }))
      .annotate({ description: "The device's X25519 public key (32 bytes, base64), as `arhat identity` prints it." })
  ),
  enrolmentSecretRef: opt(
    Schema.Struct({
      name: text("Name of the Secret, in the namespace of this object.").check(Schema.isMinLength(1))
    }).annotate({
      description: "A one-time Secret whose key `token` holds 32 random bytes in base64. The first device that proves "
        + "it knows them is enrolled, its key is kept in status.link.publicKey, and the Secret is spent."
    })
  )
}).annotate({ description: "Who the device must prove to be: a known key, or the bearer of a one-time Secret." })

/** The spec as the program works with it: older spellings gone, defaults filled in, times as Durations. */
export const EdgeDeviceSpec = Schema.Struct({
  connectivity: Connectivity,
  node: NodeSpec.pipe(Schema.withDecodingDefaultKey(Effect.succeed({}))),
  pod: PodsSpec.pipe(Schema.withDecodingDefaultKey(Effect.succeed({}))),
  identity: Identity.pipe(Schema.withDecodingDefaultKey(Effect.succeed({}))),
  credentials: Schema.Struct({
    allowServiceAccountTokens: Schema.Boolean.annotate({
      description:
        "Whether pods' ServiceAccount tokens may be sent to the device. Without it the injected token volume "
        + "appears without the token.",
      default: false
    }).pipe(Schema.withDecodingDefaultKey(Effect.succeed(false)))
  }).annotate({ description: "Which cluster credentials may leave for the device." }).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed({}))
  ),
  partition: PartitionPolicy.pipe(Schema.withDecodingDefaultKey(Effect.succeed({})))
}).annotate({ description: "What the owner of the device wants." })
export type EdgeDeviceSpec = typeof EdgeDeviceSpec.Type

export const EdgeDeviceCondition = Schema.Struct({
  type: text("Invalid, NameConflict, Enrolled, Connected, BrokerConnected or Ready.", 316),
  status: Schema.Literals(["True", "False", "Unknown"]),
  reason: opt(text("One word for programs.", 1024)),
  message: opt(text("A sentence for people.", 32_768)),
  lastTransitionTime: opt(text("When status last changed, RFC 3339.", 64)),
  observedGeneration: opt(Schema.Int.annotate({ description: "Generation of the spec this is about." }))
})
export type EdgeDeviceCondition = typeof EdgeDeviceCondition.Type

/** Which operator process speaks with the device, and how far the device's life has come. */
export const DeviceLink = Schema.Struct({
  holder: opt(text("Identity of the operator process that holds the device.")),
  epoch: opt(Schema.Int.annotate({ description: "Grows with each takeover; a device refuses a lower one." })),
  publicKey: opt(text("The enrolled X25519 public key, base64.", 64)),
  lineageHash: opt(text("SHA-256 of the lineage token last issued, hex.", 64)),
  previousLineageHash: opt(text("SHA-256 of the one before, valid until the next is used, hex.", 64)),
  issuedLineageHashes: opt(
    Schema.Array(text("Hex.", 64)).check(Schema.isMaxLength(8)).annotate({
      description: "Those issued after the one before, of which the device showed none yet, without the last one."
    })
  ),
  journalId: opt(text("Identity of the device's journal.", 128))
}).annotate({ description: "The lasting conversation with the device; written by the operator alone." })
export type DeviceLink = typeof DeviceLink.Type

const directions = (description: string) =>
  opt(
    Schema.Struct({
      sent: Schema.Int.annotate({ description: "To the device." }),
      received: Schema.Int.annotate({ description: "From the device." })
    }).annotate({ description })
  )

/** Bytes of one day. */
export const DeviceTraffic = Schema.Struct({
  day: text("The day that is counted, in UTC, as 2026-11-21.", 10),
  control: directions("What keeps device and pods going."),
  streams: directions("logs, exec, attach, port-forward."),
  metrics: directions("Scrapes.")
}).annotate({
  description:
    "What the link has carried in a day. Written with other changes, and by itself no more often than every five "
    + "minutes."
})
export type DeviceTraffic = typeof DeviceTraffic.Type

/** Of arhat, in characters. */
export const longestVersion = 128

export const EdgeDeviceStatus = Schema.Struct({
  observedGeneration: opt(Schema.Int.annotate({ description: "Generation of the spec last acted upon." })),
  conditions: opt(
    Schema.Array(EdgeDeviceCondition).check(Schema.isMaxLength(32)).annotate({ description: "The state in parts." })
  ),
  hostNode: opt(text("The node that the operator process serving this device runs on.")),
  connectivity: opt(
    Schema.Struct({ method: opt(text("The method in use now; absent while disconnected.", 64)) }).annotate({
      description: "How the device is connected."
    })
  ),
  lastContact: opt(text("When the device was last heard, RFC 3339.", 64)),
  agentVersion: opt(text("Version of arhat on the device.", longestVersion)),
  traffic: opt(DeviceTraffic),
  link: opt(DeviceLink),
  partition: opt(
    Schema.Struct({
      stopWorkloadsAfter: opt(text(
        "What the device has confirmed of spec.partition.stopWorkloadsAfter; unknown while it is being told.",
        64
      )),
      replaced: opt(
        Schema.Array(text("A uid.", 64)).check(Schema.isMaxLength(1000)).annotate({
          description: "Pods that were given up while the device is away and are to end there when it is back."
        })
      )
    }).annotate({ description: "What of spec.partition is in force; absent where there is nothing to say." })
  )
}).annotate({ description: "What the operator found; written by the operator alone." })
export type EdgeDeviceStatus = typeof EdgeDeviceStatus.Type

/** The object as the API serves it. Its spec is read by `decodeEdgeDevice`, so that one bad object cannot stop a watch. */
export const EdgeDeviceObject = Schema.Struct({
  apiVersion: opt(Schema.String),
  kind: opt(Schema.String),
  metadata: ObjectMeta,
  spec: opt(Schema.Unknown),
  status: opt(EdgeDeviceStatus)
})
export type EdgeDeviceObject = typeof EdgeDeviceObject.Type

export const EdgeDevices: KubeResource<EdgeDeviceObject> = {
  group: "aranya.arhat.dev",
  version: "v1alpha1",
  kind: "EdgeDevice",
  plural: "edgedevices",
  namespaced: true,
  schema: EdgeDeviceObject
}

/** An EdgeDevice whose spec has been read and found good. */
export interface EdgeDevice {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  readonly generation: number
  readonly spec: EdgeDeviceSpec
  readonly status: EdgeDeviceStatus
  /** What the owner should mend although it works, one sentence each. */
  readonly warnings: ReadonlyArray<string>
}

import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { decodeEdgeDevice } from "../../../core/device/decodeEdgeDevice.ts"

const object = (spec: unknown, name = "lamp") => ({
  metadata: { namespace: "edge", name, uid: "u-1", generation: 3 },
  spec
})
const minimal = { connectivity: { method: "grpc" } }

const mqtt = (changes: object) => ({
  connectivity: {
    method: "mqtt",
    mqtt: { broker: "broker.example.com:1883", topicNamespace: "sites/1/lamp", ...changes }
  }
})

const refusal = (spec: unknown, name?: string) =>
  Effect.map(Effect.flip(decodeEdgeDevice(object(spec, name))), (error) => error.message)

describe("an EdgeDevice", () => {
  it.effect("needs nothing but its method, the rest has defaults", () =>
    Effect.gen(function*() {
      const device = yield* decodeEdgeDevice(object(minimal))
      assert.strictEqual(device.namespace, "edge")
      assert.strictEqual(device.name, "lamp")
      assert.strictEqual(device.generation, 3)
      assert.strictEqual(Duration.toMillis(device.spec.connectivity.timers.unarySessionTimeout), 60_000)
      assert.deepStrictEqual(device.spec.node, {
        labels: {},
        annotations: {},
        taints: [],
        timers: { forceSyncInterval: Duration.zero }
      })
      assert.deepStrictEqual(device.spec.pod, {
        allocatable: 10,
        dns: { servers: [], searches: [], options: [] },
        publishIP: "auto",
        timers: { forceSyncInterval: Duration.zero }
      })
      assert.deepStrictEqual(device.spec.identity, {})
      assert.strictEqual(device.spec.credentials.allowServiceAccountTokens, false)
      assert.deepStrictEqual(device.spec.partition, {
        policy: "keep",
        onReturn: "keepReplacement",
        allowRunningTwice: false
      })
      assert.deepStrictEqual(device.warnings, [])
    }))

  it.effect("grants bytes as a quantity or a number", () =>
    Effect.gen(function*() {
      const budget = { control: "1.5Gi", streams: 12, metrics: "2k" }
      const device = yield* decodeEdgeDevice(object({ connectivity: { method: "grpc", budget } }))
      assert.deepStrictEqual(device.spec.connectivity.budget, { control: 1_610_612_736, streams: 12, metrics: 2000 })
    }))

  const refused: ReadonlyArray<readonly [what: string, spec: unknown, sentence: string]> = [
    ["no spec", undefined, "spec is required: it needs at least spec.connectivity.method, set to grpc or mqtt."],
    ["no connectivity", {}, "spec.connectivity is required."],
    ["no method", { connectivity: {} }, "spec.connectivity.method is required."],
    [
      "a method nobody knows",
      { connectivity: { method: "pigeon" } },
      "spec.connectivity.method \"pigeon\" is not supported by this version: set it to grpc or mqtt."
    ],
    [
      "a method of former days",
      { connectivity: { method: "azure-iot-hub" } },
      "spec.connectivity.method \"azure-iot-hub\" is not supported by this version: set it to grpc or mqtt."
    ],
    [
      "a budget that is no number of bytes",
      { connectivity: { method: "grpc", budget: { streams: "50 MB" } } },
      "spec.connectivity.budget.streams is wrong: expected bytes such as 50Mi or 1G."
    ],
    [
      "a budget beyond all measure",
      { connectivity: { method: "grpc", budget: { streams: "9000000Ti" } } },
      "spec.connectivity.budget.streams is wrong: expected bytes such as 50Mi or 1G."
    ],
    [
      "a budget of a kind that there is not",
      { connectivity: { method: "grpc", budget: { exec: "50Mi" } } },
      "spec.connectivity.budget.exec is not a field of an EdgeDevice: remove it, or mend its spelling."
    ],
    [
      "a section of another method",
      { connectivity: { method: "grpc", amqp: {} } },
      "spec.connectivity.amqp is not supported by this version: devices connect by gRPC or MQTT, so remove it and set spec.connectivity.method to grpc or mqtt."
    ],
    [
      "a pause that is taken for an absence",
      { ...minimal, partition: { notReadyAfter: "59s" } },
      "spec.partition.notReadyAfter is too short: give it at least 1m."
    ],
    [
      "a replacement of what goes on running",
      { ...minimal, partition: { replaceAfter: "10m" } },
      "spec.partition.replaceAfter needs spec.partition.stopWorkloadsAfter: without it a device that is away goes on running what is replaced. Set it to at least 1m less, or set spec.partition.allowRunningTwice to true."
    ],
    [
      "a replacement of what may go on running",
      { ...minimal, partition: { stopWorkloadsAfter: "10m", replaceAfter: "10m59s" } },
      "spec.partition.replaceAfter (10m59s) must be at least 1m longer than spec.partition.stopWorkloadsAfter (10m), or a pod may run twice: make it longer, or set spec.partition.allowRunningTwice to true."
    ],
    [
      "a partition policy that never was",
      { ...minimal, partition: { evictAfter: "10m" } },
      "spec.partition.evictAfter is not a field of an EdgeDevice: remove it, or mend its spelling."
    ],
    [
      "method mqtt and no broker",
      { connectivity: { method: "mqtt" } },
      "spec.connectivity.mqtt is required where spec.connectivity.method is mqtt."
    ],
    [
      "an empty mqtt section",
      { connectivity: { method: "mqtt", mqtt: {} } },
      "spec.connectivity.mqtt.broker is required. spec.connectivity.mqtt.topicNamespace is required."
    ],
    [
      "a broker without a port",
      mqtt({ broker: "mqtt://broker" }),
      "spec.connectivity.mqtt.broker is no host:port: write it like broker.example.com:1883."
    ],
    [
      "a broker at a port there is not",
      mqtt({ broker: "broker:65536" }),
      "spec.connectivity.mqtt.broker is no host:port: write it like broker.example.com:1883."
    ],
    [
      "wildcards in its topics",
      mqtt({ topicNamespace: "sites/+" }),
      "spec.connectivity.mqtt.topicNamespace holds a + or a #, which are wildcards: leave them out."
    ],
    [
      "a keepalive that MQTT cannot say",
      mqtt({ keepaliveInterval: "24h" }),
      "spec.connectivity.mqtt.keepaliveInterval must be from 1s to 65535s."
    ],
    [
      "pauses between tries that are none",
      { connectivity: { ...mqtt({}).connectivity, backoff: { initialDelay: "10ms", maxDelay: "2h", factor: "0.9" } } },
      "spec.connectivity.backoff.initialDelay must be from 100ms to 1h. "
      + "spec.connectivity.backoff.maxDelay must be from 100ms to 1h. "
      + "spec.connectivity.backoff.factor must be from \"1\" to \"10\"."
    ],
    [
      "pauses between tries that shrink",
      { connectivity: { ...mqtt({}).connectivity, backoff: { initialDelay: "1m" } } },
      "spec.connectivity.backoff.maxDelay (30s) is shorter than initialDelay: raise it too."
    ],
    [
      "a factor without quotes",
      { connectivity: { ...mqtt({}).connectivity, backoff: { factor: 1.5 } } },
      "spec.connectivity.backoff.factor is wrong: expected string."
    ],
    [
      "a factor that is no number",
      { connectivity: { ...mqtt({}).connectivity, backoff: { factor: "1,5" } } },
      "spec.connectivity.backoff.factor is wrong: expected a number in quotes, such as \"1.5\"."
    ],
    [
      "a variant without both ends",
      mqtt({ variant: "azure-iot-hub" }),
      "spec.connectivity.mqtt.variant \"azure-iot-hub\" is not supported by this version: it is not spoken at both ends yet: use a broker of variant standard or aws-iot-core."
    ],
    [
      "a variant whose service has ended",
      mqtt({ variant: "gcp-iot-core" }),
      "spec.connectivity.mqtt.variant \"gcp-iot-core\" is not supported by this version: its service has ended: use a broker of variant standard or aws-iot-core."
    ],
    [
      "AWS IoT Core and what that does not take",
      mqtt({ variant: "aws-iot-core", userPassRef: { name: "x" }, maxPayloadSize: 131_073, keepaliveInterval: "20s" }),
      "spec.connectivity.mqtt.tlsSecretRef.name is required with variant aws-iot-core: name the Secret with tls.crt and tls.key. "
      + "spec.connectivity.mqtt.clientID is required with variant aws-iot-core: it is the name of the operator's own Thing. "
      + "spec.connectivity.mqtt.userPassRef has no place with variant aws-iot-core, which knows its clients by certificates: remove it. "
      + "spec.connectivity.mqtt.maxPayloadSize is more than aws-iot-core takes: at most 131072. "
      + "spec.connectivity.mqtt.keepaliveInterval must be from 30s to 1200s with variant aws-iot-core."
    ],
    [
      "a password in the open",
      {
        connectivity: {
          method: "mqtt",
          mqttConfig: { server: "b:1883", messageNamespace: "a", connectPacket: { username: "me" } }
        }
      },
      "spec.connectivity.mqtt.connectPacket.username is not supported by this version: put username and password into a Secret of type kubernetes.io/basic-auth and name it in spec.connectivity.mqtt.userPassRef."
    ],
    [
      "peripherals",
      { ...minimal, peripherals: [{ name: "lamp" }] },
      "spec.peripherals is not supported by this version: peripherals are not served yet, so remove them."
    ],
    [
      "remote storage",
      { ...minimal, storage: { enabled: true } },
      "spec.storage is not supported by this version: volumes of storage classes cannot be mounted on devices, so remove it."
    ],
    [
      "a field that never was",
      { ...minimal, podd: {} },
      "spec.podd is not a field of an EdgeDevice: remove it, or mend its spelling."
    ],
    [
      "a time limit that is none",
      { connectivity: { method: "grpc", timers: { unarySessionTimeout: "soon" } } },
      "spec.connectivity.timers.unarySessionTimeout is wrong: expected a duration such as 10s or 1h30m."
    ],
    [
      "a time limit of nothing",
      { connectivity: { method: "grpc", timers: { unarySessionTimeout: "0" } } },
      "spec.connectivity.timers.unarySessionTimeout is too short: give it at least 1ms."
    ],
    [
      "a taint without effect",
      { ...minimal, node: { taints: [{ key: "a" }] } },
      "spec.node.taints[0].effect is required."
    ],
    [
      "a taint twice",
      {
        ...minimal,
        node: { taints: [{ key: "a", effect: "NoSchedule" }, { key: "a", value: "b", effect: "NoSchedule" }] }
      },
      "spec.node.taints[1] repeats the taint a:NoSchedule: keep one of them."
    ],
    [
      "a taint of the node lifecycle controller",
      { ...minimal, node: { taints: [{ key: "node.kubernetes.io/not-ready", effect: "NoSchedule" }] } },
      "spec.node.taints[0].key is set by Kubernetes or aranya itself: choose another key."
    ],
    [
      "a label of ours",
      { ...minimal, node: { labels: { "arhat.dev/role": "x" } } },
      "spec.node.labels[arhat.dev/role] is set by aranya itself (arhat.dev/*, *.arhat.dev/*, kubernetes.io/hostname, kubernetes.io/os, kubernetes.io/arch, type): choose another key."
    ],
    [
      "an annotation in which aranya remembers what it set",
      { ...minimal, node: { annotations: { "aranya.arhat.dev/managed": "x" } } },
      "spec.node.annotations[aranya.arhat.dev/managed] is set by aranya itself (arhat.dev/*, *.arhat.dev/*, kubernetes.io/hostname, kubernetes.io/os, kubernetes.io/arch, type): choose another key."
    ],
    [
      "a label that is none",
      { ...minimal, node: { labels: { a: "b c" } } },
      "spec.node.labels[a] has a value that is no label value: use at most 63 letters, digits, dashes, dots and underscores."
    ],
    [
      "more pods than a device can have",
      { ...minimal, pod: { allocatable: 5000 } },
      "spec.pod.allocatable is wrong: expected a value between 0 and 1000."
    ],
    [
      "a name server by name",
      { ...minimal, pod: { dns: { servers: ["dns.example.com"] } } },
      "spec.pod.dns.servers[0] is no IP address: a name server is written as an address."
    ],
    [
      "a key that is no key",
      { ...minimal, identity: { publicKey: "abc" } },
      "spec.identity.publicKey is wrong: expected 32 bytes in base64 (44 characters)."
    ],
    [
      "a partition policy of the future",
      { ...minimal, partition: { policy: "replace" } },
      "spec.partition.policy is wrong: expected \"keep\"."
    ]
  ]

  it.effect.each(refused)("with %s is refused in one sentence", ([, spec, sentence]) =>
    Effect.gen(function*() {
      assert.strictEqual(yield* refusal(spec), sentence)
    }))

  it.effect("tells everything that is wrong at once", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(decodeEdgeDevice(object({
        connectivity: { method: "amqp", amqp: {} },
        node: { fieldHooks: [{ query: "." }] },
        pod: { allocatable: -1 }
      })))
      assert.deepStrictEqual(error.problems.map(({ path }) => path), [
        "spec.connectivity.amqp",
        "spec.node.fieldHooks",
        "spec.connectivity.method",
        "spec.pod.allocatable"
      ])
    }))

  it.effect("that names a broker has defaults for the rest of it", () =>
    Effect.gen(function*() {
      const { spec } = yield* decodeEdgeDevice(object(mqtt({})))
      const { keepaliveInterval, ...rest } = spec.connectivity.mqtt ?? assert.fail("no mqtt")
      assert.strictEqual(Duration.toSeconds(keepaliveInterval), 120)
      assert.deepStrictEqual(rest, {
        variant: "standard",
        broker: "broker.example.com:1883",
        version: "3.1.1",
        transport: "tcp",
        websocketPath: "/mqtt",
        topicNamespace: "sites/1/lamp",
        maxPayloadSize: 131_072
      })
    }))

  it.effect("says how the operator comes back to its broker, in words of 2021", () =>
    Effect.gen(function*() {
      const { connectivity } = mqtt({})
      const backoffOf = (backoff: object) =>
        Effect.map(decodeEdgeDevice(object({ connectivity: { ...connectivity, backoff } })), ({ spec, warnings }) => {
          assert.deepStrictEqual(warnings, [])
          const { factor, initialDelay, maxDelay } = spec.connectivity.backoff ?? assert.fail("no backoff")
          return [Duration.toMillis(initialDelay), Duration.toMillis(maxDelay), factor]
        })
      assert.deepStrictEqual(yield* backoffOf({}), [1000, 30_000, 1.5])
      assert.deepStrictEqual(
        yield* backoffOf({ initialDelay: "5s", maxDelay: "1m", factor: "1.2" }),
        [5000, 60_000, 1.2]
      )
    }))

  it.effect("is warned that there is no broker to come back to: over gRPC the device dials", () =>
    Effect.gen(function*() {
      const { warnings } = yield* decodeEdgeDevice(
        object({ connectivity: { method: "grpc", backoff: { initialDelay: "5s", maxDelay: "1m", factor: "1.2" } } })
      )
      assert.deepStrictEqual(warnings, [
        "spec.connectivity.backoff has no effect without spec.connectivity.mqtt: over gRPC the device dials, so set "
        + "connectivity.initialBackoff, maxBackoff and backoffFactor in arhat's configuration."
      ])
    }))

  it.effect("of 2019 works as it is and is told today's fields", () =>
    Effect.gen(function*() {
      const { spec, warnings } = yield* decodeEdgeDevice(object({
        certInfo: { country: "CN" },
        connectivity: {
          method: "mqtt",
          timers: { unarySessionTimeout: "1m", forceNodeStatusSyncInterval: "10m", forcePodStatusSyncInterval: "10m" },
          mqttConfig: {
            messageNamespace: "/aranya.arhat.dev",
            server: "broker.example.com:8883",
            version: "3.1.1",
            transport: "tcp",
            tlsSecretRef: {},
            connectPacket: {
              cleanSession: true,
              will: true,
              willQos: 2,
              willRetain: false,
              willTopic: "/will/go-away",
              willMessage: "gone",
              username: "",
              clientID: "aranya",
              keepalive: 30
            }
          },
          grpcConfig: { tlsSecretRef: {} }
        }
      }))
      const { keepaliveInterval, ...rest } = spec.connectivity.mqtt ?? assert.fail("no mqtt")
      assert.strictEqual(Duration.toSeconds(keepaliveInterval), 30)
      assert.deepStrictEqual(rest, {
        variant: "standard",
        broker: "broker.example.com:8883",
        version: "3.1.1",
        transport: "tcp",
        websocketPath: "/mqtt",
        topicNamespace: "/aranya.arhat.dev",
        clientID: "aranya",
        maxPayloadSize: 131_072,
        tlsSecretRef: {}
      })
      assert.strictEqual(spec.node.cert?.country, "CN")
      for (
        const sentence of [
          "spec.connectivity.mqttConfig is an older spelling: write spec.connectivity.mqtt.",
          "spec.connectivity.grpcConfig is an older spelling: write spec.connectivity.grpc.",
          "spec.connectivity.mqtt.messageNamespace is an older spelling: write spec.connectivity.mqtt.topicNamespace.",
          "spec.connectivity.mqtt.server is an older spelling: write spec.connectivity.mqtt.broker.",
          "spec.connectivity.mqtt.connectPacket.willTopic has no effect: the link notices by itself when the device or the operator is gone."
        ]
      ) assert.include(warnings, sentence)
    }))

  it.effect("may not have a name too long for a label", () =>
    Effect.gen(function*() {
      assert.strictEqual(
        yield* refusal(minimal, "a".repeat(64)),
        "metadata.name has 64 characters: it becomes a label of the Node, so keep it to 63."
      )
    }))

  it.effect("is not refused for a switch that is off", () =>
    Effect.gen(function*() {
      const device = yield* decodeEdgeDevice(object({
        ...minimal,
        connectivity: { method: "grpc", grpc: { tlsSecretRef: {} } },
        storage: { enabled: false },
        network: { enabled: false },
        peripherals: []
      }))
      assert.deepStrictEqual(device.warnings, [])
    }))

  it.effect("is warned that a pinned key makes the enrolment Secret idle", () =>
    Effect.gen(function*() {
      const device = yield* decodeEdgeDevice(object({
        ...minimal,
        identity: { publicKey: `${"A".repeat(43)}=`, enrolmentSecretRef: { name: "once" } }
      }))
      assert.deepStrictEqual(device.warnings, [
        "spec.identity.enrolmentSecretRef has no effect: spec.identity.publicKey says which key the device has."
      ])
    }))

  it.effect("may have its pods replaced beside the originals if its owner says so", () =>
    Effect.gen(function*() {
      for (
        const partition of [
          { replaceAfter: "10m", allowRunningTwice: true },
          { stopWorkloadsAfter: "10m", replaceAfter: "5m", allowRunningTwice: true },
          { stopWorkloadsAfter: "10m", replaceAfter: "11m" },
          { notReadyAfter: "1m", stopWorkloadsAfter: "1m" }
        ]
      ) assert.deepStrictEqual((yield* decodeEdgeDevice(object({ ...minimal, partition }))).warnings, [])
    }))

  it.effect("is told which words about its absence say nothing", () =>
    Effect.gen(function*() {
      const { warnings } = yield* decodeEdgeDevice(
        object({ ...minimal, partition: { onReturn: "keepOriginal", allowRunningTwice: true } })
      )
      assert.deepStrictEqual(warnings, [
        "spec.partition.onReturn has no effect: nothing is replaced without spec.partition.replaceAfter.",
        "spec.partition.allowRunningTwice has no effect: nothing is replaced without spec.partition.replaceAfter."
      ])
    }))
})

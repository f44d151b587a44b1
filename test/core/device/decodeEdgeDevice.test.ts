import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { decodeEdgeDevice } from "../../../core/device/decodeEdgeDevice.ts"

const object = (spec: unknown, name = "lamp") => ({
  metadata: { namespace: "edge", name, uid: "u-1", generation: 3 },
  spec
})
const minimal = { connectivity: { method: "grpc" } }

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
      assert.deepStrictEqual(device.spec.node, { labels: {}, annotations: {}, taints: [] })
      assert.deepStrictEqual(device.spec.pod, {
        allocatable: 10,
        dns: { servers: [], searches: [], options: [] },
        publishIP: "auto"
      })
      assert.deepStrictEqual(device.spec.identity, {})
      assert.strictEqual(device.spec.credentials.allowServiceAccountTokens, false)
      assert.strictEqual(device.spec.partition.policy, "keep")
      assert.deepStrictEqual(device.warnings, [])
    }))

  const refused: ReadonlyArray<readonly [what: string, spec: unknown, sentence: string]> = [
    ["no spec", undefined, "spec is required: it needs at least spec.connectivity.method, set to grpc."],
    ["no connectivity", {}, "spec.connectivity is required."],
    ["no method", { connectivity: {} }, "spec.connectivity.method is required."],
    [
      "another method",
      { connectivity: { method: "mqtt" } },
      "spec.connectivity.method \"mqtt\" is not supported by this version: set it to grpc."
    ],
    [
      "a section of another method",
      { connectivity: { method: "grpc", mqtt: { broker: "b:1883" } } },
      "spec.connectivity.mqtt is not supported by this version: devices connect by gRPC, so remove it and set spec.connectivity.method to grpc."
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
      "spec.node.labels[arhat.dev/role] is set by aranya itself (arhat.dev/*, kubernetes.io/hostname, kubernetes.io/os, kubernetes.io/arch, type): choose another key."
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
})

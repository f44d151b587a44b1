/** Manifests of years ago on the whole line: the device connects, and its owner reads what to write today. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import { EdgeDevices } from "../../../core/device/EdgeDevice.ts"
import { KubeEvents } from "../../../core/kube/kinds.ts"
import { KubeApi } from "../../../core/kube/KubeApi.ts"
import { Nodes } from "../../../core/kube/Node.ts"
import { simulate } from "../../simulation/VirtualTime.ts"
import { createNamespaces, makeDevice, makeOperator, worldLayer } from "../../simulation/World.ts"

const eventually = <A, E, R>(what: string, look: Effect.Effect<A, E, R>, fits: (seen: A) => boolean) =>
  look.pipe(
    Effect.flatMap((seen) =>
      fits(seen) ? Effect.succeed(seen) : Effect.fail(new Error(`${what}: ${JSON.stringify(seen)}`))
    ),
    Effect.retry(Schedule.spaced("1 second").pipe(Schedule.upTo({ times: 120 })))
  )

const older = (old: string, now: string) => `spec.${old} is an older spelling: write spec.${now}.`

const manifests: ReadonlyArray<readonly [when: string, spec: object, warnings: ReadonlyArray<string>]> = [
  ["2019", {
    certInfo: { country: "DE", org: "Example" },
    connectivity: {
      method: "grpc",
      timers: {
        unarySessionTimeout: "10s",
        forceNodeStatusSyncInterval: "5m",
        forcePodStatusSyncInterval: "10m"
      },
      grpcConfig: { tlsSecretRef: {} }
    }
  }, [
    older("certInfo", "node.cert"),
    older("connectivity.grpcConfig", "connectivity.grpc"),
    older("connectivity.timers.forceNodeStatusSyncInterval", "node.timers.forceSyncInterval"),
    older("connectivity.timers.forcePodStatusSyncInterval", "pod.timers.forceSyncInterval")
  ]],
  ["2019, with its broker as a second way", {
    connectivity: {
      method: "grpc",
      mqttConfig: {
        messageNamespace: "aranya.arhat.dev/edge-1",
        server: "broker.example.com:1883",
        version: "3.1.1",
        transport: "tcp",
        connectPacket: { cleanSession: true, clientID: "aranya(edge-1)", keepalive: 30 }
      }
    }
  }, [
    older("connectivity.mqttConfig", "connectivity.mqtt"),
    older("connectivity.mqtt.messageNamespace", "connectivity.mqtt.topicNamespace"),
    older("connectivity.mqtt.server", "connectivity.mqtt.broker"),
    older("connectivity.mqtt.connectPacket.clientID", "connectivity.mqtt.clientID"),
    older("connectivity.mqtt.connectPacket.keepalive", "connectivity.mqtt.keepaliveInterval")
  ]],
  ["2020", { connectivity: { method: "grpc" }, devices: [], node: { podCIDR: "" } }, [
    older("devices", "peripherals"),
    older("node.podCIDR", "pod.ipv4CIDR")
  ]]
]

describe("an EdgeDevice in the words of", () => {
  it.live.each(manifests)(
    "%s links, and says what to write today in its condition and in events",
    ([, spec, warnings]) =>
      simulate(1, () =>
        Effect.gen(function*() {
          const api = yield* KubeApi
          yield* createNamespaces
          const device = yield* makeDevice("edge-1", 1)
          yield* (yield* makeOperator([device])).start
          const object = device.object()
          yield* api.create(EdgeDevices, { ...object, spec: { ...object.spec as object, ...spec } })
          yield* device.agent.start
          yield* eventually(
            "the Node",
            Effect.option(api.get(Nodes, { name: "edge-1" })),
            (node) =>
              node._tag === "Some" &&
              node.value.status?.conditions?.some(({ status, type }) =>
                  type === "DeviceConnected" && status === "True"
                ) ===
                true
          )
          const { status } = yield* eventually(
            "the condition",
            api.get(EdgeDevices, { namespace: "edge", name: "edge-1" }),
            (seen) => seen.status?.conditions?.some(({ type }) => type === "Invalid") === true
          )
          const invalid = status?.conditions?.find(({ type }) => type === "Invalid")
          assert.deepInclude(invalid, { status: "False", reason: "UnderstoodWithWarnings" })
          for (const warning of warnings) assert.include(invalid?.message, warning)
          const told = yield* eventually(
            "the events",
            api.list(KubeEvents, { namespace: "edge" }),
            (all) => all.filter(({ reason }) => reason === "OlderSpelling").length >= warnings.length
          )
          const messages = told.filter(({ reason }) => reason === "OlderSpelling").map(({ message }) => message)
          for (const warning of warnings) assert.include(messages, warning)
        }).pipe(Effect.scoped, Effect.provide(worldLayer), Effect.orDie))
  )
})

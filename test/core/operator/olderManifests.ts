/** EdgeDevices as people wrote them in 2019 and 2020. */

const older = (old: string, now: string) => `spec.${old} is an older spelling: write spec.${now}.`

/** By when they were written so: a spec, and what its owner is told to write today. */
export const olderManifests: ReadonlyArray<
  readonly [when: string, spec: object, warnings: ReadonlyArray<string>]
> = [
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

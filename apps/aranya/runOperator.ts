/** Puts the operator together from a configuration: cluster, key, doors for devices, kubelet API; and runs it until it is told to stop. */
import { Duration, Effect, Layer } from "effect"
import { Base64, Hex } from "effect/encoding"
import { isIP } from "node:net"
import { NodeCryptography } from "../../adapters/crypto/NodeCryptography.ts"
import { makeGrpcAcceptor } from "../../adapters/grpc/GrpcAcceptor.ts"
import { layerKubeConfig } from "../../adapters/kube/client/layerKubeConfig.ts"
import { StreamCreationTimeout } from "../../adapters/kubelet/spdy/StreamCreationTimeout.ts"
import * as LogSink from "../../adapters/logging/LogSink.ts"
import { serveMetrics } from "../../adapters/metrics/MetricsServer.ts"
import { InvalidConfig } from "../../core/config/decodeConfig.ts"
import { Cryptography } from "../../core/link/Cryptography.ts"
import { defaultTimings, LinkTimings } from "../../core/link/LinkTimings.ts"
import { SecureRandom } from "../../core/link/SecureRandom.ts"
import { Acceptors } from "../../core/link/Transport.ts"
import { Brokers } from "../../core/operator/Brokers.ts"
import { NamedIdentities } from "../../core/operator/NamedIdentities.ts"
import { operator, operatorLayer } from "../../core/operator/Operator.ts"
import { OperatorIdentity } from "../../core/operator/OperatorIdentity.ts"
import { operatorKey } from "../../core/operator/operatorKey.ts"
import { operatorMetrics } from "../../core/operator/operatorMetrics.ts"
import { OperatorSettings } from "../../core/operator/OperatorSettings.ts"
import { version } from "../shared/version.ts"
import type { AranyaConfig } from "./AranyaConfig.ts"
import { beside } from "./beside.ts"
import { grpcIdentity } from "./grpcIdentity.ts"
import { kubeletDoor, waitsForApproval } from "./kubeletDoor.ts"
import { openBroker } from "./openBroker.ts"

/** A variable that is set to nothing says nothing. */
const environment = (given: string, variable: string, fallback: string) => given || process.env[variable] || fallback

export const ownNamespace = (config: AranyaConfig) => environment(config.aranya.namespace, "POD_NAMESPACE", "default")

const hostAndPort = (source: string, listen: string) => {
  const match = /^(.*):(\d{1,5})$/u.exec(listen)
  const port = Number(match?.[2])
  return match === null || port > 65535
    ? Effect.fail(
      new InvalidConfig({
        source,
        problems: [`${listen} must be host:port, such as 0.0.0.0:8443`]
      })
    )
    : Effect.succeed({ host: (match[1] ?? "").replace(/^\[|\]$/gu, ""), port })
}

const identity = (config: AranyaConfig, namespace: string) =>
  Layer.effect(
    OperatorIdentity,
    Effect.gen(function*() {
      const random = yield* SecureRandom
      const { x25519Public } = yield* Cryptography
      const privateKey = yield* operatorKey(namespace)
      yield* Effect.logInfo(
        `agents know this operator by connectivity.operatorKey: ${Base64.encode(x25519Public(privateKey))}`
      )
      return {
        // A process start is a takeover: no two have the same name.
        holder: `${environment("", "HOSTNAME", "aranya")}-${Hex.encode(yield* random.bytes(4))}`,
        installation: config.aranya.installation,
        version,
        namespace,
        hostNode: environment(config.aranya.hostNode, "NODE_NAME", ""),
        privateKey
      }
    })
  )

/** The doors for devices: gRPC, and the brokers that EdgeDevices name. */
export const acceptors = (config: AranyaConfig, namespace: string) =>
  Layer.effect(
    Acceptors,
    Effect.gen(function*() {
      const { keepaliveInterval, listen } = config.connectivity.grpc
      const { host, port } = yield* hostAndPort("connectivity.grpc.listen", listen)
      const grpc = makeGrpcAcceptor({
        host,
        port,
        ...yield* grpcIdentity(config, namespace),
        named: (yield* NamedIdentities).changes,
        maxFrame: config.connectivity.grpc.maxPayloadSize,
        ...keepaliveInterval === undefined ? {} : { keepalive: keepaliveInterval },
        onListening: (taken) => Effect.logInfo(`devices connect by gRPC to ${host}:${taken}`)
      })
      return [grpc, (yield* Brokers).acceptor(yield* openBroker)]
    })
  )

const metricsDoor = ({ metrics: { listen } }: AranyaConfig) =>
  listen === "" ? Layer.empty : Layer.effectDiscard(Effect.gen(function*() {
    const { host, port } = yield* hostAndPort("metrics.listen", listen)
    const taken = yield* serveMetrics({ host, port, families: yield* operatorMetrics })
    yield* Effect.logInfo(`metrics are served at http://${host}:${taken}/metrics`)
  }))

/** The handshake tells devices both; on the wire they are whole milliseconds. */
export const linkTimings = ({ connectivity }: AranyaConfig): LinkTimings => ({
  ...defaultTimings,
  beatMillis: Math.round(Duration.toMillis(connectivity.beatInterval)),
  sessionTimeoutMillis: Math.round(Duration.toMillis(connectivity.sessionTimeout))
})

const grpcEndpoint = Effect.fnUntraced(function*({ connectivity: { grpc } }: AranyaConfig) {
  const address = environment(grpc.address, "POD_IP", "")
  if (address === "") return undefined
  if (isIP(address) === 0) {
    return yield* new InvalidConfig({
      source: "connectivity.grpc.address",
      problems: [`${address} must be an IP address: an EndpointSlice holds no names`]
    })
  }
  const { port } = yield* hostAndPort("connectivity.grpc.listen", grpc.listen)
  return { address, port, plain: grpc.insecure }
})

export const runOperator = Effect.fnUntraced(function*(config: AranyaConfig) {
  const namespace = ownNamespace(config)
  const address = environment(config.kubelet.address, "POD_IP", "")
  const grpc = yield* grpcEndpoint(config)
  const outside = Layer.mergeAll(identity(config, namespace), acceptors(config, namespace)).pipe(
    Layer.provideMerge(Layer.mergeAll(NamedIdentities.layer, Brokers.layer)),
    Layer.provideMerge(layerKubeConfig({ kubeconfigPath: config.aranya.kubeClient.kubeconfig })),
    Layer.provideMerge(NodeCryptography.layer)
  )
  const doors = address === ""
    ? Layer.effectDiscard(Effect.logWarning("kubectl logs will not work: kubelet.address (or $POD_IP) is not set"))
    : kubeletDoor(config, { address, namespace })

  // Devices do not wait for a person: until the certificate is approved it is `kubectl logs` alone that does not work.
  const served = waitsForApproval(config) ? beside(operator, doors) : Effect.provide(operator, doors)
  const running = served.pipe(
    Effect.provide(metricsDoor(config).pipe(Layer.provideMerge(operatorLayer), Layer.provideMerge(outside))),
    Effect.provideService(OperatorSettings, {
      excludedNamespaces: config.aranya.excludedNamespaces,
      clusterDomain: config.pod.clusterDomain,
      clusterDns: config.pod.clusterDns,
      kubelet: address === "" ? undefined : { address, port: config.kubelet.port },
      kubeletPerNode: config.kubelet.perNode,
      grpc,
      disconnectGrace: config.aranya.disconnectGrace,
      metricsMinInterval: config.metrics.minInterval,
      streamIdle: config.pod.timers.streamIdleTimeout,
      farewell: "2 minutes"
    }),
    Effect.provideService(StreamCreationTimeout, config.pod.timers.streamCreationTimeout),
    Effect.provideService(LinkTimings, linkTimings(config))
  )
  return yield* Effect.logInfo(`aranya ${version} starts, for EdgeDevices of all namespaces`).pipe(
    Effect.andThen(running),
    Effect.provide(LogSink.layer(config.aranya.log))
  )
})

/** The operator's configuration file, `/etc/aranya/config.yaml`; docs/configuration.md explains every key. */
import { Duration, Effect, Schema } from "effect"
import { LogSink } from "../../adapters/logging/LogSink.ts"
import { goDuration, goDurationBetween } from "../../core/device/goDuration.ts"

const opt = Schema.optionalKey
const or = <A>(value: A) => Effect.succeed(value)
const text = (fallback: string) => Schema.String.pipe(Schema.withDecodingDefaultKey(or(fallback)))
const port = (fallback: number) =>
  Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 65535 })).pipe(Schema.withDecodingDefaultKey(or(fallback)))
const strings = (fallback: ReadonlyArray<string>) =>
  Schema.Array(Schema.String).pipe(Schema.withDecodingDefaultKey(or(fallback)))

export const AranyaConfig = Schema.Struct({
  aranya: Schema.Struct({
    /** Namespace of the operator's own objects; $POD_NAMESPACE, else default. */
    namespace: text(""),
    /** Tells the Nodes of one installation from those of another. */
    installation: text("aranya"),
    /** Name of the node the operator runs on, for status.hostNode; $NODE_NAME when empty. */
    hostNode: text(""),
    log: Schema.Array(LogSink).pipe(Schema.withDecodingDefaultKey(or([{}]))),
    kubeClient: Schema.Struct({
      /** In a cluster the ServiceAccount is used; elsewhere this file, or $KUBECONFIG. */
      kubeconfig: opt(Schema.String)
    }).pipe(Schema.withDecodingDefaultKey(or({}))),
    excludedNamespaces: strings(["kube-system"]),
    disconnectGrace: goDuration({ description: "How long a device may be away before its pods' Ready turns False." })
      .pipe(Schema.withDecodingDefaultKey(or("1m")))
  }).pipe(Schema.withDecodingDefaultKey(or({}))),
  connectivity: Schema.Struct({
    sessionTimeout: goDurationBetween(Duration.seconds(1), Duration.hours(24), {
      description: "A device that is back within this goes on where it was: streams of logs and all that was under way."
    }).pipe(Schema.withDecodingDefaultKey(or("5m"))),
    // Devices refuse less than a second.
    beatInterval: goDurationBetween(Duration.seconds(1), Duration.hours(1), {
      description: "How long a device that hears nothing waits before it asks; after half as long again it is away."
    }).pipe(Schema.withDecodingDefaultKey(or("90s"))),
    grpc: Schema.Struct({
      listen: text("0.0.0.0:8443"),
      /** IP address under which an Ingress reaches this process, for the Services that EdgeDevices ask for. $POD_IP when empty. */
      address: text(""),
      /** HTTP/2 pings on silent connections, for proxies that forget them sooner than the link beats; none when absent. */
      keepaliveInterval: opt(goDurationBetween(Duration.seconds(10), Duration.hours(1), {
        description: "How often a silent connection is pinged. Each ping costs about 170 bytes."
      })),
      /** Bytes of one frame, in both directions: no more than what lies between lets pass. */
      maxPayloadSize: Schema.Int.check(Schema.isBetween({ minimum: 4096, maximum: 65_536 })).pipe(
        Schema.withDecodingDefaultKey(or(65_536))
      ),
      /** PEM files; both or neither. Without them the operator makes its own certificate. */
      cert: opt(Schema.String),
      key: opt(Schema.String),
      /** Names and addresses in a certificate of its own making. */
      serverNames: strings(["localhost", "127.0.0.1"]),
      /** Only devices with a certificate of this CA may connect. */
      clientCa: opt(Schema.String),
      /** Plain text: only behind something that ends TLS for us, such as an Ingress. */
      insecure: Schema.Boolean.pipe(Schema.withDecodingDefaultKey(or(false)))
    }).pipe(Schema.withDecodingDefaultKey(or({})))
  }).pipe(Schema.withDecodingDefaultKey(or({}))),
  kubelet: Schema.Struct({
    listen: text("0.0.0.0"),
    port: port(10250),
    /** Where the API server reaches this process; every Node advertises it. $POD_IP when empty. */
    address: text(""),
    /** A listener of its own for each Node, on any free port. */
    perNode: Schema.Boolean.pipe(Schema.withDecodingDefaultKey(or(false))),
    /** PEM file with the CA of the API server's client certificate; read from the cluster when absent. */
    clientCa: opt(Schema.String),
    serving: Schema.Struct({
      /** `csr`: signed by the cluster; `own`: by a CA of our own; `files`, `secret`: as given there. */
      mode: Schema.Literals(["csr", "own", "files", "secret"]).pipe(Schema.withDecodingDefaultKey(or("csr" as const))),
      cert: opt(Schema.String),
      key: opt(Schema.String),
      /** A Secret of type kubernetes.io/tls; in the operator's own namespace unless it says otherwise. */
      tlsSecretRef: Schema.Struct({
        name: text("aranya-kubelet-tls"),
        namespace: text("")
      }).pipe(Schema.withDecodingDefaultKey(or({}))),
      /** Approve our own request, where RBAC lets us. */
      selfApprove: Schema.Boolean.pipe(Schema.withDecodingDefaultKey(or(true)))
    }).pipe(Schema.withDecodingDefaultKey(or({})))
  }).pipe(Schema.withDecodingDefaultKey(or({}))),
  metrics: Schema.Struct({
    /** Where Prometheus reads the operator's own metrics, by plain HTTP and without a login; not served when empty. */
    listen: text(""),
    /** Devices behind metered lines pay for each sample; scrapes in between are answered from the last. */
    minInterval: goDurationBetween(Duration.seconds(1), Duration.hours(24), {
      description: "How often a device is asked at most what it and its pods use."
    }).pipe(Schema.withDecodingDefaultKey(or("5m")))
  }).pipe(Schema.withDecodingDefaultKey(or({}))),
  pod: Schema.Struct({
    clusterDomain: text("cluster.local"),
    /** Name servers of the cluster that devices can reach. */
    clusterDns: strings([]),
    timers: Schema.Struct({
      streamCreationTimeout: goDurationBetween(Duration.seconds(1), Duration.minutes(10), {
        description: "How long the streams of an exec or attach may take to come."
      }).pipe(Schema.withDecodingDefaultKey(or("30s"))),
      streamIdleTimeout: goDurationBetween(Duration.seconds(10), Duration.hours(24 * 7), {
        description: "How long exec, attach and port-forward may be silent before they are ended."
      }).pipe(Schema.withDecodingDefaultKey(or("4h")))
    }).pipe(Schema.withDecodingDefaultKey(or({})))
  }).pipe(Schema.withDecodingDefaultKey(or({})))
})
export type AranyaConfig = typeof AranyaConfig.Type

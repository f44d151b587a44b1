/** The agent's way to its operator over gRPC: one HTTP/2 connection with one call, TLS unless told otherwise. */
import {
  ChannelCredentials,
  type ChannelOptions,
  Client,
  credentials,
  Metadata,
  type ServiceError,
  status
} from "@grpc/grpc-js"
import { Duration, Effect, Exit, Scope } from "effect"
import { createSecureContext } from "node:tls"
import { cipherList } from "../../core/link/cipherSuites.ts"
import { keyExchangeGroups } from "../../core/link/keyExchange.ts"
import { type Dialer, TransportError } from "../../core/link/Transport.ts"
import { type CallConnection, callConnection } from "./callConnection.ts"
import { linkMethod, messageOverhead } from "./linkMethod.ts"
import { ownedSockets } from "./ownedSockets.ts"
import { cause, isAboutCertificates, isNotYetValid, remedyFor, saidByOpenssl } from "./trouble.ts"

export interface DialerTls {
  /** PEM of the authorities to trust; absent: those of the system. */
  readonly ca?: Uint8Array
  /** PEM of a client certificate, where the operator's door asks for one. */
  readonly identity?: { readonly key: Uint8Array; readonly cert: Uint8Array }
  /** The name the operator's certificate must bear, where it is not the host of the target. */
  readonly serverName?: string
  /** IANA names; absent: Node's own choice. */
  readonly cipherSuites?: ReadonlyArray<string>
  /** Offers a key exchange that quantum computers are thought not to break, for 2.3 KB more in each handshake. */
  readonly hybridKeyExchange?: boolean
}

export interface GrpcDialerOptions {
  /** `host:port`, or `unix:/path`. */
  readonly target: string
  /** `insecure` is plaintext, for a loopback or a tunnel; the session's own encryption remains. */
  readonly tls: DialerTls | "insecure"
  /** Bytes; both sides must agree at least on the smaller. */
  readonly maxFrame?: number
  /** From dialling to the operator's headers. */
  readonly connectTimeout?: Duration.Input
  /** HTTP/2 pings, for networks that forget silent connections sooner than the session beats. Absent: none, they cost bytes. */
  readonly keepalive?: Duration.Input
  /** Sent with the call, for an ingress that routes by header. Never secrets: an ingress logs them. */
  readonly headers?: Readonly<Record<string, string>>
}

export const defaultMaxFrame = 64 * 1024

/** HTTP/2 lets this much arrive before it is read: enough for 40 Mbit/s over 100 ms. */
const receiveWindow = 512 * 1024

/** Throws what OpenSSL says of a client certificate or key that it cannot use. */
const channelCredentials = (tls: GrpcDialerOptions["tls"]): ChannelCredentials => {
  if (tls === "insecure") return credentials.createInsecure()
  const { ca, cipherSuites, hybridKeyExchange = false, identity } = tls
  return credentials.createFromSecureContext(createSecureContext({
    ecdhCurve: keyExchangeGroups(hybridKeyExchange),
    ...(ca === undefined ? {} : { ca: Buffer.from(ca) }),
    ...(identity === undefined ? {} : { key: Buffer.from(identity.key), cert: Buffer.from(identity.cert) }),
    ...(cipherSuites === undefined ? {} : { ciphers: cipherList(cipherSuites) })
  }))
}

const channelOptions = (options: GrpcDialerOptions): ChannelOptions => {
  const { keepalive, maxFrame = defaultMaxFrame, tls } = options
  return {
    // A connection of its own each time, and none kept or retried behind our back.
    "grpc.use_local_subchannel_pool": 1,
    "grpc.enable_retries": 0,
    "grpc.service_config_disable_resolution": 1,
    "grpc.enable_channelz": 0,
    "grpc.max_receive_message_length": maxFrame + messageOverhead,
    "grpc.max_send_message_length": maxFrame + messageOverhead,
    "grpc-node.flow_control_window": receiveWindow,
    ...(keepalive === undefined ? {} : {
      "grpc.keepalive_time_ms": Duration.toMillis(Duration.fromInputUnsafe(keepalive)),
      "grpc.keepalive_timeout_ms": 20_000
    }),
    ...(tls === "insecure" || tls.serverName === undefined ? {} : {
      "grpc.ssl_target_name_override": tls.serverName,
      "grpc.default_authority": tls.serverName
    })
  }
}

/** Headers have come, or the call ended before. */
const errorOf = (target: string, opened: () => boolean) => (error: unknown): TransportError => {
  const { code, details, message } = error as Partial<ServiceError>
  const told = details || message || "no reason given"
  const detail = cause(told)
  const what = `${target}: ${detail}`
  if (code === status.UNAUTHENTICATED || code === status.PERMISSION_DENIED) {
    return new TransportError({ reason: "Rejected", detail: what })
  }
  if (!opened() && isAboutCertificates(told)) {
    const reason = isNotYetValid(told) ? "Refused" : "Rejected"
    return new TransportError({ reason, detail: `${what}; ${remedyFor(detail)}` })
  }
  if (opened()) return new TransportError({ reason: "Lost", detail: what })
  return new TransportError({
    reason: "Refused",
    detail: code === status.UNIMPLEMENTED ? `${target} is not an aranya operator: ${details ?? ""}` : what
  })
}

export const makeGrpcDialer = (options: GrpcDialerOptions): Dialer => {
  const { headers = {}, maxFrame = defaultMaxFrame, target } = options
  const limit = Duration.fromInputUnsafe(options.connectTimeout ?? "20 seconds")

  const dial = Effect.gen(function*() {
    const secured = yield* Effect.try({
      try: () => channelCredentials(options.tls),
      catch: (thrown) =>
        new TransportError({
          reason: "Rejected",
          detail: `${target}: tls.cert and tls.key cannot be used: ${
            saidByOpenssl(thrown)
          }; give a certificate and its own key`
        })
    })
    const { client } = yield* Effect.acquireRelease(
      Effect.sync(() => {
        const sockets = ownedSockets(secured)
        return { sockets, client: new Client(target, sockets.credentials, channelOptions(options)) }
      }),
      ({ client, sockets }) =>
        Effect.sync(() => {
          client.close()
          sockets.close()
        })
    )
    let opened = false
    const metadata = new Metadata()
    for (const [name, value] of Object.entries(headers)) metadata.set(name, value)

    const { call, connection } = yield* Effect.acquireRelease(
      Effect.sync(() => {
        const call = client.makeBidiStreamRequest(
          linkMethod.path,
          linkMethod.requestSerialize,
          linkMethod.responseDeserialize,
          metadata
        )
        const connection = callConnection(call, {
          description: `grpc ${target}`,
          maxFrame,
          greeted: true,
          errorOf: errorOf(target, () => opened)
        })
        return { call, connection }
      }),
      ({ call, connection }) =>
        Effect.andThen(opened ? connection.hangUp : Effect.void, Effect.sync(() => call.cancel()))
    )

    const headersCame = Effect.callback<void>((resume) => {
      const listen = () => {
        opened = true
        resume(Effect.void)
      }
      call.once("metadata", listen)
      return Effect.sync(() => call.off("metadata", listen))
    })
    yield* Effect.raceFirst(headersCame, endOf(connection)).pipe(
      Effect.timeoutOrElse({
        duration: limit,
        orElse: () =>
          Effect.fail(
            new TransportError({ reason: "Refused", detail: `${target}: no answer within ${Duration.format(limit)}` })
          )
      })
    )
    return connection.connection
  })

  return {
    method: "grpc",
    maxFrame,
    // What a failed attempt made is gone before the failure is told.
    connect: Effect.uninterruptibleMask((restore) =>
      Effect.gen(function*() {
        const scope = yield* Effect.flatMap(Effect.scope, (parent) => Scope.fork(parent))
        return yield* restore(Scope.provide(dial, scope)).pipe(
          Effect.onExit((exit) => Exit.isFailure(exit) ? Scope.close(scope, exit) : Effect.void)
        )
      })
    )
  }
}

/** Fails with the reason for which the call ended; frames cannot come before headers. */
const endOf = ({ connection }: CallConnection): Effect.Effect<never, TransportError> =>
  Effect.flatMap(
    connection.receive,
    () =>
      Effect.fail(
        new TransportError({ reason: "Refused", detail: `${connection.description}: a frame before headers` })
      )
  )

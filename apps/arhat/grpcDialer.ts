/** The dialer of a gRPC method: files are read anew for each connection. */
import { type Duration, Effect } from "effect"
import { makeGrpcDialer } from "../../adapters/grpc/GrpcDialer.ts"
import { type Dialer, TransportError } from "../../core/link/Transport.ts"
import type { GrpcMethod } from "./ArhatConfig.ts"
import { tlsMaterial } from "./tlsMaterial.ts"

/** `at` is the key of the method's `config`, for error messages. */
export const grpcDialer = Effect.fnUntraced(function*(
  { config }: GrpcMethod,
  { at, dialTimeout }: { readonly at: string; readonly dialTimeout: Duration.Duration }
) {
  const { endpoint, keepaliveInterval, maxPayloadSize } = config
  const material = tlsMaterial(config.tls, `${at}.tls`)
  const dialerOf = (tls: Effect.Success<typeof material>): Dialer =>
    makeGrpcDialer({
      target: endpoint,
      tls: tls ?? "insecure",
      maxFrame: maxPayloadSize,
      connectTimeout: dialTimeout,
      ...(keepaliveInterval === undefined ? {} : { keepalive: keepaliveInterval })
    })
  return {
    ...dialerOf(yield* material),
    connect: material.pipe(
      Effect.mapError((unreadable) => new TransportError({ reason: "Refused", detail: unreadable.message })),
      Effect.flatMap((now) => dialerOf(now).connect)
    )
  }
})

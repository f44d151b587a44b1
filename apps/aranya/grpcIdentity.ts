/** The certificate of the gRPC door: as configured, or one of our own making, kept in a Secret together with its CA. */
import { Clock, Duration, Effect, Schedule, Stream } from "effect"
import { Base64 } from "effect/encoding"
import { readFile } from "node:fs/promises"
import { isIP } from "node:net"
import { isDeepStrictEqual } from "node:util"
import type { ServerIdentity } from "../../adapters/grpc/TlsDoor.ts"
import { createAuthority, createLeaf } from "../../adapters/x509/certificate.ts"
import { InvalidConfig } from "../../core/config/decodeConfig.ts"
import { keptSecret } from "../../core/kube/keptSecret.ts"
import type { KubeApi, KubeApiError } from "../../core/kube/KubeApi.ts"
import type { AranyaConfig } from "./AranyaConfig.ts"

/** Its key `ca.crt` is what agents need as connectivity.methods[].config.tls.caCert. */
export const grpcSecret = "aranya-grpc-tls"

const yearMillis = 365 * 24 * 3_600_000

/** Whoever renews a certificate does so days before its end. */
const look = Duration.minutes(1)

const fileAt = (key: string, path: string) =>
  Effect.tryPromise({
    try: (): Promise<Uint8Array> => readFile(path),
    catch: (cause) =>
      new InvalidConfig({
        source: `connectivity.grpc.${key}`,
        problems: [cause instanceof Error ? cause.message : String(cause)]
      })
  })

const ownMaking = Effect.fnUntraced(function*(namespace: string, names: ReadonlyArray<string>) {
  const make = Effect.gen(function*() {
    const now = yield* Clock.currentTimeMillis
    const [from, to] = [new Date(now - 3_600_000), new Date(now + 10 * yearMillis)]
    const authority = createAuthority("aranya authority", from, to)
    const leaf = createLeaf(authority, {
      subject: { commonName: "aranya" },
      names: { dns: names.filter((name) => isIP(name) === 0), ips: names.filter((name) => isIP(name) !== 0) },
      purposes: ["server auth"],
      notBefore: from,
      notAfter: to
    })
    return {
      type: "kubernetes.io/tls",
      data: {
        "ca.crt": Base64.encode(authority.certificate),
        "tls.crt": Base64.encode(leaf.certificate),
        "tls.key": Base64.encode(leaf.key)
      }
    }
  })
  const secret = yield* keptSecret("the certificate of the gRPC listener", { namespace, name: grpcSecret }, { make })
  const part = (key: string): Uint8Array => Buffer.from(secret.data?.[key] ?? "", "base64")
  return { cert: part("tls.crt"), key: part("tls.key") }
})

/** What the door shows, and what else it is to show each time that one of its files has changed. */
export interface GrpcIdentity {
  readonly tls: ServerIdentity | "insecure"
  readonly renewals: Stream.Stream<ServerIdentity>
}

/** Each new content of the files, from now on; what cannot be read is told once and waited for. */
const renewalsOf = (read: Effect.Effect<ServerIdentity, InvalidConfig>): Stream.Stream<ServerIdentity> =>
  Stream.fromEffectSchedule(Effect.catch(read, ({ message }) => Effect.succeed(message)), Schedule.spaced(look)).pipe(
    Stream.changesWith((one, other) => isDeepStrictEqual(one, other)),
    Stream.mapEffect((found) =>
      typeof found === "string"
        ? Effect.as(Effect.logWarning(`the gRPC listener keeps the certificate it has: ${found}`), [])
        : Effect.succeed([found])
    ),
    Stream.flattenIterable
  )

export const grpcIdentity = Effect.fnUntraced(
  function*(
    config: AranyaConfig,
    namespace: string
  ): Effect.fn.Return<GrpcIdentity, InvalidConfig | KubeApiError, KubeApi> {
    const { cert, clientCa, insecure, key, serverNames } = config.connectivity.grpc
    if (insecure) return { tls: "insecure", renewals: Stream.empty }
    if ((cert === undefined) !== (key === undefined)) {
      return yield* new InvalidConfig({
        source: "connectivity.grpc",
        problems: ["cert and key go together: give both or neither"]
      })
    }
    const pair = cert === undefined || key === undefined
      ? Effect.succeed(yield* ownMaking(namespace, serverNames))
      : Effect.all({ cert: fileAt("cert", cert), key: fileAt("key", key) })
    const read = clientCa === undefined
      ? pair
      : Effect.all([pair, fileAt("clientCa", clientCa)]).pipe(Effect.map(([pair, clientCa]) => ({ ...pair, clientCa })))
    return { tls: yield* read, renewals: renewalsOf(read) }
  }
)

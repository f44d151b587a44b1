/** The certificate of the gRPC door: as configured, or one of our own making, kept in a Secret together with its CA. */
import { Clock, Effect, Schedule } from "effect"
import { Base64 } from "effect/encoding"
import { readFile } from "node:fs/promises"
import { isIP } from "node:net"
import { createAuthority, createLeaf } from "../../adapters/x509/certificate.ts"
import { InvalidConfig } from "../../core/config/decodeConfig.ts"
import { type Secret, Secrets } from "../../core/kube/kinds.ts"
import { KubeApi } from "../../core/kube/KubeApi.ts"
import type { AranyaConfig } from "./AranyaConfig.ts"

/** Its key `ca.crt` is what agents need as connectivity.methods[].config.tls.caCert. */
export const grpcSecret = "aranya-grpc-tls"

const yearMillis = 365 * 24 * 3_600_000

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
  const api = yield* KubeApi
  const at = { namespace, name: grpcSecret }
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
    return yield* api.create(Secrets, {
      apiVersion: "v1",
      kind: "Secret",
      metadata: at,
      type: "kubernetes.io/tls",
      data: {
        "ca.crt": Base64.encode(authority.certificate),
        "tls.crt": Base64.encode(leaf.certificate),
        "tls.key": Base64.encode(leaf.key)
      }
    })
  })
  const secret: Secret = yield* api.get(Secrets, at).pipe(
    Effect.catch((error) => error.reason === "NotFound" ? make : Effect.fail(error)),
    Effect.retry({
      schedule: Schedule.min([Schedule.exponential("500 millis"), Schedule.spaced("10 seconds")]),
      // Another replica may have been faster.
      while: (error) => error.retryable || error.reason === "AlreadyExists"
    })
  )
  const part = (key: string): Uint8Array => Buffer.from(secret.data?.[key] ?? "", "base64")
  return { cert: part("tls.crt"), key: part("tls.key") }
})

export const grpcIdentity = Effect.fnUntraced(function*(config: AranyaConfig, namespace: string) {
  const { cert, clientCa, insecure, key, serverNames } = config.connectivity.grpc
  if (insecure) return "insecure" as const
  if ((cert === undefined) !== (key === undefined)) {
    return yield* new InvalidConfig({
      source: "connectivity.grpc",
      problems: ["cert and key go together: give both or neither"]
    })
  }
  const pair = cert === undefined || key === undefined
    ? yield* ownMaking(namespace, serverNames)
    : { cert: yield* fileAt("cert", cert), key: yield* fileAt("key", key) }
  return clientCa === undefined ? pair : { ...pair, clientCa: yield* fileAt("clientCa", clientCa) }
})

/** The ways to the operator that the configuration names, best first. */
import { Effect, Schema } from "effect"
import { readFile } from "node:fs/promises"
import { makeGrpcDialer } from "../../adapters/grpc/GrpcDialer.ts"
import type { ArhatConfig, ClientTls } from "./ArhatConfig.ts"

export class UnreadableFile extends Schema.TaggedError<UnreadableFile>()("UnreadableFile", {
  key: Schema.String,
  detail: Schema.String
}) {
  override get message() {
    return `${this.key}: ${this.detail}`
  }
}

export const readBytes = (key: string, path: string): Effect.Effect<Uint8Array, UnreadableFile> =>
  Effect.tryPromise({
    try: () => readFile(path),
    catch: (cause) => new UnreadableFile({ key, detail: cause instanceof Error ? cause.message : String(cause) })
  })

/** Data in the configuration itself wins over a file. */
const pem = (key: string, data: string | undefined, file: string | undefined) =>
  data !== undefined
    ? Effect.succeed<Uint8Array | undefined>(Buffer.from(data, "base64"))
    : file === undefined
    ? Effect.undefined
    : readBytes(key, file)

const tlsOf = Effect.fnUntraced(function*(tls: typeof ClientTls.Type, at: string) {
  if (!tls.enabled) return "insecure" as const
  const ca = yield* pem(`${at}.caCert`, tls.caCertData, tls.caCert)
  const cert = yield* pem(`${at}.cert`, tls.certData, tls.cert)
  const key = yield* pem(`${at}.key`, tls.keyData, tls.key)
  if ((cert === undefined) !== (key === undefined)) {
    return yield* new UnreadableFile({ key: at, detail: "cert and key go together: give both or neither" })
  }
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined || key === undefined ? {} : { identity: { cert, key } }),
    ...(tls.serverName === undefined ? {} : { serverName: tls.serverName })
  }
})

export const dialers = Effect.fnUntraced(function*(config: ArhatConfig) {
  const methods = config.connectivity.methods.toSorted((a, b) => a.priority - b.priority)
  return yield* Effect.forEach(
    methods,
    (method, index) =>
      Effect.map(tlsOf(method.config.tls, `connectivity.methods[${index}].config.tls`), (tls) =>
        makeGrpcDialer({
          target: method.config.endpoint,
          tls,
          maxFrame: method.config.maxPayloadSize,
          connectTimeout: config.connectivity.dialTimeout
        }))
  )
})

/** What a `tls` section names, read. */
import { Effect } from "effect"
import type { ClientTls } from "./ClientTls.ts"
import { pem, UnreadableFile } from "./readFile.ts"

/** `at` is the key of the section; undefined where TLS is off. */
export const tlsMaterial = Effect.fnUntraced(function*(tls: ClientTls, at: string) {
  if (!tls.enabled) return undefined
  const ca = yield* pem(`${at}.caCert`, tls.caCertData, tls.caCert)
  const cert = yield* pem(`${at}.cert`, tls.certData, tls.cert)
  const key = yield* pem(`${at}.key`, tls.keyData, tls.key)
  if ((cert === undefined) !== (key === undefined)) {
    return yield* new UnreadableFile({ key: at, detail: "cert and key go together: give both or neither" })
  }
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined || key === undefined ? {} : { identity: { cert, key } }),
    ...(tls.serverName === undefined ? {} : { serverName: tls.serverName }),
    ...(tls.cipherSuites === undefined ? {} : { cipherSuites: tls.cipherSuites }),
    ...(tls.hybridKeyExchange === undefined ? {} : { hybridKeyExchange: tls.hybridKeyExchange })
  }
})

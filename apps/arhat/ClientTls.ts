/** The `tls` section of a connectivity method: whom the device trusts and who it is. There is no way to skip verification. */
import { Effect, Schema } from "effect"
import { knownCipherSuites } from "../../core/link/cipherSuites.ts"
import { refused } from "./refused.ts"

const opt = Schema.optionalKey

const known = new Set(knownCipherSuites)
const CipherSuite = Schema.String.check(
  Schema.makeFilter((name) =>
    known.has(name) || `no cipher suite by this IANA name is offered; these are: ${knownCipherSuites.join(", ")}`
  )
)

export const ClientTls = Schema.Struct({
  enabled: Schema.Boolean.pipe(Schema.withDecodingDefaultKey(Effect.succeed(true))),
  /** File with the CA certificates that the other side's must be signed by; the system's own when absent. */
  caCert: opt(Schema.String),
  /** The same in base64, in place of a file. */
  caCertData: opt(Schema.String),
  cert: opt(Schema.String),
  certData: opt(Schema.String),
  key: opt(Schema.String),
  keyData: opt(Schema.String),
  /** The name the certificate must have, where it is not the endpoint's host. */
  serverName: opt(Schema.String),
  /** IANA names; those of TLS 1.2 alone allow TLS 1.2 alone, and likewise 1.3. All that are offered when absent. */
  cipherSuites: opt(
    Schema.Array(CipherSuite).check(
      Schema.makeFilter((suites) =>
        suites.length > 0 || "name at least one, or leave the key out: then all are offered"
      )
    )
  ),
  /** Offers X25519MLKEM768 as well: 2.3 KB more in each handshake. */
  hybridKeyExchange: opt(Schema.Boolean),
  insecureSkipVerify: refused(
    "verification cannot be switched off: put the authority that signed the certificate into caCert, and its name into serverName"
  ),
  keyLogFile: refused(
    "keys of connections are never written down: remove it, and look at what is said with log level debug"
  ),
  allowInsecureHashes: refused(
    "certificates signed by way of MD5 or SHA-1 prove nothing: have them signed anew, and remove this"
  ),
  preSharedKey: refused(
    "pre-shared keys of TLS are not supported: use certificates, the link proves the device's own key in any case"
  ),
  verifyClientCert: refused("it is a setting of servers, and this side is the client: remove it")
})
export type ClientTls = typeof ClientTls.Type

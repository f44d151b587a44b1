/** Server credentials whose certificate can be exchanged while the server runs. */
import { ServerCredentials } from "@grpc/grpc-js"
import { Effect } from "effect"
import { createSecureContext, type SecureContextOptions } from "node:tls"

/** PEM. */
export interface ServerIdentity {
  readonly key: Uint8Array
  readonly cert: Uint8Array
  /** Authorities of client certificates: with them a client must show one. */
  readonly clientCa?: Uint8Array
}

const contextOf = ({ cert, clientCa, key }: ServerIdentity): SecureContextOptions => ({
  key: Buffer.from(key),
  cert: Buffer.from(cert),
  ...(clientCa === undefined ? {} : { ca: Buffer.from(clientCa) })
})

export class RenewableCredentials extends ServerCredentials {
  /** Throws what OpenSSL says of a key or certificate that it cannot use. */
  constructor(identity: ServerIdentity) {
    const asks = identity.clientCa !== undefined
    createSecureContext(contextOf(identity))
    super({ requestCert: asks, rejectUnauthorized: asks, minVersion: "TLSv1.2" }, contextOf(identity))
  }

  /** For connections from now on. An unusable certificate is logged and the present one stays. */
  renew(identity: ServerIdentity): Effect.Effect<void> {
    return Effect.try({
      try: () => {
        createSecureContext(contextOf(identity))
        this.updateSecureContextOptions(contextOf(identity))
      },
      catch: (cause) => cause instanceof Error ? cause.message : "unknown"
    }).pipe(
      Effect.catch((detail) => Effect.logError(`the new certificate of the gRPC listener is unusable: ${detail}`))
    )
  }

  override _equals(other: ServerCredentials): boolean {
    return other === this
  }
}

/** The port that reads and signs certificate requests with the cluster's CA. */
import { Context, type Effect, Schema } from "effect"

export class MalformedCertificateRequest
  extends Schema.TaggedError<MalformedCertificateRequest>()("MalformedCertificateRequest", {
    why: Schema.String
  })
{
  override get message() {
    return `the certificate request cannot be read: ${this.why}`
  }
}

export interface RequestedCertificate {
  readonly commonName: string
  readonly organizations: ReadonlyArray<string>
  readonly dns: ReadonlyArray<string>
  readonly ips: ReadonlyArray<string>
  readonly emails: ReadonlyArray<string>
  readonly uris: ReadonlyArray<string>
}

export class CertificateSigner extends Context.Service<CertificateSigner, {
  /** What a PEM PKCS#10 request asks for, once its own signature is found right. */
  readonly inspect: (pem: string) => Effect.Effect<RequestedCertificate, MalformedCertificateRequest>
  /** The issued certificate, PEM; times in milliseconds since the epoch. */
  readonly sign: (pem: string, grant: {
    readonly server: boolean
    readonly client: boolean
    readonly notBefore: number
    readonly notAfter: number
  }) => Effect.Effect<string, MalformedCertificateRequest>
}>()("aranya/plane/CertificateSigner") {}

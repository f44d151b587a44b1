/** The port to a maker of private keys and of what is signed with them. Keys never come from a random source that a seed can replay. */
import { Context, type Duration, type Effect, Schema } from "effect"
import type { ServingCertificate } from "./ServingCertificate.ts"

export class KeyMakerError extends Schema.TaggedError<KeyMakerError>()("KeyMakerError", { detail: Schema.String }) {
  override get message() {
    return this.detail
  }
}

export interface CertificateSubject {
  readonly commonName: string
  readonly organizations: ReadonlyArray<string>
  readonly organizationalUnit?: string | undefined
  /** Two letters, ISO 3166. */
  readonly country?: string | undefined
  readonly state?: string | undefined
  readonly locality?: string | undefined
}

/** What a client may call the server. */
export interface ServerNames {
  readonly dns: ReadonlyArray<string>
  readonly ips: ReadonlyArray<string>
}

export class KeyMaker extends Context.Service<KeyMaker, {
  /** A new key, and a request (PEM of PKCS#10) to certify it. */
  readonly request: (
    subject: CertificateSubject,
    names: ServerNames
  ) => Effect.Effect<{ readonly request: string; readonly privateKey: string }, KeyMakerError>
  /** A new key whose certificate an authority of our own has signed, made for this certificate and forgotten. */
  readonly selfSigned: (
    subject: CertificateSubject,
    names: ServerNames,
    lifetime: Duration.Duration
  ) => Effect.Effect<ServingCertificate, KeyMakerError>
  /** When a certificate (the first of a PEM) is valid: milliseconds since the epoch. */
  readonly validity: (
    certificate: string
  ) => Effect.Effect<{ readonly notBefore: number; readonly notAfter: number }, KeyMakerError>
}>()("aranya/kubelet/KeyMaker") {}

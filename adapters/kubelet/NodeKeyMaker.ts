/** Keys and certificates by node:crypto: P-256, which every client of a kubelet speaks. */
import { Clock, Duration, Effect, Layer } from "effect"
import { X509Certificate } from "node:crypto"
import { KeyMaker, KeyMakerError } from "../../core/kubelet/KeyMaker.ts"
import { createAuthority, createLeaf, createRequest } from "../x509/certificate.ts"

/** As the cluster's signer does: clocks differ. */
const BACKDATED = Duration.minutes(5)

const attempt = <A>(what: string, make: () => A): Effect.Effect<A, KeyMakerError> =>
  Effect.try({
    try: make,
    catch: (cause) =>
      new KeyMakerError({ detail: `${what}: ${cause instanceof Error ? cause.message : String(cause)}` })
  })

export const layer: Layer.Layer<KeyMaker> = Layer.succeed(
  KeyMaker,
  KeyMaker.of({
    request: (subject, names) =>
      attempt("a certificate request cannot be made", () => {
        const { key, request } = createRequest(subject, names)
        return { request, privateKey: key }
      }),
    selfSigned: (subject, names, lifetime) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) =>
        attempt("a certificate cannot be made", () => {
          const notBefore = new Date(now - Duration.toMillis(BACKDATED))
          const notAfter = new Date(now + Duration.toMillis(lifetime))
          const authority = createAuthority("aranya kubelet serving", notBefore, notAfter)
          const leaf = createLeaf(authority, { subject, names, purposes: ["server auth"], notBefore, notAfter })
          return { certificate: `${leaf.certificate}${authority.certificate}`, privateKey: leaf.key }
        })),
    validity: (certificate) =>
      attempt("a certificate cannot be read", () => {
        const { validFromDate, validToDate } = new X509Certificate(certificate)
        return { notBefore: validFromDate.getTime(), notAfter: validToDate.getTime() }
      })
  })
)

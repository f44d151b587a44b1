/** Signs approved CertificateSigningRequests of the built-in signers, under each signer's own rules. */
import { Effect } from "effect"
import { numberAt, objectsAt, stringAt, stringsAt, withAt } from "../object/json.ts"
import { type KubeObject, nameOf } from "../object/KubeObject.ts"
import { moment, timestamp } from "../object/Moment.ts"
import { withCondition } from "../request/podSubresources.ts"
import { change } from "./acting.ts"
import { CertificateSigner, type RequestedCertificate } from "./CertificateSigner.ts"
import { controller } from "./controller.ts"

const collection = "certificatesigningrequests.certificates.k8s.io"
const dayMillis = 24 * 3600 * 1000
const longest = 365 * dayMillis
/** Forgives clocks that run behind. */
const backdate = 5 * 60 * 1000

const signers: Readonly<Record<string, "server" | "client">> = {
  "kubernetes.io/kubelet-serving": "server",
  "kubernetes.io/kube-apiserver-client-kubelet": "client",
  "kubernetes.io/kube-apiserver-client": "client"
}

const allowed = (usages: ReadonlyArray<string>, purpose: string): boolean =>
  usages.includes("digital signature") && usages.includes(purpose) &&
  usages.every((usage) => ["digital signature", "key encipherment", purpose].includes(usage))

/** Why the signer refuses the request; undefined if it does not. */
export const refusalOf = (
  signer: string,
  usages: ReadonlyArray<string>,
  wanted: RequestedCertificate
): string | undefined => {
  const isNode = wanted.organizations.length === 1 && wanted.organizations[0] === "system:nodes" &&
    wanted.commonName.startsWith("system:node:")
  const names = wanted.dns.length + wanted.ips.length
  switch (signer) {
    case "kubernetes.io/kubelet-serving":
      if (wanted.organizations.length !== 1 || wanted.organizations[0] !== "system:nodes") {
        return "organization in subject must be exactly [system:nodes]"
      }
      if (!wanted.commonName.startsWith("system:node:")) return "subject common name must begin with \"system:node:\""
      if (names === 0) return "requires at least one DNS or IP subjectAltName"
      if (wanted.emails.length > 0) return "email subjectAltNames are not allowed"
      if (wanted.uris.length > 0) return "URI subjectAltNames are not allowed"
      return allowed(usages, "server auth")
        ? undefined
        : "usages did not match [digital signature, server auth] or [digital signature, key encipherment, server auth]"
    case "kubernetes.io/kube-apiserver-client-kubelet":
      if (!isNode) return "subject must be O=system:nodes, CN=system:node:<name>"
      if (names + wanted.emails.length + wanted.uris.length > 0) return "subjectAltNames are not allowed"
      return allowed(usages, "client auth") ? undefined : "usages did not match [digital signature, client auth]"
    default:
      return allowed(usages, "client auth") ? undefined : "usages did not match [digital signature, client auth]"
  }
}

const has = (csr: KubeObject, type: string) =>
  objectsAt(csr, "status", "conditions").some((condition) => stringAt(condition, "type") === type)

export const certificateSigning = controller<CertificateSigner>({
  name: "certificate-signing",
  watches: [{ collection, keys: ({ type, revision }) => type === "DELETED" ? [] : [nameOf(revision.object)] }],
  reconcile: Effect.fnUntraced(function*(world, name) {
    const csr = world.store.get(collection, "", name)?.object
    const signerName = stringAt(csr, "spec", "signerName") ?? ""
    const purpose = Object.hasOwn(signers, signerName) ? signers[signerName] : undefined
    if (
      csr === undefined || purpose === undefined || !has(csr, "Approved") || has(csr, "Denied") || has(csr, "Failed")
    ) return
    if (stringAt(csr, "status", "certificate") !== undefined) return
    const signer = yield* CertificateSigner
    const { now } = yield* moment
    const pem = atob(stringAt(csr, "spec", "request") ?? "")
    const asked = numberAt(csr, "spec", "expirationSeconds")
    const lifetime = Math.min(longest, asked === undefined ? longest : Math.max(600, asked) * 1000)
    const outcome = yield* Effect.gen(function*() {
      const wanted = yield* signer.inspect(pem)
      const why = refusalOf(signerName, stringsAt(csr, "spec", "usages"), wanted)
      if (why !== undefined) return { why }
      const grant = {
        server: purpose === "server",
        client: purpose === "client",
        notBefore: now - backdate,
        notAfter: now + lifetime
      }
      return { certificate: yield* signer.sign(pem, grant) }
    }).pipe(Effect.catchTag("MalformedCertificateRequest", (error) => Effect.succeed({ why: error.message })))
    yield* change(world, collection, csr, "status", (current) => {
      if ("certificate" in outcome) return withAt(current, ["status", "certificate"], btoa(outcome.certificate))
      const condition = {
        type: "Failed",
        status: "True",
        reason: "SignerValidationFailure",
        message: outcome.why,
        lastUpdateTime: timestamp(now)
      }
      return withCondition(current, condition, now)
    })
  })
})

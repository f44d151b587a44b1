/** The crypto behind the embedded control plane: its CA, its token key, and the signer ports on node:crypto. */
import { Effect, Layer, Result } from "effect"
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto"
import { createAuthority, createLeaf, type KeyPair, readRequest, signRequest } from "../../../x509/certificate.ts"
import { TokenSigner } from "../authority/TokenSigner.ts"
import { CertificateSigner, MalformedCertificateRequest } from "../controller/CertificateSigner.ts"
import { isObject, type Json, type JsonObject } from "../object/json.ts"

const dayMillis = 24 * 3600 * 1000

export interface Authority {
  readonly ca: KeyPair
  /** HMAC key of service account tokens. */
  readonly tokenKey: Uint8Array
}

export const newAuthority = (now: number): Authority => ({
  ca: createAuthority("kubernetes", new Date(now - 300_000), new Date(now + 3650 * dayMillis)),
  tokenKey: randomBytes(32)
})

const serving = [
  "kubernetes",
  "kubernetes.default",
  "kubernetes.default.svc",
  "kubernetes.default.svc.cluster.local",
  "localhost"
]

export const servingCertificate = ({ ca }: Authority, now: number, ips: ReadonlyArray<string>): KeyPair =>
  createLeaf(ca, {
    subject: { commonName: "kube-apiserver" },
    names: { dns: serving, ips: [...new Set(["127.0.0.1", "::1", "10.96.0.1", ...ips])] },
    purposes: ["server auth"],
    notBefore: new Date(now - 300_000),
    notAfter: new Date(now + 365 * dayMillis)
  })

export const clientCertificate = (
  { ca }: Authority,
  now: number,
  commonName: string,
  organizations: ReadonlyArray<string> = []
): KeyPair =>
  createLeaf(ca, {
    subject: { commonName, organizations },
    purposes: ["client auth"],
    notBefore: new Date(now - 300_000),
    notAfter: new Date(now + 365 * dayMillis)
  })

const part = (value: JsonObject): string => Buffer.from(JSON.stringify(value)).toString("base64url")

const parsePart = (text: string | undefined): Json | undefined =>
  Result.getOrUndefined(Result.try({
    try: (): Json => JSON.parse(Buffer.from(text ?? "", "base64url").toString("utf8")),
    catch: () => undefined
  }))

/** HS256: signer and verifier are the same process, so one secret is enough. */
export const layerTokenSigner = ({ tokenKey }: Authority): Layer.Layer<TokenSigner> => {
  const mac = (text: string) => createHmac("sha256", tokenKey).update(text).digest()
  return Layer.succeed(TokenSigner, {
    sign: (claims) =>
      Effect.sync(() => {
        const text = `${part({ alg: "HS256", typ: "JWT" })}.${part(claims)}`
        return `${text}.${mac(text).toString("base64url")}`
      }),
    verify: (token) =>
      Effect.sync(() => {
        const [header, claims, signature, ...more] = token.split(".")
        if (header === undefined || claims === undefined || signature === undefined || more.length > 0) return undefined
        const given = Buffer.from(signature, "base64url")
        const expected = mac(`${header}.${claims}`)
        if (given.length !== expected.length || !timingSafeEqual(given, expected)) return undefined
        const parsed = parsePart(claims)
        return isObject(parsed) ? parsed : undefined
      })
  })
}

const malformed = (error: unknown) =>
  new MalformedCertificateRequest({ why: error instanceof Error ? error.message : String(error) })

export const layerCertificateSigner = ({ ca }: Authority): Layer.Layer<CertificateSigner> =>
  Layer.succeed(CertificateSigner, {
    inspect: (pem) =>
      Effect.try({
        try: () => {
          const { subject, names } = readRequest(pem)
          return { ...subject, ...names }
        },
        catch: malformed
      }),
    sign: (pem, { server, client, notBefore, notAfter }) =>
      Effect.try({
        try: () =>
          signRequest(ca, readRequest(pem), {
            purposes: [...server ? ["server auth" as const] : [], ...client ? ["client auth" as const] : []],
            notBefore: new Date(notBefore),
            notAfter: new Date(notAfter)
          }),
        catch: malformed
      })
  })

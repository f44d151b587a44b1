/** Certificate authorities, leaf certificates and PKCS#10 requests on P-256 keys (RFC 5280, RFC 2986). */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
  verify
} from "node:crypto"
import {
  bits,
  children,
  context,
  MalformedDer,
  objectIdentifier,
  octets,
  pem,
  read,
  readObjectIdentifier,
  sequence,
  set,
  tagged,
  time,
  unpem
} from "./der.ts"
import {
  type AlternativeNames,
  basicConstraints,
  decodeAlternativeNames,
  type DecodedSubject,
  decodeSubject,
  encodeAlternativeNames,
  encodeSubject,
  extendedKeyUsage,
  extension,
  keyUsage,
  noNames,
  oid,
  serial,
  signatureAlgorithm,
  type Subject,
  version
} from "./names.ts"

/** A certificate and the key that belongs to it, both PEM. */
export interface KeyPair {
  readonly certificate: string
  readonly key: string
}

export type Purpose = "server auth" | "client auth"

export interface Leaf {
  readonly subject: Subject
  readonly names?: Partial<AlternativeNames>
  readonly purposes: ReadonlyArray<Purpose>
  readonly notBefore: Date
  readonly notAfter: Date
}

const newKey = () => {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" })
  return { privateKey, publicKey, key: privateKey.export({ type: "pkcs8", format: "pem" }).toString() }
}

const publicDer = (key: KeyObject): Uint8Array => key.export({ type: "spki", format: "der" })

/** SHA-1 of the key's bits, as RFC 5280 4.2.1.2 suggests; an identifier, not a protection. */
const keyIdentifier = (spki: Uint8Array): Uint8Array => {
  const bitString = children(read(spki))[1]
  if (bitString === undefined) throw new MalformedDer("a public key is incomplete")
  return createHash("sha1").update(bitString.value.subarray(1)).digest()
}

const signed = (body: Uint8Array, key: KeyObject): Uint8Array =>
  sequence(body, signatureAlgorithm, bits(sign("sha256", body, key)))

interface Fields {
  readonly issuer: Uint8Array
  readonly subject: Uint8Array
  readonly notBefore: Date
  readonly notAfter: Date
  readonly spki: Uint8Array
  readonly extensions: ReadonlyArray<Uint8Array>
}

const certificateDer = (fields: Fields, key: KeyObject): Uint8Array =>
  signed(
    sequence(
      context(0, version(2)),
      serial(randomBytes(16)),
      signatureAlgorithm,
      fields.issuer,
      sequence(time(fields.notBefore), time(fields.notAfter)),
      fields.subject,
      fields.spki,
      context(3, sequence(...fields.extensions))
    ),
    key
  )

/** A self-signed authority. */
export const createAuthority = (commonName: string, notBefore: Date, notAfter: Date): KeyPair => {
  const { privateKey, publicKey, key } = newKey()
  const spki = publicDer(publicKey)
  const name = encodeSubject({ commonName })
  const extensions = [
    basicConstraints(true),
    keyUsage(0, 5, 6),
    extension(oid.subjectKeyIdentifier, octets(keyIdentifier(spki)))
  ]
  const der = certificateDer({ issuer: name, subject: name, notBefore, notAfter, spki, extensions }, privateKey)
  return { certificate: pem("CERTIFICATE", der), key }
}

/** Subject and public key of a certificate, as DER. */
const partsOf = (certificate: string): { readonly subject: Uint8Array; readonly spki: Uint8Array } => {
  const der = unpem("CERTIFICATE", certificate)
  const body = der === undefined ? undefined : children(read(der))[0]
  const fields = body === undefined ? [] : children(body)
  const subject = fields[5]
  const spki = fields[6]
  if (subject === undefined || spki === undefined) throw new MalformedDer("this is no certificate")
  return { subject: subject.whole, spki: spki.whole }
}

const issue = (authority: KeyPair, leaf: Leaf, spki: Uint8Array): string => {
  const issuer = partsOf(authority.certificate)
  const names = { ...noNames, ...leaf.names }
  const named = names.dns.length + names.ips.length + names.emails.length + names.uris.length > 0
  const purposes = leaf.purposes.map((purpose) => purpose === "server auth" ? oid.serverAuth : oid.clientAuth)
  const extensions = [
    basicConstraints(false),
    keyUsage(0),
    ...purposes.length > 0 ? [extendedKeyUsage(...purposes)] : [],
    extension(oid.authorityKeyIdentifier, sequence(tagged(0, keyIdentifier(issuer.spki)))),
    ...named ? [extension(oid.subjectAltName, encodeAlternativeNames(names))] : []
  ]
  const { notBefore, notAfter } = leaf
  const fields = { issuer: issuer.subject, subject: encodeSubject(leaf.subject), notBefore, notAfter, spki, extensions }
  return pem("CERTIFICATE", certificateDer(fields, createPrivateKey(authority.key)))
}

/** A new key with a certificate of the authority. */
export const createLeaf = (authority: KeyPair, leaf: Leaf): KeyPair => {
  const { publicKey, key } = newKey()
  return { certificate: issue(authority, leaf, publicDer(publicKey)), key }
}

export interface CertificateRequest {
  readonly subject: DecodedSubject
  readonly names: AlternativeNames
  /** SubjectPublicKeyInfo. */
  readonly spki: Uint8Array
}

/** A new key and a PKCS#10 request for it. */
export const createRequest = (
  subject: Subject,
  names: Partial<AlternativeNames> = {}
): { readonly request: string; readonly key: string } => {
  const { privateKey, publicKey, key } = newKey()
  const all = { ...noNames, ...names }
  const extensions = sequence(extension(oid.subjectAltName, encodeAlternativeNames(all)))
  const wanted = all.dns.length + all.ips.length + all.emails.length + all.uris.length === 0
    ? context(0)
    : context(0, sequence(objectIdentifier(oid.extensionRequest), set(extensions)))
  const body = sequence(version(0), encodeSubject(subject), publicDer(publicKey), wanted)
  return { request: pem("CERTIFICATE REQUEST", signed(body, privateKey)), key }
}

const requestedNames = (attributes: Uint8Array): AlternativeNames => {
  for (const entry of children(read(attributes))) {
    const [type, values] = children(entry)
    if (type === undefined || values === undefined || readObjectIdentifier(type) !== oid.extensionRequest) continue
    for (const list of children(values)) {
      for (const each of children(list)) {
        const parts = children(each)
        const id = parts[0]
        const value = parts.at(-1)
        if (id !== undefined && value !== undefined && readObjectIdentifier(id) === oid.subjectAltName) {
          return decodeAlternativeNames(value.value)
        }
      }
    }
  }
  return noNames
}

/** Reads a request and checks that its sender holds the key; throws MalformedDer otherwise. */
export const readRequest = (text: string): CertificateRequest => {
  const der = unpem("CERTIFICATE REQUEST", text)
  if (der === undefined) throw new MalformedDer("there is no CERTIFICATE REQUEST block")
  const [body, , signature] = children(read(der))
  const [, subject, spki, attributes] = body === undefined ? [] : children(body)
  if (body === undefined || signature === undefined || subject === undefined || spki === undefined) {
    throw new MalformedDer("the certificate request is incomplete")
  }
  const key = createPublicKey({ key: Buffer.from(spki.whole), format: "der", type: "spki" })
  if (!verify("sha256", body.whole, key, signature.value.subarray(1))) {
    throw new MalformedDer("the certificate request is not signed by its own key")
  }
  return {
    subject: decodeSubject(subject),
    names: attributes === undefined ? noNames : requestedNames(attributes.whole),
    spki: spki.whole
  }
}

/** Grants a request: subject, names and key are the requester's, the rest the authority's decision. */
export const signRequest = (
  authority: KeyPair,
  request: CertificateRequest,
  grant: Pick<Leaf, "purposes" | "notBefore" | "notAfter">
): string => issue(authority, { ...grant, subject: request.subject, names: request.names }, request.spki)

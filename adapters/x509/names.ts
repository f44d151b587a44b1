/** Distinguished names, subject alternative names and the other parts that requests and certificates share. */
import { isIPv4, isIPv6 } from "node:net"
import {
  bits,
  boolean,
  children,
  element,
  integer,
  MalformedDer,
  type Node,
  objectIdentifier,
  octets,
  read,
  readObjectIdentifier,
  sequence,
  set,
  tagged,
  utf8
} from "./der.ts"

export interface Subject {
  readonly commonName: string
  readonly organizations?: ReadonlyArray<string>
  readonly organizationalUnit?: string | undefined
  /** Two letters, ISO 3166. */
  readonly country?: string | undefined
  readonly state?: string | undefined
  readonly locality?: string | undefined
}

/** A subject as it was read: without organizations the list is empty. */
export type DecodedSubject = Subject & Required<Pick<Subject, "organizations">>

export interface AlternativeNames {
  readonly dns: ReadonlyArray<string>
  readonly ips: ReadonlyArray<string>
  readonly emails: ReadonlyArray<string>
  readonly uris: ReadonlyArray<string>
}

export const noNames: AlternativeNames = { dns: [], ips: [], emails: [], uris: [] }

export const oid = {
  commonName: "2.5.4.3",
  country: "2.5.4.6",
  locality: "2.5.4.7",
  state: "2.5.4.8",
  organization: "2.5.4.10",
  organizationalUnit: "2.5.4.11",
  subjectAltName: "2.5.29.17",
  basicConstraints: "2.5.29.19",
  keyUsage: "2.5.29.15",
  extendedKeyUsage: "2.5.29.37",
  subjectKeyIdentifier: "2.5.29.14",
  authorityKeyIdentifier: "2.5.29.35",
  serverAuth: "1.3.6.1.5.5.7.3.1",
  clientAuth: "1.3.6.1.5.5.7.3.2",
  extensionRequest: "1.2.840.113549.1.9.14",
  ecdsaWithSha256: "1.2.840.10045.4.3.2"
} as const

const attribute = (type: string, value: Uint8Array) => set(sequence(objectIdentifier(type), value))

/** A country is a PrintableString by X.520; everything else may hold any letters. */
const printable = (text: string) => element(0x13, Buffer.from(text, "latin1"))

/** The order of a directory's tree, as `openssl req` writes it. */
export const encodeSubject = (subject: Subject): Uint8Array => {
  const { commonName, country, locality, organizationalUnit, organizations = [], state } = subject
  const texts: ReadonlyArray<readonly [string, string | undefined]> = [
    [oid.state, state],
    [oid.locality, locality],
    ...organizations.map((organization) => [oid.organization, organization] as const),
    [oid.organizationalUnit, organizationalUnit],
    [oid.commonName, commonName]
  ]
  return sequence(
    ...country === undefined || country === "" ? [] : [attribute(oid.country, printable(country))],
    ...texts.flatMap(([type, text]) => text === undefined || text === "" ? [] : [attribute(type, utf8(text))])
  )
}

const single: Readonly<Record<string, "country" | "state" | "locality" | "organizationalUnit">> = {
  [oid.country]: "country",
  [oid.state]: "state",
  [oid.locality]: "locality",
  [oid.organizationalUnit]: "organizationalUnit"
}

export const decodeSubject = (node: Node): DecodedSubject => {
  let commonName = ""
  const organizations: Array<string> = []
  const others: { [field in "country" | "state" | "locality" | "organizationalUnit"]?: string } = {}
  for (const relative of children(node)) {
    for (const pair of children(relative)) {
      const [type, value] = children(pair)
      if (type === undefined || value === undefined) throw new MalformedDer("a name attribute is incomplete")
      const text = Buffer.from(value.value).toString("utf8")
      const id = readObjectIdentifier(type)
      if (id === oid.commonName) commonName = text
      if (id === oid.organization) organizations.push(text)
      const field = single[id]
      if (field !== undefined) others[field] = text
    }
  }
  return { commonName, organizations, ...others }
}

const ipv6Bytes = (text: string): ReadonlyArray<number> => {
  const [head = "", tail] = text.split("::")
  const groups = (part: string) =>
    part === "" ? [] : part.split(":").flatMap((group) => {
      if (group.includes(".")) return group.split(".").map(Number)
      const value = Number.parseInt(group, 16)
      return [value >> 8, value & 255]
    })
  const left = groups(head)
  const right = tail === undefined ? [] : groups(tail)
  return [...left, ...new Array<number>(16 - left.length - right.length).fill(0), ...right]
}

const ipBytes = (text: string): Uint8Array => {
  if (isIPv4(text)) return Uint8Array.from(text.split(".").map(Number))
  if (isIPv6(text)) return Uint8Array.from(ipv6Bytes(text))
  throw new MalformedDer(`${text} is not an IP address`)
}

const ipText = (bytes: Uint8Array): string => {
  if (bytes.length === 4) return bytes.join(".")
  const groups: Array<string> = []
  for (let i = 0; i + 1 < bytes.length; i += 2) groups.push((((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0)).toString(16))
  return groups.join(":")
}

export const encodeAlternativeNames = ({ dns, ips, emails, uris }: AlternativeNames): Uint8Array =>
  sequence(
    ...emails.map((name) => tagged(1, Buffer.from(name))),
    ...dns.map((name) => tagged(2, Buffer.from(name))),
    ...uris.map((name) => tagged(6, Buffer.from(name))),
    ...ips.map((ip) => tagged(7, ipBytes(ip)))
  )

export const decodeAlternativeNames = (der: Uint8Array): AlternativeNames => {
  const names = {
    dns: [] as Array<string>,
    ips: [] as Array<string>,
    emails: [] as Array<string>,
    uris: [] as Array<string>
  }
  for (const { tag, value } of children(read(der))) {
    if (tag === 0x81) names.emails.push(Buffer.from(value).toString())
    else if (tag === 0x82) names.dns.push(Buffer.from(value).toString())
    else if (tag === 0x86) names.uris.push(Buffer.from(value).toString())
    else if (tag === 0x87) names.ips.push(ipText(value))
  }
  return names
}

export const extension = (id: string, value: Uint8Array, critical = false): Uint8Array =>
  sequence(objectIdentifier(id), ...critical ? [boolean(true)] : [], octets(value))

/** Bits from the most significant on: 0 digitalSignature, 2 keyEncipherment, 5 keyCertSign, 6 cRLSign. */
export const keyUsage = (...usages: ReadonlyArray<number>): Uint8Array => {
  const byte = usages.reduce((all, bit) => all | (0x80 >> bit), 0)
  return extension(oid.keyUsage, bits(Uint8Array.of(byte), 7 - Math.max(...usages)), true)
}

export const extendedKeyUsage = (...ids: ReadonlyArray<string>): Uint8Array =>
  extension(oid.extendedKeyUsage, sequence(...ids.map(objectIdentifier)))

export const basicConstraints = (isAuthority: boolean): Uint8Array =>
  extension(oid.basicConstraints, isAuthority ? sequence(boolean(true)) : sequence(), true)

/** A random positive 127-bit serial. */
export const serial = (random: Uint8Array): Uint8Array =>
  integer(Uint8Array.from([0x40 | ((random[0] ?? 0) & 0x3f), ...random.subarray(1)]))

export const signatureAlgorithm = sequence(objectIdentifier(oid.ecdsaWithSha256))
export const version = (number: number) => element(0x02, Uint8Array.of(number))

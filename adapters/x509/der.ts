/** DER (X.690): the few types X.509 needs, written and read. */
export interface Node {
  readonly tag: number
  /** Contents without tag and length. */
  readonly value: Uint8Array
  /** The whole element. */
  readonly whole: Uint8Array
}

export class MalformedDer extends Error {
  override readonly name = "MalformedDer"
}

const length = (size: number): ReadonlyArray<number> => {
  if (size < 0x80) return [size]
  const bytes: Array<number> = []
  for (let rest = size; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest & 255)
  return [0x80 | bytes.length, ...bytes]
}

export const element = (tag: number, ...parts: ReadonlyArray<Uint8Array>): Uint8Array =>
  Buffer.concat([Uint8Array.from([tag, ...length(parts.reduce((sum, part) => sum + part.length, 0))]), ...parts])

export const sequence = (...parts: ReadonlyArray<Uint8Array>) => element(0x30, ...parts)
export const set = (...parts: ReadonlyArray<Uint8Array>) => element(0x31, ...parts)
/** `[n]`, constructed. */
export const context = (number: number, ...parts: ReadonlyArray<Uint8Array>) => element(0xa0 | number, ...parts)
/** `[n] IMPLICIT` of a primitive type. */
export const tagged = (number: number, value: Uint8Array) => element(0x80 | number, value)
export const octets = (value: Uint8Array) => element(0x04, value)
export const utf8 = (text: string) => element(0x0c, Buffer.from(text))
export const bits = (value: Uint8Array, unused = 0) => element(0x03, Uint8Array.of(unused), value)
export const boolean = (value: boolean) => element(0x01, Uint8Array.of(value ? 0xff : 0))

/** A positive number given as big-endian bytes. */
export const integer = (bytes: Uint8Array): Uint8Array => {
  let start = 0
  while (start < bytes.length - 1 && bytes[start] === 0) start += 1
  const trimmed = bytes.subarray(start)
  return (trimmed[0] ?? 0) >= 0x80 ? element(0x02, Uint8Array.of(0), trimmed) : element(0x02, trimmed)
}

export const objectIdentifier = (text: string): Uint8Array => {
  const [first = 0, second = 0, ...rest] = text.split(".").map(Number)
  const bytes = [first * 40 + second]
  for (const part of rest) {
    const groups = [part & 127]
    for (let left = Math.floor(part / 128); left > 0; left = Math.floor(left / 128)) groups.unshift((left & 127) | 128)
    bytes.push(...groups)
  }
  return element(0x06, Uint8Array.from(bytes))
}

/** UTCTime until 2049, GeneralizedTime after, as RFC 5280 asks. */
export const time = (date: Date): Uint8Array => {
  const text = date.toISOString().replace(/[-:T]/g, "").slice(0, 14)
  return date.getUTCFullYear() < 2050
    ? element(0x17, Buffer.from(`${text.slice(2)}Z`))
    : element(0x18, Buffer.from(`${text}Z`))
}

/** Reads one element at an offset; every length is checked against what is there. */
export const readAt = (bytes: Uint8Array, offset: number): readonly [node: Node, next: number] => {
  const tag = bytes[offset]
  const first = bytes[offset + 1]
  if (tag === undefined || first === undefined) throw new MalformedDer("the DER ends in the middle of an element")
  let size = first
  let start = offset + 2
  if (first >= 0x80) {
    const count = first & 0x7f
    if (count === 0 || count > 4) throw new MalformedDer("a DER length is indefinite or too long")
    size = 0
    for (let i = 0; i < count; i++) size = size * 256 + (bytes[start + i] ?? 0)
    start += count
  }
  const end = start + size
  if (end > bytes.length) throw new MalformedDer("a DER element is longer than its surroundings")
  return [{ tag, value: bytes.subarray(start, end), whole: bytes.subarray(offset, end) }, end]
}

export const read = (bytes: Uint8Array): Node => {
  const [node, end] = readAt(bytes, 0)
  if (end !== bytes.length) throw new MalformedDer("something follows the DER element")
  return node
}

export const children = (node: Node): ReadonlyArray<Node> => {
  const found: Array<Node> = []
  for (let offset = 0; offset < node.value.length;) {
    const [child, next] = readAt(node.value, offset)
    found.push(child)
    offset = next
  }
  return found
}

export const readObjectIdentifier = ({ tag, value }: Node): string => {
  if (tag !== 0x06 || value.length === 0) throw new MalformedDer("an object identifier was expected")
  const first = value[0] ?? 0
  const parts = [Math.min(2, Math.floor(first / 40)), first - 40 * Math.min(2, Math.floor(first / 40))]
  let current = 0
  for (const byte of value.subarray(1)) {
    current = current * 128 + (byte & 127)
    if (byte < 128) {
      parts.push(current)
      current = 0
    }
  }
  return parts.join(".")
}

export const pem = (label: string, der: Uint8Array): string =>
  `-----BEGIN ${label}-----\n${
    (Buffer.from(der).toString("base64").match(/.{1,64}/g) ?? []).join("\n")
  }\n-----END ${label}-----\n`

/** The first block of the label; undefined if there is none. */
export const unpem = (label: string, text: string): Uint8Array | undefined => {
  const match = new RegExp(`-----BEGIN ${label}-----([A-Za-z0-9+/=\\s]*)-----END ${label}-----`).exec(text)
  return match?.[1] === undefined ? undefined : Buffer.from(match[1], "base64")
}

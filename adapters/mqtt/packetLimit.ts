/**
 * Keeps what a broker sends within bounds before anything assembles it: a PUBLISH that is too large goes on without its payload, so
 * that it can be acknowledged and forgotten; anything else of that size ends the connection.
 */

/** MQTT's control packet type of PUBLISH, in the upper half of the first byte. */
const publish = 3
/** A remaining length has at most this many bytes (MQTT 5, 1.5.5). */
const lengthBytes = 4

const varint = (value: number): ReadonlyArray<number> => {
  const bytes: Array<number> = []
  let rest = value
  do {
    const low = rest % 128
    rest = Math.floor(rest / 128)
    bytes.push(rest > 0 ? low | 0x80 : low)
  } while (rest > 0)
  return bytes
}

export class BadPacket extends Error {}

export interface PacketLimit {
  /** What of these bytes goes on; throws BadPacket for what cannot be MQTT or is too large to be of use. */
  readonly pass: (chunk: Buffer) => ReadonlyArray<Buffer>
}

/** `most`: bytes after a packet's fixed header. */
export const makePacketLimit = (most: number, version: "3.1.1" | "5"): PacketLimit => {
  let header: Array<number> = []
  /** Bytes of the present packet that go on, or that do not. */
  let passing = 0
  let skipping = 0
  /** The beginning of a PUBLISH that is too large, up to its payload. */
  let head: { readonly first: number; readonly remaining: number; bytes: Buffer } | undefined

  /** Topic and packet id, once all of it is there. */
  const beheaded = (): Buffer | undefined => {
    if (head === undefined || head.bytes.length < 2) return undefined
    const quality = (head.first >>> 1) & 3
    const length = 2 + head.bytes.readUInt16BE(0) + (quality > 0 ? 2 : 0)
    if (length > head.remaining) throw new BadPacket("the broker sent a PUBLISH that ends within its topic")
    if (head.bytes.length < length) return undefined
    const properties = version === "5" ? [0] : []
    const whole = Buffer.concat([
      Buffer.from([head.first, ...varint(length + properties.length)]),
      head.bytes.subarray(0, length),
      Buffer.from(properties)
    ])
    skipping = head.remaining - head.bytes.length
    head = undefined
    return whole
  }

  /** The first byte and the length after it; returns whether they are whole. */
  const begins = (byte: number): boolean => {
    header.push(byte)
    if (header.length === 1 || byte >= 0x80) {
      if (header.length > lengthBytes) throw new BadPacket("the broker sent a packet without a length")
      return false
    }
    const [first = 0, ...digits] = header
    const remaining = digits.reduce((sum, digit, place) => sum + (digit & 0x7f) * 128 ** place, 0)
    if (remaining <= most) {
      passing = remaining
      return true
    }
    if (first >>> 4 !== publish) throw new BadPacket(`the broker sent a packet of ${remaining} bytes`)
    head = { first, remaining, bytes: Buffer.alloc(0) }
    header = []
    return false
  }

  return {
    pass: (chunk) => {
      const out: Array<Buffer> = []
      let at = 0
      while (at < chunk.length) {
        if (passing > 0) {
          const take = Math.min(passing, chunk.length - at)
          out.push(chunk.subarray(at, at + take))
          passing -= take
          at += take
        } else if (skipping > 0) {
          const take = Math.min(skipping, chunk.length - at)
          skipping -= take
          at += take
        } else if (head !== undefined) {
          const wanted = head.bytes.length < 2
            ? 2
            : 2 + head.bytes.readUInt16BE(0) + (((head.first >>> 1) & 3) > 0 ? 2 : 0)
          const take = Math.min(wanted - head.bytes.length, chunk.length - at, head.remaining - head.bytes.length)
          if (take <= 0) throw new BadPacket("the broker sent a PUBLISH that ends within its topic")
          head.bytes = Buffer.concat([head.bytes, chunk.subarray(at, at + take)])
          at += take
          const short = beheaded()
          if (short !== undefined) out.push(short)
        } else {
          const byte = chunk[at] ?? 0
          at += 1
          if (begins(byte)) {
            out.push(Buffer.from(header))
            header = []
          }
        }
      }
      return out
    }
  }
}

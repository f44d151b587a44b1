/**
 * Keeps what a broker sends within bounds before anything assembles it: a PUBLISH that is too large goes on without its payload, so
 * that it can be acknowledged and forgotten; anything else of that size ends the connection, and so does what no broker has to send to us.
 */

/** MQTT's control packet type of PUBLISH, in the upper half of the first byte. */
const publish = 3
/**
 * What a broker has to send to us, and the least that follows its fixed header: CONNACK, PUBLISH, PUBACK, SUBACK, UNSUBACK, PINGRESP,
 * DISCONNECT. Other packets are a client's, or of QoS 2 and AUTH, which we never ask for.
 */
const least: ReadonlyMap<number, number> = new Map([[2, 2], [publish, 2], [4, 2], [9, 3], [11, 2], [13, 0], [14, 0]])
/** The QoS of a PUBLISH, in its first byte: 2, or 3 that is none, has the upper one. We subscribe at 1. */
const qualityBits = 6
const beyondOne = 4
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
  /** The beginning of a PUBLISH, up to its properties and payload. */
  let head: { readonly first: number; readonly remaining: number; bytes: Buffer } | undefined

  /** Bytes of topic and packet id, as far as that is known. */
  const headLength = ({ bytes, first }: { readonly first: number; readonly bytes: Buffer }): number =>
    bytes.length < 2 ? 2 : 2 + bytes.readUInt16BE(0) + ((first & qualityBits) > 0 ? 2 : 0)

  /** A PUBLISH up to there, once all of that has come. */
  const begun = (): Buffer | undefined => {
    if (head === undefined) return undefined
    const { bytes, first, remaining } = head
    const length = headLength(head)
    if (length > remaining) throw new BadPacket("the broker sent a PUBLISH that ends within its topic or before its id")
    if (bytes.length < length) return undefined
    head = undefined
    if (remaining <= most) {
      passing = remaining - length
      return Buffer.concat([Buffer.from([first, ...varint(remaining)]), bytes])
    }
    skipping = remaining - length
    const properties = version === "5" ? [0] : []
    return Buffer.concat([
      Buffer.from([first, ...varint(length + properties.length)]),
      bytes,
      Buffer.from(properties)
    ])
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
    const type = first >>> 4
    const fewest = least.get(type)
    if (fewest === undefined) throw new BadPacket(`the broker sent a packet of type ${type}, which we do not ask for`)
    if (remaining < fewest) throw new BadPacket(`the broker sent a packet of type ${type} that is too short`)
    if (type === publish) {
      if ((first & beyondOne) > 0) throw new BadPacket("the broker sent a PUBLISH beyond QoS 1")
      head = { first, remaining, bytes: Buffer.alloc(0) }
      header = []
      return false
    }
    if (remaining > most) throw new BadPacket(`the broker sent a packet of ${remaining} bytes`)
    passing = remaining
    return true
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
          const take = Math.min(headLength(head) - head.bytes.length, chunk.length - at)
          head.bytes = Buffer.concat([head.bytes, chunk.subarray(at, at + take)])
          at += take
          const start = begun()
          if (start !== undefined) out.push(start)
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

/**
 * Cryptography with the meaning of the real one and none of its strength: what was tampered with does not open, nor does it under another
 * key, both sides of an exchange reach the same secret, and every output depends on every input. For simulations, where the real
 * primitives would take most of the time. Nothing here is secret, and nothing is compressed.
 */
import { Layer } from "effect"
import { Cryptography } from "../../core/link/Cryptography.ts"

const tagLength = 16

/** Two lanes of 32 bits over bytes, as FNV and MurmurHash3 have them. */
class Digest {
  private first: number
  private second = 0x9e3779b9
  private length = 0

  constructor(purpose: number) {
    this.first = 0x811c9dc5 ^ purpose
  }

  add(bytes: Uint8Array): this {
    let { first, second } = this
    for (let i = 0; i < bytes.length; i++) {
      const byte = bytes[i]!
      first = Math.imul(first ^ byte, 0x01000193)
      second = Math.imul((second << 13 | second >>> 19) ^ byte, 0xcc9e2d51) + 0xe6546b64 | 0
    }
    this.first = first
    this.second = second
    this.length += bytes.length
    return this
  }

  /** The next word of an endless stream that the bytes so far determine. */
  words(): () => number {
    let one = this.first ^ this.length
    let two = this.second
    return () => {
      one = one + 0x9e3779b9 | 0
      two = two + Math.imul(one, 0x85ebca6b) | 0
      let word = one ^ two
      word = Math.imul(word ^ word >>> 16, 0x85ebca6b)
      word = Math.imul(word ^ word >>> 13, 0xc2b2ae35)
      two ^= word
      return word ^ word >>> 16
    }
  }

  bytes(length: number): Uint8Array {
    const bytes = new Uint8Array(length)
    const next = this.words()
    for (let i = 0; i < length; i += 4) {
      const word = next()
      bytes[i] = word
      bytes[i + 1] = word >>> 8
      bytes[i + 2] = word >>> 16
      bytes[i + 3] = word >>> 24
    }
    return bytes
  }
}

/** Diffie and Hellman's own group, of the size of one machine word: a Mersenne prime. */
const prime = 2n ** 61n - 1n
const generator = 37n

const power = (base: bigint, exponent: bigint): bigint => {
  let result = 1n
  for (let left = exponent, square = base; left > 0n; left >>= 1n) {
    if ((left & 1n) === 1n) result = result * square % prime
    square = square * square % prime
  }
  return result
}

const view = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

const exponentOf = (privateKey: Uint8Array): bigint =>
  view(new Digest(1).add(privateKey).bytes(8)).getBigUint64(0) % (prime - 2n) + 1n

const numberOf = (key: Uint8Array): bigint => {
  const words = view(key)
  let number = 0n
  for (let at = 24; at >= 0; at -= 8) number = number << 64n | words.getBigUint64(at, true)
  return number % prime
}

const bytesOf = (number: bigint): Uint8Array => {
  const key = new Uint8Array(32)
  view(key).setBigUint64(0, number, true)
  return key
}

const masked = (key: Uint8Array, nonce: Uint8Array, bytes: Uint8Array, into: Uint8Array): void => {
  const next = new Digest(2).add(key).add(nonce).words()
  for (let i = 0, word = 0; i < bytes.length; i++, word >>>= 8) {
    if (i % 4 === 0) word = next()
    into[i] = bytes[i]! ^ word
  }
}

const lengths = (associated: Uint8Array, sealed: Uint8Array) => Uint8Array.of(associated.length, sealed.length)

const tagOf = (key: Uint8Array, nonce: Uint8Array, associated: Uint8Array, sealed: Uint8Array) =>
  new Digest(3).add(key).add(nonce).add(associated).add(sealed).add(lengths(associated, sealed)).bytes(tagLength)

/** With a dictionary: its checksum, how much of its beginning is the same, and the rest. */
const checksum = (bytes: Uint8Array) => bytes.reduce((sum, byte) => (sum * 31 + byte) & 0xff, bytes.length & 0xff)

const afterPrefix = (plain: Uint8Array, dictionary: Uint8Array): Uint8Array => {
  let same = 0
  while (same < plain.length && same < 0xffff && plain[same] === dictionary[same]) same += 1
  return Uint8Array.of(checksum(dictionary), same >> 8, same & 0xff, ...plain.subarray(same))
}

const beforeSuffix = (packed: Uint8Array, limit: number, dictionary: Uint8Array): Uint8Array | undefined => {
  const [sum, high = 0, low = 0] = packed
  const same = high * 256 + low
  const rest = packed.subarray(3)
  if (packed.length < 3 || sum !== checksum(dictionary) || same > dictionary.length) return undefined
  if (same + rest.length > limit) return undefined
  return Uint8Array.of(...dictionary.subarray(0, same), ...rest)
}

export const QuickCryptography = {
  layer: Layer.succeed(
    Cryptography,
    Cryptography.of({
      sha256: (...data) => data.reduce((digest, piece) => digest.add(piece), new Digest(4)).bytes(32),
      hmacSha256: (key, ...data) => data.reduce((digest, piece) => digest.add(piece), new Digest(5).add(key)).bytes(32),
      x25519Public: (privateKey) => bytesOf(power(generator, exponentOf(privateKey))),
      x25519: (privateKey, publicKey) => {
        const peer = numberOf(publicKey)
        return peer <= 1n ? undefined : bytesOf(power(peer, exponentOf(privateKey)))
      },
      seal: (key, nonce, associated, plain) => {
        const sealed = new Uint8Array(plain.length + tagLength)
        masked(key, nonce, plain, sealed)
        sealed.set(tagOf(key, nonce, associated, sealed.subarray(0, plain.length)), plain.length)
        return sealed
      },
      open: (key, nonce, associated, sealed) => {
        const length = sealed.length - tagLength
        if (length < 0) return undefined
        const text = sealed.subarray(0, length)
        const tag = tagOf(key, nonce, associated, text)
        if (tag.some((byte, i) => byte !== sealed[length + i])) return undefined
        const plain = new Uint8Array(length)
        masked(key, nonce, text, plain)
        return plain
      },
      // Longer than the plain text, as what cannot be compressed is; so it travels as it is.
      deflate: (plain, dictionary) => {
        if (dictionary !== undefined) return afterPrefix(plain, dictionary)
        const stored = new Uint8Array(plain.length + 1)
        stored.set(plain)
        return stored
      },
      inflate: (packed, limit, dictionary) => {
        if (dictionary !== undefined) return beforeSuffix(packed, limit, dictionary)
        return packed.length === 0 || packed.length - 1 > limit ? undefined : packed.slice(0, -1)
      }
    })
  )
}

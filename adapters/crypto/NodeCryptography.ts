/** Cryptography and SecureRandom on node:crypto and node:zlib, synchronous throughout. */
import { Effect, Layer } from "effect"
import * as crypto from "node:crypto"
import * as zlib from "node:zlib"
import { Cryptography } from "../../core/link/Cryptography.ts"
import { SecureRandom } from "../../core/link/SecureRandom.ts"
import { alone } from "../../core/link/session/alone.ts"

/** X25519 keys in DER (RFC 8410) are these headers followed by the 32 raw bytes. */
const privateHeader = Buffer.from("302e020100300506032b656e04220420", "hex")
const publicHeader = Buffer.from("302a300506032b656e032100", "hex")
const tagLength = 16

/** Preparing a key costs more than most of what is done with it; keys are made once and never altered. */
const preparing = <Key extends object = crypto.KeyObject>(prepare: (raw: Uint8Array) => Key) => {
  const prepared = new WeakMap<Uint8Array, Key>()
  return (raw: Uint8Array): Key => {
    let key = prepared.get(raw)
    if (key === undefined) {
      key = prepare(raw)
      prepared.set(raw, key)
    }
    return key
  }
}

const privateKey = preparing((raw) =>
  crypto.createPrivateKey({ key: Buffer.concat([privateHeader, raw]), format: "der", type: "pkcs8" })
)

const publicKey = preparing((raw) =>
  crypto.createPublicKey({ key: Buffer.concat([publicHeader, raw]), format: "der", type: "spki" })
)

const publicHalf = preparing((raw) => {
  const spki = crypto.createPublicKey(privateKey(raw)).export({ format: "der", type: "spki" })
  return new Uint8Array(spki.subarray(publicHeader.length))
})

const secretKey = preparing((raw) => crypto.createSecretKey(raw))

/** The same memory without the ways of a Buffer, of which a slice is no copy. */
const plainly = ({ buffer, byteOffset, length }: Buffer) => new Uint8Array(buffer, byteOffset, length)

const hashed = (data: Uint8Array) => new Uint8Array(crypto.hash("sha256", data, "buffer"))

/** SHA-256 works on blocks of this many bytes. */
const blockLength = 64

/** `data` behind a block of key and padding, as HMAC (RFC 2104) hashes it. */
const padded = (key: Uint8Array, padding: number, data: ReadonlyArray<Uint8Array>) => {
  const whole = new Uint8Array(data.reduce((length, piece) => length + piece.length, blockLength))
  whole.fill(padding, 0, blockLength)
  for (let at = 0; at < key.length; at++) whole[at] = padding ^ (key[at] ?? 0)
  let at = blockLength
  for (const piece of data) {
    whole.set(piece, at)
    at += piece.length
  }
  return whole
}

const make = Cryptography.of({
  sha256: (...data) => {
    const [only] = data
    if (data.length === 1 && only !== undefined) return hashed(only)
    const hash = crypto.createHash("sha256")
    for (const piece of data) hash.update(piece)
    return new Uint8Array(hash.digest())
  },
  hmacSha256: (key, ...data) => {
    // node:crypto makes a key object for each HMAC, which takes six times as long as the HMAC of a short message.
    const short = key.length > blockLength ? hashed(key) : key
    return hashed(padded(short, 0x5c, [hashed(padded(short, 0x36, data))]))
  },
  x25519Public: publicHalf,
  x25519: (own, peer) => {
    const ours = privateKey(own)
    try {
      return new Uint8Array(crypto.diffieHellman({ privateKey: ours, publicKey: publicKey(peer) }))
    } catch {
      // OpenSSL fails the derivation when the result is all zeros: a key of low order (RFC 7748, 6.1).
      return undefined
    }
  },
  seal: (key, nonce, associated, plain) => {
    const cipher = crypto.createCipheriv("chacha20-poly1305", secretKey(key), nonce, { authTagLength: tagLength })
    cipher.setAAD(associated, { plaintextLength: plain.length })
    const sealed = new Uint8Array(plain.length + tagLength)
    sealed.set(cipher.update(plain))
    cipher.final()
    sealed.set(cipher.getAuthTag(), plain.length)
    return sealed
  },
  open: (key, nonce, associated, sealed) => {
    const length = sealed.length - tagLength
    if (length < 0) return undefined
    const decipher = crypto.createDecipheriv("chacha20-poly1305", secretKey(key), nonce, { authTagLength: tagLength })
    decipher.setAAD(associated, { plaintextLength: length })
    decipher.setAuthTag(sealed.subarray(length))
    const plain = decipher.update(sealed.subarray(0, length))
    try {
      decipher.final()
    } catch {
      return undefined
    }
    return plainly(plain)
  },
  // zlib works in pieces of 16 KiB, which a short message must not keep.
  deflate: (plain, dictionary) => alone(plainly(zlib.deflateRawSync(plain, dictionary && { ...small, dictionary }))),
  inflate: (packed, limit, dictionary) => {
    try {
      return alone(plainly(zlib.inflateRawSync(packed, {
        maxOutputLength: Math.max(1, limit),
        ...(dictionary === undefined ? {} : { dictionary })
      })))
    } catch {
      // Neither corrupt input nor one that grows beyond the limit says anything about this process.
      return undefined
    }
  }
})

/** A dictionary goes with messages of its size: the whole window would cost 256 KiB each time. */
const small = { level: 9, windowBits: 13, memLevel: 5 }

export const NodeCryptography = {
  layer: Layer.mergeAll(
    Layer.succeed(Cryptography, make),
    Layer.succeed(
      SecureRandom,
      SecureRandom.of({ bytes: (length) => Effect.sync(() => new Uint8Array(crypto.randomBytes(length))) })
    )
  )
}

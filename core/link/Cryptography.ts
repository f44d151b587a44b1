/**
 * The primitives below handshake, sealing and digests, as synchronous functions: a native callback would break the
 * determinism of the simulation. All inputs are bytes of exact length; a caller that errs has a bug. Keys, given or returned, must
 * never be altered: an implementation may keep what it prepared from them.
 */
import { Context } from "effect"

export class Cryptography extends Context.Service<Cryptography, {
  readonly sha256: (...data: ReadonlyArray<Uint8Array>) => Uint8Array
  readonly hmacSha256: (key: Uint8Array, ...data: ReadonlyArray<Uint8Array>) => Uint8Array
  /** The public half (32 bytes) of an X25519 private key (32 bytes). */
  readonly x25519Public: (privateKey: Uint8Array) => Uint8Array
  /** The shared secret, or undefined where the peer's key is of low order. */
  readonly x25519: (privateKey: Uint8Array, publicKey: Uint8Array) => Uint8Array | undefined
  /** ChaCha20-Poly1305 with a 32 byte key and 12 byte nonce; the 16 byte tag follows the ciphertext. */
  readonly seal: (key: Uint8Array, nonce: Uint8Array, associated: Uint8Array, plain: Uint8Array) => Uint8Array
  /** Undefined when the tag does not fit. */
  readonly open: (
    key: Uint8Array,
    nonce: Uint8Array,
    associated: Uint8Array,
    sealed: Uint8Array
  ) => Uint8Array | undefined
  /** Raw deflate of a small message; what the dictionary has need not be said again. */
  readonly deflate: (plain: Uint8Array, dictionary?: Uint8Array) => Uint8Array
  /** Undefined when it is not deflate or would be longer than `limit` bytes; never allocates more than that. */
  readonly inflate: (packed: Uint8Array, limit: number, dictionary?: Uint8Array) => Uint8Array | undefined
}>()("aranya/link/Cryptography") {}

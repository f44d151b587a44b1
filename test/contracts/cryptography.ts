/** What every Cryptography must mean, whatever its strength. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import { Cryptography } from "../../core/link/Cryptography.ts"

const bytes = (length: number, fill: number) => new Uint8Array(length).map((_, i) => fill + 7 * i)
const flipped = (from: Uint8Array, at: number) => from.map((byte, i) => i === at ? byte ^ 1 : byte)

export const cryptographyContract = (name: string, layer: Layer.Layer<Cryptography>): void => {
  describe(`${name} is a Cryptography that`, () => {
    const plain = bytes(37, 1)
    const key = bytes(32, 2)
    const nonce = bytes(12, 3)
    const associated = bytes(5, 4)

    it.effect("opens what it sealed, and nothing that was touched, cut, or sealed with something else", () =>
      Effect.gen(function*() {
        const { open, seal } = yield* Cryptography
        const sealed = seal(key, nonce, associated, plain)
        assert.lengthOf(sealed, plain.length + 16)
        assert.deepStrictEqual(Uint8Array.from(open(key, nonce, associated, sealed) ?? []), plain)
        for (const at of sealed.keys()) assert.isUndefined(open(key, nonce, associated, flipped(sealed, at)))
        for (const at of key.keys()) assert.isUndefined(open(flipped(key, at), nonce, associated, sealed))
        for (const at of nonce.keys()) assert.isUndefined(open(key, flipped(nonce, at), associated, sealed))
        for (const at of associated.keys()) assert.isUndefined(open(key, nonce, flipped(associated, at), sealed))
        for (const length of [0, 15, 16, sealed.length - 1]) {
          assert.isUndefined(open(key, nonce, associated, sealed.subarray(0, length)))
        }
        assert.notDeepEqual(sealed.subarray(0, plain.length), plain)
      }).pipe(Effect.provide(layer)))

    it.effect("brings two sides to one secret, and nobody else", () =>
      Effect.gen(function*() {
        const { x25519, x25519Public } = yield* Cryptography
        const [one, other, third] = [bytes(32, 10), bytes(32, 20), bytes(32, 30)]
        const secret = x25519(one, x25519Public(other))
        assert.lengthOf(secret ?? [], 32)
        assert.deepStrictEqual(x25519(other, x25519Public(one)), secret)
        assert.notDeepEqual(x25519(third, x25519Public(other)), secret)
        for (const at of [0, 7, 8, 20]) assert.notDeepEqual(x25519(one, flipped(x25519Public(other), at)), secret)
        assert.isUndefined(x25519(one, new Uint8Array(32)))
      }).pipe(Effect.provide(layer)))

    it.effect("digests every byte, however the data is cut into pieces", () =>
      Effect.gen(function*() {
        const { hmacSha256, sha256 } = yield* Cryptography
        const whole = sha256(plain)
        assert.lengthOf(whole, 32)
        assert.deepStrictEqual(sha256(plain.subarray(0, 9), plain.subarray(9)), whole)
        for (const at of plain.keys()) assert.notDeepEqual(sha256(flipped(plain, at)), whole)
        const keyed = hmacSha256(key, plain)
        assert.deepStrictEqual(hmacSha256(key, plain.subarray(0, 9), plain.subarray(9)), keyed)
        assert.notDeepEqual(keyed, whole)
        for (const at of key.keys()) assert.notDeepEqual(hmacSha256(flipped(key, at), plain), keyed)
      }).pipe(Effect.provide(layer)))

    it.effect("gives back what it packed, and nothing longer than asked for", () =>
      Effect.gen(function*() {
        const { deflate, inflate } = yield* Cryptography
        assert.deepStrictEqual(Uint8Array.from(inflate(deflate(plain), plain.length) ?? []), plain)
        assert.isUndefined(inflate(deflate(plain), plain.length - 1))
        assert.isUndefined(inflate(new Uint8Array(), 10))
        const like = Uint8Array.from([...plain, 1, 2, 3])
        const packed = deflate(like, plain)
        assert.isBelow(packed.length, 12)
        assert.deepStrictEqual(Uint8Array.from(inflate(packed, like.length, plain) ?? []), like)
        assert.isUndefined(inflate(packed, like.length - 1, plain))
        assert.notDeepEqual(inflate(packed, like.length, flipped(plain, 3)), like)
      }).pipe(Effect.provide(layer)))
  })
}

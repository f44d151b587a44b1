import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { NodeCryptography } from "../../../adapters/crypto/NodeCryptography.ts"
import { Cryptography } from "../../../core/link/Cryptography.ts"
import { cryptographyContract } from "../../contracts/cryptography.ts"
import { secureRandomContract } from "../../contracts/secureRandom.ts"

secureRandomContract("NodeCryptography", NodeCryptography.layer)
cryptographyContract("NodeCryptography", NodeCryptography.layer)

describe("HMAC-SHA-256", () => {
  const text = (words: string) => new TextEncoder().encode(words)
  const filled = (length: number, byte: number) => new Uint8Array(length).fill(byte)
  const vectors = [
    [filled(20, 0x0b), text("Hi There"), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"],
    [
      text("Jefe"),
      text("what do ya want for nothing?"),
      "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    ],
    [filled(20, 0xaa), filled(50, 0xdd), "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"],
    [
      filled(131, 0xaa),
      text("Test Using Larger Than Block-Size Key - Hash Key First"),
      "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
    ]
  ] as const
  it.effect("is what RFC 4231 says it is, whole or in pieces", () =>
    Effect.gen(function*() {
      const { hmacSha256 } = yield* Cryptography
      for (const [key, data, expected] of vectors) {
        assert.strictEqual(Buffer.from(hmacSha256(key, data)).toString("hex"), expected)
        assert.strictEqual(
          Buffer.from(hmacSha256(key, data.subarray(0, 3), data.subarray(3))).toString("hex"),
          expected
        )
      }
    }).pipe(Effect.provide(NodeCryptography.layer)))
})

describe("what comes out", () => {
  const key = new Uint8Array(32)
  const nonce = new Uint8Array(12)
  const none = new Uint8Array(0)
  it.effect("is plain bytes, so that a slice is a copy, and short ones keep little", () =>
    Effect.gen(function*() {
      const { deflate, inflate, open, seal } = yield* Cryptography
      const bytes = new Uint8Array(1000).fill(7)
      const packed = deflate(bytes)
      for (const result of [open(key, nonce, none, seal(key, nonce, none, bytes)), packed, inflate(packed, 1000)]) {
        assert.isDefined(result)
        assert.strictEqual(Object.getPrototypeOf(result), Uint8Array.prototype)
        assert.isAtMost(result.buffer.byteLength, 2 * result.length)
        assert.notStrictEqual(result.slice(0, 1).buffer, result.buffer)
      }
    }).pipe(Effect.provide(NodeCryptography.layer)))
})

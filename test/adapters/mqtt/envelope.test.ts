import { assert, it } from "@effect/vitest"
import { decode, encode, Kind } from "../../../adapters/mqtt/envelope.ts"

it("what is in a payload does not keep the read that it came in", () => {
  const payload = encode(Kind.Frame, "0011223344556677", Uint8Array.of(1, 2, 3))
  const read = Buffer.concat([Buffer.alloc(60_000), payload])
  const body = decode(read.subarray(60_000))?.body
  assert.deepStrictEqual(body, Uint8Array.of(1, 2, 3))
  assert.strictEqual(body?.buffer.byteLength, 3)
})

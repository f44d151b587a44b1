import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { NodeCryptography } from "../../../adapters/crypto/NodeCryptography.ts"
import { Cryptography } from "../../../core/link/Cryptography.ts"
import { CipherState, nothing } from "../../../core/link/noise/CipherState.ts"
import { initiate, respond } from "../../../core/link/noise/ikPsk2.ts"
import { cacophony } from "./cacophony.ts"

const bytes = (hex: string) => new Uint8Array(Buffer.from(hex, "hex"))
const hex = (data: Uint8Array | undefined) => data === undefined ? undefined : Buffer.from(data).toString("hex")
const message = (index: number) => {
  const found = cacophony.messages[index]
  if (found === undefined) throw new Error(`no message ${index}`)
  return { payload: bytes(found.payload), ciphertext: found.ciphertext }
}
const prologue = bytes(cacophony.prologue)
const psk = bytes(cacophony.psk)

const pair = Effect.gen(function*() {
  const cryptography = yield* Cryptography
  const initiator = initiate(cryptography, {
    prologue,
    ephemeral: bytes(cacophony.initiatorEphemeral),
    privateKey: bytes(cacophony.initiatorStatic),
    responderPublic: bytes(cacophony.responderPublic),
    payload: message(0).payload
  })
  assert(initiator !== undefined)
  const responder = respond(cryptography, {
    prologue,
    ephemeral: bytes(cacophony.responderEphemeral),
    privateKey: bytes(cacophony.responderStatic),
    message: initiator.message
  })
  assert(responder !== undefined)
  return { cryptography, initiator, responder }
})

describe("IKpsk2", () => {
  it.effect("speaks the published vector byte for byte, handshake and transport", () =>
    Effect.gen(function*() {
      const { cryptography, initiator, responder } = yield* pair
      assert.strictEqual(hex(initiator.message), message(0).ciphertext)
      assert.deepStrictEqual(hex(responder.payload), hex(message(0).payload))
      const answer = responder.write(psk, message(1).payload)
      assert.strictEqual(hex(answer?.message), message(1).ciphertext)
      const read = initiator.read(bytes(message(1).ciphertext), psk)
      assert.strictEqual(hex(read?.payload), hex(message(1).payload))
      assert.strictEqual(hex(read?.keys.hash), cacophony.handshakeHash)
      assert.strictEqual(hex(answer?.keys.hash), cacophony.handshakeHash)
      assert(read !== undefined && answer !== undefined)
      assert.strictEqual(hex(answer.keys.receive), hex(read.keys.send))

      const toResponder = new CipherState(cryptography, read.keys.send)
      const toInitiator = new CipherState(cryptography, answer.keys.send)
      for (const index of [2, 4]) {
        assert.strictEqual(hex(toResponder.encrypt(nothing, message(index).payload)), message(index).ciphertext)
        assert.strictEqual(hex(toInitiator.encrypt(nothing, message(index + 1).payload)), message(index + 1).ciphertext)
      }
    }).pipe(Effect.provide(NodeCryptography.layer)))

  it.effect("does not read an answer made with another pre-shared key, nor one that was touched", () =>
    Effect.gen(function*() {
      const { initiator, responder } = yield* pair
      assert.strictEqual(
        initiator.read(responder.write(new Uint8Array(32), nothing)?.message ?? nothing, psk),
        undefined
      )
      const touched = bytes(message(1).ciphertext)
      touched[40] = (touched[40] ?? 0) ^ 1
      assert.strictEqual(initiator.read(touched, psk), undefined)
      assert.strictEqual(initiator.read(touched.subarray(0, 20), psk), undefined)
      assert(initiator.read(bytes(message(1).ciphertext), psk) !== undefined)
    }).pipe(Effect.provide(NodeCryptography.layer)))

  it.effect("does not take keys of low order", () =>
    Effect.gen(function*() {
      const { cryptography } = yield* pair
      assert.strictEqual(cryptography.x25519(bytes(cacophony.initiatorStatic), new Uint8Array(32)), undefined)
    }).pipe(Effect.provide(NodeCryptography.layer)))
})

/** `aranya key`: what is printed is the key, or nothing. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import { Base64 } from "effect/encoding"
import { TestClock, TestConsole } from "effect/testing"
import { NodeCryptography } from "../../../adapters/crypto/NodeCryptography.ts"
import { printKey } from "../../../apps/aranya/printKey.ts"
import { KubeApi, KubeApiError } from "../../../core/kube/KubeApi.ts"
import { Cryptography } from "../../../core/link/Cryptography.ts"

const printing = (get: KubeApi["Service"]["get"]) =>
  printKey("aranya").pipe(Effect.provide([NodeCryptography.layer, Layer.mock(KubeApi, { get })]))

describe("aranya key", () => {
  it.effect("prints the public key of what lies in the Secret", () =>
    Effect.gen(function*() {
      const key = new Uint8Array(32).fill(7)
      yield* printing((_, at) => Effect.succeed({ metadata: at, data: { "private-key": Base64.encode(key) } } as never))
      const { x25519Public } = yield* Effect.provide(Cryptography, NodeCryptography.layer)
      assert.deepStrictEqual(yield* TestConsole.logLines, [Base64.encode(x25519Public(key))])
    }))

  it.effect("says after half a minute what the API server said, and prints nothing", () =>
    Effect.gen(function*() {
      const away = new KubeApiError({ reason: "Unavailable", status: 0, detail: "no route" })
      const fiber = yield* Effect.forkChild(Effect.flip(printing(() => Effect.fail(away))))
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(
        (yield* Fiber.join(fiber)).message,
        "the operator's key cannot be read: Kubernetes API: Unavailable (0): no route"
      )
      assert.deepStrictEqual(yield* TestConsole.logLines, [])
    }))

  it.effect("does not wait for ever for an API server that takes no call", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(Effect.flip(printing(() => Effect.never)))
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(
        (yield* Fiber.join(fiber)).message,
        "the operator's key cannot be read: Kubernetes API: Unavailable (0): there is no answer"
      )
    }))
})

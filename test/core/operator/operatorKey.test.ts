/** The operator's key, while the API server is away and afterwards. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Logger } from "effect"
import { Base64 } from "effect/encoding"
import { TestClock } from "effect/testing"
import type { Secret } from "../../../core/kube/kinds.ts"
import { KubeApi, KubeApiError } from "../../../core/kube/KubeApi.ts"
import { operatorKey } from "../../../core/operator/operatorKey.ts"
import { SeededSecureRandom } from "../../fakes/SeededSecureRandom.ts"

const away = (detail: string) => new KubeApiError({ reason: "Unavailable", status: 0, detail })

/** An API server that gives these answers, the last one for ever, and what is logged of them. */
const stage = (answers: ReadonlyArray<KubeApiError | Secret>) => {
  const warnings: Array<string> = []
  const left = [...answers]
  const get = () =>
    Effect.suspend(() => {
      const answer = left.length > 1 ? left.shift() : left[0]
      return answer instanceof KubeApiError ? Effect.fail(answer) : Effect.succeed(answer as never)
    })
  const layer = Layer.mergeAll(
    Layer.mock(KubeApi, { get }),
    SeededSecureRandom.layer,
    Logger.layer([Logger.make(({ logLevel, message }) => void warnings.push(`${logLevel}: ${String(message)}`))])
  )
  return { warnings, layer, left }
}

const key = new Uint8Array(32).fill(7)
const secret: Secret = {
  metadata: { namespace: "aranya", name: "aranya-identity" },
  data: { "private-key": Base64.encode(key) }
}

describe("the operator's key", () => {
  it.effect("is waited for, with one warning for each thing that the API server says", () =>
    Effect.gen(function*() {
      const { layer, left, warnings } = stage([
        away("no route"),
        away("no route"),
        away("no route"),
        away("starting"),
        away("starting"),
        secret
      ])
      const fiber = yield* Effect.forkChild(Effect.provide(operatorKey("aranya"), layer))
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* Fiber.join(fiber), key)
      assert.lengthOf(left, 1)
      assert.deepStrictEqual(warnings, [
        "Warn: the operator's key cannot be read yet: Kubernetes API: Unavailable (0): no route; trying again",
        "Warn: the operator's key cannot be read yet: Kubernetes API: Unavailable (0): starting; trying again"
      ])
    }))

  it.effect("is waited for no longer than whoever asks has patience, and then the API server's word is told", () =>
    Effect.gen(function*() {
      const { layer } = stage([away("no route")])
      const asked = operatorKey("aranya", { patience: "30 seconds" })
      const fiber = yield* Effect.forkChild(Effect.flip(Effect.provide(asked, layer)))
      yield* TestClock.adjust("29 seconds")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(fiber)).message, "Kubernetes API: Unavailable (0): no route")
    }))

  it.effect("is not waited for where the API server refuses it", () =>
    Effect.gen(function*() {
      const forbidden = new KubeApiError({ reason: "Forbidden", status: 403, detail: "not by you" })
      const { layer, warnings } = stage([forbidden])
      assert.strictEqual(yield* Effect.flip(Effect.provide(operatorKey("aranya"), layer)), forbidden)
      assert.deepStrictEqual(warnings, [])
    }))
})

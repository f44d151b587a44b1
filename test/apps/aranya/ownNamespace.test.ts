/** Where the operator keeps its own objects. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { AranyaConfig } from "../../../apps/aranya/AranyaConfig.ts"
import { ownNamespace } from "../../../apps/aranya/runOperator.ts"
import { decodeConfig } from "../../../core/config/decodeConfig.ts"

/** The environment's word for the time of a test. */
const podNamespace = (value: string) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const before = process.env["POD_NAMESPACE"]
      process.env["POD_NAMESPACE"] = value
      return before
    }),
    (before) =>
      Effect.sync(() => {
        if (before === undefined) delete process.env["POD_NAMESPACE"]
        else process.env["POD_NAMESPACE"] = before
      })
  )

const namespaceBy = (text: string) =>
  Effect.map(decodeConfig(AranyaConfig)("config.yaml", text, () => undefined), ownNamespace)

describe("the operator's own namespace", () => {
  it.effect("is the configured one, else that of its pod, else default", () =>
    Effect.gen(function*() {
      yield* podNamespace("of-the-pod")
      assert.strictEqual(yield* namespaceBy("aranya: { namespace: configured }"), "configured")
      assert.strictEqual(yield* namespaceBy(""), "of-the-pod")
      yield* podNamespace("")
      assert.strictEqual(yield* namespaceBy(""), "default")
    }).pipe(Effect.scoped))
})

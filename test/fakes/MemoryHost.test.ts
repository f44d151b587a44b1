import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { HostFacts } from "../../core/agent/HostFacts.ts"
import { hostFactsContract } from "../contracts/hostFacts.ts"
import { MemoryHost } from "./MemoryHost.ts"

hostFactsContract("MemoryHost", MemoryHost.layer)

describe("MemoryHost", () => {
  it.effect("has another boot id after a reboot, and the same device", () =>
    Effect.gen(function*() {
      const { info } = yield* HostFacts
      const before = yield* info
      yield* (yield* MemoryHost).reboot
      const after = yield* info
      assert.notStrictEqual(after.bootId, before.bootId)
      assert.deepStrictEqual({ ...after, bootId: "" }, { ...before, bootId: "" })
    }).pipe(Effect.provide(MemoryHost.layer)))
})

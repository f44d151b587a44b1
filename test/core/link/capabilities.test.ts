import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { inWorld, type WorldOptions } from "./world.ts"

/** What the device is told in a new session that both sides can. */
const agreed = (capabilities: WorldOptions["capabilities"]) => {
  let told: ReadonlyArray<string> | undefined
  return inWorld(
    {
      ...(capabilities === undefined ? {} : { capabilities }),
      device: (_, hello) =>
        Effect.sync(() => {
          told = hello.capabilities
          return { onRequest: (message) => Effect.succeed(message), onOpen: () => Effect.void }
        })
    },
    (world) => Effect.andThen(world.session("device"), Effect.sync(() => told))
  )
}

describe("what sides can beyond their version", () => {
  it.live("is agreed on where both have it", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* agreed({ device: ["old", "shared"], operator: ["shared", "new"] }), ["shared"])
    }))

  it.live("is nothing with a side that knows of none", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* agreed({ device: ["shared"], operator: [] }), [])
      assert.deepStrictEqual(yield* agreed({ device: [], operator: ["shared"] }), [])
      assert.deepStrictEqual(yield* agreed(undefined), [])
    }))
})

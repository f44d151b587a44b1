/** What devices hear of an operator that is told to stop. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { openDoor, primitives } from "./openDoor.ts"

describe("gRPC to an operator that stops", () => {
  it.live("says farewell to every device before the sockets go", () =>
    Effect.gen(function*() {
      const { connect, serving } = yield* openDoor({ handshakeMillis: 10_000 })
      const sessions = yield* Effect.all([connect("edge-1"), connect("edge-2")])
      // An answer: the operator has taken the session up, too.
      for (const session of sessions) yield* session.request(new Uint8Array(0))
      yield* Fiber.interrupt(serving)
      for (const { closed } of sessions) {
        assert.strictEqual(yield* Effect.timeout(closed, "10 seconds"), "the peer ended it: this side is stopping")
      }
    }).pipe(Effect.scoped, Effect.provide(primitives)))
})

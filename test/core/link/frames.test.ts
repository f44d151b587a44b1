/** A session whose connections take frames of different sizes. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import type { Dialer } from "../../../core/link/Transport.ts"
import { noise } from "./noise.ts"
import { inWorld } from "./world.ts"

const small = { maxFrame: 4096 }

/** What was sent while nothing arrives goes out again by the other method, which takes smaller frames. */
const switched = (dialers: (own: ReadonlyArray<Dialer>) => ReadonlyArray<Dialer>, told: (ended: boolean) => void) =>
  inWorld({ backup: small, dialers }, (world) =>
    Effect.gen(function*() {
      const operator = yield* world.session("operator")
      const large = noise(200_000, 1)
      assert.strictEqual(Buffer.compare(yield* operator.request(large), large), 0)
      yield* world.transport.weather({ blackHole: true })
      const asked = yield* Effect.forkChild(Effect.result(operator.request(large)))
      yield* Effect.sleep("2 seconds")
      yield* world.transport.refuse("Refused")
      yield* world.transport.cut()
      const answer = yield* Fiber.join(asked)
      told(answer._tag === "Failure" && answer.failure.reason === "SessionLost")
      if (answer._tag === "Success") assert.strictEqual(Buffer.compare(answer.success, large), 0)
      const next = yield* world.session("operator", answer._tag === "Success" ? 1 : 2)
      assert.strictEqual(Buffer.compare(yield* next.request(large), large), 0)
      assert.strictEqual(next.method(), "backup")
    }))

describe("a session that goes on by a method with smaller frames", () => {
  it.live("never sends what that one could not take, where the device knows of it from the beginning", () => {
    let ended = true
    return switched(
      (own) => own.map((dialer) => dialer.method === "backup" ? { ...dialer, ...small } : dialer),
      (told) => void (ended = told)
    ).pipe(Effect.andThen(Effect.sync(() => assert.isFalse(ended))))
  })

  it.live("ends where something on its way does not fit, and the next one goes on", () => {
    let ended = false
    return switched((own) => own, (told) => void (ended = told)).pipe(
      Effect.andThen(Effect.sync(() => assert.isTrue(ended)))
    )
  })
})

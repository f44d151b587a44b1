/** How long a request waits for its reply while its message gets through slowly, played without a line. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import { TestClock } from "effect/testing"
import type { Conversation } from "../../../core/link/session/Conversation.ts"
import { type LinkStream, messageCost } from "../../../core/link/session/LinkStream.ts"
import { Signal } from "../../../core/link/session/Signal.ts"
import { tooLate } from "../../../core/link/session/tooLate.ts"
import { failure } from "./world.ts"

/** A message of 20 KiB of which the peer takes so many bytes every ten seconds; when it is too late for a reply, and why. */
const taking = Effect.fnUntraced(function*(bytes: number) {
  const size = 20 * 1024
  const stirred = new Signal()
  const stream = { sentBytes: 0, acknowledgedBytes: 0, queuedBytes: size }
  yield* Effect.sync(() => {
    const more = Math.min(bytes, stream.queuedBytes)
    if (stream.sentBytes === 0) stream.sentBytes = messageCost
    stream.sentBytes += more
    stream.acknowledgedBytes += more
    stream.queuedBytes -= more
    stirred.notify()
  }).pipe(Effect.delay("10 seconds"), Effect.forever, Effect.forkScoped)
  const conversation = { stirred } as Conversation
  const waiting = yield* failure(tooLate(conversation, stream as LinkStream, 65_000)).pipe(
    Effect.flatMap(({ detail }) => Effect.map(Clock.currentTimeMillis, (now) => ({ detail, seconds: now / 1000 }))),
    Effect.forkScoped
  )
  yield* TestClock.adjust("1 hour")
  const exit = waiting.pollUnsafe()
  return exit?._tag === "Success" ? exit.value : exit
})

describe("the limit of a request", () => {
  it.effect("begins anew with each part of the message that arrives, and for the last time with the last", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* taking(1024), {
        detail: "no reply within 65 s after 20480 of 20480 bytes had arrived",
        seconds: 200 + 65
      })
    }))

  it.effect("is not put off by a peer that takes a byte now and then", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* taking(1), {
        detail: "no reply within 65 s after 6 of 20480 bytes had arrived",
        seconds: 65
      })
    }))

  it.effect("runs from the beginning where nothing of it leaves", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* taking(0), {
        detail: "no reply within 65 s after 0 of 20480 bytes had arrived",
        seconds: 65
      })
    }))
})

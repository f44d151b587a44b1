/** Ends a channel over which nothing went either way for too long: a forgotten one holds memory on its device and a process in its pod. */
import { Clock, Deferred, Duration, Effect, Stream } from "effect"
import { type Channel, LinkError } from "../link/Session.ts"

export const idleChannel = Effect.fnUntraced(function*(channel: Channel, limit: Duration.Input) {
  const allowed = Duration.fromInputUnsafe(limit)
  const now = Effect.map(Clock.monotonicTimeNanos, (nanos) => Number(nanos / 1_000_000n))
  const over = Deferred.makeUnsafe<never, LinkError>()
  let last = yield* now
  const touch = Effect.map(now, (at) => void (last = at))
  yield* Effect.gen(function*() {
    while (true) {
      const left = last + Duration.toMillis(allowed) - (yield* now)
      if (left <= 0) break
      yield* Effect.sleep(left)
    }
    const detail = `nothing went over it for ${Duration.format(allowed)}`
    yield* Deferred.fail(over, new LinkError({ reason: "Timeout", detail }))
    yield* channel.fail(detail)
  }).pipe(Effect.forkScoped)
  const watched: Channel = {
    send: (message) => Effect.andThen(touch, channel.send(message)),
    end: channel.end,
    fail: channel.fail,
    messages: channel.messages.pipe(
      Stream.mapArrayEffect((messages) => Effect.as(touch, messages)),
      Stream.interruptWhen(Deferred.await(over))
    )
  }
  return watched
})

/** Waits for a stream's first sign, so that a refusal can still be answered with a status instead of a broken body. */
import { type Cause, type Duration, Effect, Exit, Fiber, Option, Pull, type Scope, Stream } from "effect"

/**
 * Fails where the stream fails before its first element. When nothing comes for `patience` the stream is handed out as it is,
 * opened by an element of no bytes, and may still fail later. It is started once, and ends with the scope.
 */
export const openBytes = Effect.fnUntraced(function*<E>(
  bytes: Stream.Stream<Uint8Array, E>,
  patience: Duration.Input
): Effect.fn.Return<Stream.Stream<Uint8Array, E>, E, Scope.Scope> {
  const pull = yield* Stream.toPull(bytes)
  const first = yield* Effect.forkScoped(Effect.exit(pull))
  const early = yield* Effect.timeoutOption(Fiber.join(first), patience)
  if (Option.isSome(early) && Exit.isFailure(early.value) && !Pull.isDoneCause(early.value.cause)) {
    return yield* Effect.failCause(early.value.cause as Cause.Cause<E>)
  }
  let started = false
  const rest = Stream.fromPull<Uint8Array, E, never, never, never>(Effect.succeed(Effect.suspend(() => {
    if (started) return pull
    started = true
    return Effect.flatten(Fiber.join(first))
  })))
  return Option.isSome(early) ? rest : Stream.concat(Stream.succeed(new Uint8Array(0)), rest)
})

/** A program that does not wait for one of its layers. */
import { Deferred, Effect, Layer } from "effect"

/**
 * Runs the program while the layer is built, and keeps what it made until the program is over. A layer that cannot be built
 * ends the program with its failure, as one that is waited for does.
 */
export const beside = <A, E, R, E2, R2>(
  program: Effect.Effect<A, E, R>,
  layer: Layer.Layer<never, E2, R2>
) =>
  Effect.scoped(Effect.gen(function*() {
    const failed = yield* Deferred.make<never, E2>()
    yield* Layer.build(layer).pipe(
      Effect.catchCause((cause) => Deferred.failCause(failed, cause)),
      Effect.forkScoped
    )
    return yield* Effect.raceFirst(program, Deferred.await(failed))
  }))

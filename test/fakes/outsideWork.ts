/** Work of the world outside of the program that caused it: it goes on without the program, and its fibers are not the program's. */
import { Effect, Metric } from "effect"

export const outsideWork = <A, E, R>(fork: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.provideService(fork, Metric.FiberRuntimeMetrics, undefined)

/**
 * Has the log tell of every fiber that dies of a defect: most are forked for as long as the program runs, and nobody waits to hear why one
 * ended. Effect offers a hook for metrics where a fiber ends, and no other.
 */
import { Cause, Effect, Exit, Metric, Predicate } from "effect"

export const loggingDefects = <A, E, R>(program: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    /** One ends every fiber that waits for the one that met with it. */
    const told = new WeakSet<object>()
    const isNews = ({ defect }: Cause.Die) => {
      if (!Predicate.isObject(defect)) return true
      const before = told.has(defect)
      told.add(defect)
      return !before
    }
    return Effect.provideService(program, Metric.FiberRuntimeMetrics, {
      recordFiberStart: () => {},
      recordFiberEnd: (context, exit) => {
        if (Exit.isSuccess(exit)) return
        const dies = exit.cause.reasons.filter(Cause.isDieReason)
        if (dies.filter(isNews).length === 0) return
        Effect.runForkWith(context)(
          Effect.logError("Something in the background ended by an internal error", exit.cause)
        )
      }
    })
  })

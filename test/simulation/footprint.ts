/** What a simulated program holds while it lives: its fibers, and what its links hold in memory. */
import { Cause, Effect, Exit, Metric } from "effect"
import { defaultLimits } from "../../core/link/LinkLimits.ts"
import { type LinkUsage, LinkWitness, mostUsage } from "../../core/link/LinkUsage.ts"

export interface Footprint {
  /** Fibers that have begun and not ended. */
  readonly fibers: () => number
  /** Why fibers ended by a defect since the last look: nobody may hear of it, and what they kept is kept no more. */
  readonly defects: () => ReadonlyArray<string>
  /** What goes beyond a limit of a link just now, in words. */
  readonly links: () => {
    readonly sessions: number
    /** Open ones, or such as hold memory, of all sessions. */
    readonly streams: number
    readonly over: ReadonlyArray<string>
  }
}

/**
 * Stream.switchMap of Effect 4.1 looks itself up where an inner stream ends before it is entered. Nothing is lost by it here: the
 * next inner stream takes its place, and none of ours fails.
 */
const ofTheLibrary = (why: string) =>
  /Cannot access 'fiber' before initialization[^]*effect\/dist\/Channel\.js/u.test(why)

export const makeFootprint = () => {
  let fibers = 0
  let defects: ReadonlyArray<string> = []
  const sessions = new Set<{ readonly side: "device" | "operator"; readonly usage: () => LinkUsage }>()
  const counting: Metric.FiberRuntimeMetricsService = {
    recordFiberStart: () => {
      fibers += 1
    },
    recordFiberEnd: (_, exit) => {
      fibers -= 1
      if (Exit.isSuccess(exit) || !Cause.hasDies(exit.cause)) return
      const why = Cause.pretty(exit.cause)
      if (!ofTheLibrary(why)) defects = [...defects, why]
    }
  }
  const footprint: Footprint = {
    fibers: () => fibers,
    defects: () => {
      const found = defects
      defects = []
      return found
    },
    links: () => ({
      sessions: sessions.size,
      streams: [...sessions].reduce((sum, { usage }) => sum + usage().streams, 0),
      over: [...sessions].flatMap(({ side, usage }) => {
        const held = usage()
        const most = mostUsage(defaultLimits, side)
        return (Object.keys(most) as Array<keyof LinkUsage>).filter((name) => held[name] > most[name]).map((name) =>
          `${name} ${held[name]}, over ${most[name]}`
        )
      })
    })
  }
  return {
    footprint,
    /** Watches this program. */
    watch: <A, E, R>(program: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
      program.pipe(
        Effect.provideService(Metric.FiberRuntimeMetrics, counting),
        Effect.provideService(LinkWitness, (side, usage) =>
          Effect.asVoid(Effect.acquireRelease(
            Effect.sync(() => {
              const session = { side, usage }
              sessions.add(session)
              return session
            }),
            (session) => Effect.sync(() => sessions.delete(session))
          )))
      )
  }
}

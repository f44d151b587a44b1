/** Shows inputs to a layer, one after another, with an eye on the memory and on what nobody caught. */
import { Effect } from "effect"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { makeDice } from "./Dice.ts"
import { type Finding, finding, type FuzzedLayer } from "./FuzzedLayer.ts"

/** Bytes. What one input of a few KiB may take at once, garbage included; and what all of them may leave behind. */
export const caps = { atOnce: 16 * 1024 * 1024, kept: 24 * 1024 * 1024 } as const

setFlagsFromString("--expose-gc")
const collect = runInNewContext("gc") as () => void

const held = () => {
  const { external, heapUsed } = process.memoryUsage()
  return heapUsed + external
}

/** What is let go of in the background, such as a compressor's memory, is gone by the second time. */
const heldAfterCollection = Effect.gen(function*() {
  yield* Effect.sync(collect)
  yield* Effect.sleep("200 millis")
  yield* Effect.sync(collect)
  return held()
})

/** Inputs between looks at what is kept; a collection takes longer than many inputs. */
const lookEvery = 20_000
/** What a layer learns once is no leak: code that is compiled, caches that fill. */
const warmUp = 500

export interface Figures {
  readonly done: number
  /** Bytes. */
  readonly atOnce: number
  readonly kept: number
}

export interface Run {
  readonly seed: number
  readonly first: number
  readonly times: number
  /** Every which input has a session of its own; it takes fifty times as long as one that is only read. */
  readonly sessionEvery: number
  readonly progress?: (figures: Figures) => void
}

/** Fails with the first finding and the number of its input. */
export const runFuzz = (
  layer: FuzzedLayer,
  { first, progress, seed, sessionEvery, times }: Run
): Effect.Effect<Figures, Finding & { readonly index?: number }> =>
  Effect.gen(function*() {
    let uncaught: unknown
    const note = (error: unknown) => {
      uncaught ??= error
    }
    yield* Effect.acquireRelease(
      Effect.sync(() => {
        for (const event of ["uncaughtException", "unhandledRejection"] as const) process.on(event, note)
      }),
      () =>
        Effect.sync(() => {
          for (const event of ["uncaughtException", "unhandledRejection"] as const) process.off(event, note)
        })
    )
    let base: number | undefined
    let atOnce = 0
    let kept = 0
    for (let done = 0; done < times; done++) {
      const index = first + done
      const before = held()
      const dice = makeDice(seed, index)
      const input = yield* (index % sessionEvery === 0 ? layer.attempt(dice) : layer.glance(dice)).pipe(
        Effect.mapError((error) => Object.assign(error, { index }))
      )
      const fault = (what: string) => Object.assign(finding(what, input), { index })
      if (uncaught !== undefined) {
        return yield* fault(`nobody caught ${uncaught instanceof Error ? uncaught.stack ?? uncaught : uncaught}`)
      }
      const taken = held() - before
      if (done > warmUp) atOnce = Math.max(atOnce, taken)
      if (taken > caps.atOnce) return yield* fault(`it took ${taken} bytes at once, ${caps.atOnce} are allowed`)
      if (done === warmUp) base = yield* heldAfterCollection
      if (base !== undefined && (done % lookEvery === lookEvery - 1 || done === times - 1)) {
        kept = Math.max(kept, (yield* heldAfterCollection) - base)
        if (kept > caps.kept) {
          return yield* fault(`${kept} bytes are kept after ${done + 1} inputs, ${caps.kept} are allowed`)
        }
      }
      progress?.({ done: done + 1, atOnce, kept })
    }
    return { done: times, atOnce, kept }
  }).pipe(Effect.scoped)

/**
 * While a world runs, everything that happens must come from its seed: whoever asks this process for the time or for chance, or
 * leaves work with its event loop or its threads, is found out with the stack that did it.
 */
import { createHook } from "node:async_hooks"
import { uniform } from "./uniform.ts"

/** Something in a world asked the real one. */
export class Trapped extends Error {
  override readonly name = "Trapped"
}

/** What needs neither a timer nor a thread: continuations of promises, and what is only queued. */
const harmless = new Set(["PROMISE", "Microtask", "TickObject", "effect/Fiber"])

/** What is waited for begins like what is not; who called it tells them apart. */
const onTheSpot = (type: string) => {
  const waiting = type === "ZLIB"
    ? /\b(zlibBufferSync|syncBufferWrapper)\b/
    : type === "DERIVEBITSREQUEST"
    ? /\b(hkdfSync|diffieHellman)\b/
    : undefined
  return waiting?.test(new Error().stack ?? "") === true
}

let caught: Trapped | undefined
let armed = false

const spring = (what: string): void => {
  if (!armed || caught !== undefined) return
  caught = new Trapped(`${what} in a simulated world, where only its seed and its own clock may decide`)
}

/** Timers, immediates and what threads do, by whatever name they were asked for. */
const hook = createHook({
  init: (_, type) => {
    if (armed && !harmless.has(type) && !onTheSpot(type)) spring(`${type} is left to the event loop`)
  },
  // Nobody looks at promises, and to follow each of them would be dear.
  ...{ trackPromises: false }
})

const real = {
  random: Math.random,
  now: Date.now,
  Date,
  performanceNow: performance.now,
  hrtime: process.hrtime
}

class TrappedDate extends Date {
  constructor(...given: [] | [number | string | Date]) {
    if (given.length === 1) super(given[0])
    else if (given.length === 0) {
      spring("new Date() was called")
      super()
    } else super(...(given as [number]))
  }
}
Object.defineProperty(TrappedDate, "now", { value: () => (spring("Date.now was called"), real.now()) })

/** Effect tells objects apart by a number of chance: here it comes from no chance at all. */
let identities = uniform(1)

let users = 0

/** For as long as a simulation goes on; several may. */
export const lay = (): () => void => {
  if (users++ === 0) {
    identities = uniform(1)
    hook.enable()
    Math.random = () => {
      if (armed && /\beffect\/(dist|src)\/Hash\b/.test(new Error().stack ?? "")) return identities()
      spring("Math.random was called")
      return real.random()
    }
    performance.now = () => (spring("performance.now was called"), real.performanceNow.call(performance))
    process.hrtime = Object.assign(
      (since?: [number, number]) => (spring("process.hrtime was called"), real.hrtime(since)),
      { bigint: () => (spring("process.hrtime was called"), real.hrtime.bigint()) }
    )
    globalThis.Date = TrappedDate as unknown as DateConstructor
  }
  return () => {
    if (--users > 0) return
    hook.disable()
    Math.random = real.random
    performance.now = real.performanceNow
    process.hrtime = real.hrtime
    globalThis.Date = real.Date
  }
}

/** From here on it is the world that runs. */
export const arm = (): void => {
  armed = true
}

/** The world stands still; fails with what it did meanwhile. */
export const disarm = (): void => {
  armed = false
  const found = caught
  caught = undefined
  if (found !== undefined) throw found
}

/** Lets a control plane's controllers get on in virtual time. */
import { Effect } from "effect"
import { TestClock } from "effect/testing"

/** Several steps, as a controller with much to do gives way to others in between. */
export const settled = Effect.repeat(TestClock.adjust("1 millis"), { times: 19 })

/** Small steps, as timers of several fibers have to interleave. */
export const pass = (seconds: number) => Effect.repeat(TestClock.adjust("1 second"), { times: seconds - 1 })

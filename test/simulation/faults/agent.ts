/** How an agent dies: anywhere, at a commit, at a call of its engine. */
import { Deferred, Effect } from "effect"
import type { Fault as RuntimeFault } from "../../fakes/runtime/Fault.ts"
import { type Episodes, lasting, sprung } from "./Episode.ts"
import { atThePlug, killAtWork, killSilently } from "./plug.ts"

/** Calls at whose very moment an agent may die. */
const critical = ["ensureSandbox", "create", "start", "stop", "remove", "containers", "inspect"] as const

export const agent = {
  agentDies: ({ dice }, device) =>
    atThePlug(
      device,
      Effect.gen(function*() {
        yield* killSilently(device, dice)
        yield* lasting(dice, 0, 60_000)
        yield* device.agent.start
      })
    ),
  agentDiesAtCommit: ({ dice }, device) =>
    atThePlug(
      device,
      Effect.gen(function*() {
        const reached = Deferred.makeUnsafe<void>()
        const gate = Deferred.makeUnsafe<void>()
        const release = Effect.sync(() => Deferred.doneUnsafe(gate, Effect.void))
        let left = dice.between(1, 9)
        yield* device.journal.intercept(Effect.suspend(() => {
          left -= 1
          if (left > 0) return Effect.void
          Deferred.doneUnsafe(reached, Effect.void)
          return Deferred.await(gate)
        }))
        const met = yield* sprung(reached).pipe(
          Effect.onInterrupt(() => release),
          Effect.ensuring(device.journal.intercept(Effect.void))
        )
        if (!met) return "missed"
        yield* killAtWork(device, dice, release)
        yield* lasting(dice, 0, 30_000)
        return yield* device.agent.start
      })
    ),
  agentDiesAtCall: ({ dice }, device) =>
    atThePlug(
      device,
      Effect.gen(function*() {
        const reached = Deferred.makeUnsafe<void>()
        let armed = true
        const where = () => {
          if (!armed) return false
          armed = false
          Deferred.doneUnsafe(reached, Effect.void)
          return true
        }
        const fault: RuntimeFault = dice.pick([{ _tag: "Lost" }, { _tag: "Fails" }, { _tag: "Late", after: 200 }])
        yield* device.runtime.fault(dice.pick(critical), fault, { where })
        const met = yield* Effect.ensuring(
          sprung(reached),
          Effect.sync(() => {
            armed = false
          })
        )
        if (!met) return "missed"
        yield* killAtWork(device, dice, Effect.void)
        yield* lasting(dice, 0, 30_000)
        return yield* device.agent.start
      })
    )
} as const satisfies Episodes

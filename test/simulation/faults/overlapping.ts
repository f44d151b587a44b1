/** Faults of one kind that befall the same victim at the same time: each lasts until its own end, whichever of them ends first. */
import { Effect, Semaphore } from "effect"

/** `apply` is told of all that go on, the oldest first, whenever one begins or ends: one change after the other. */
export const overlapping = <Victim extends object, Fault>(
  apply: (victim: Victim, going: ReadonlyArray<Fault>) => Effect.Effect<void>
) => {
  interface Going {
    faults: ReadonlyArray<{ readonly fault: Fault }>
    readonly turns: Semaphore.Semaphore
  }
  const all = new WeakMap<Victim, Going>()
  const goingOf = (victim: Victim): Going => {
    let going = all.get(victim)
    if (going === undefined) all.set(victim, going = { faults: [], turns: Semaphore.makeUnsafe(1) })
    return going
  }
  const change = (victim: Victim, next: (faults: Going["faults"]) => Going["faults"]) => {
    const going = goingOf(victim)
    return going.turns.withPermit(Effect.suspend(() => {
      going.faults = next(going.faults)
      return apply(victim, going.faults.map(({ fault }) => fault))
    }))
  }
  return <A>(victim: Victim, fault: Fault, meanwhile: Effect.Effect<A>): Effect.Effect<A> =>
    Effect.suspend(() => {
      const one = { fault }
      return Effect.acquireUseRelease(
        change(victim, (faults) => [...faults, one]),
        () => meanwhile,
        () => change(victim, (faults) => faults.filter((other) => other !== one))
      )
    })
}

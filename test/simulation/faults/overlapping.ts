/** Faults of one kind that befall the same victim at the same time: each lasts until its own end, whichever of them ends first. */
import { Effect } from "effect"

/** `apply` is told of all that go on, the oldest first, whenever one begins or ends. */
export const overlapping = <Victim extends object, Fault>(
  apply: (victim: Victim, going: ReadonlyArray<Fault>) => Effect.Effect<void>
) => {
  const all = new WeakMap<Victim, ReadonlyArray<{ readonly fault: Fault }>>()
  const change = (victim: Victim, next: ReadonlyArray<{ readonly fault: Fault }>) => {
    all.set(victim, next)
    return apply(victim, next.map(({ fault }) => fault))
  }
  return <A>(victim: Victim, fault: Fault, meanwhile: Effect.Effect<A>): Effect.Effect<A> =>
    Effect.acquireUseRelease(
      Effect.suspend(() => {
        const one = { fault }
        return Effect.as(change(victim, [...all.get(victim) ?? [], one]), one)
      }),
      () => meanwhile,
      (one) => Effect.suspend(() => change(victim, (all.get(victim) ?? []).filter((other) => other !== one)))
    )
}

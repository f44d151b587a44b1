/** Makes a failing storm small: deeds, devices and time are taken away as long as the same kind of thing still goes wrong. */
import { Clock, Duration, Effect } from "effect"
import { type Plan, planText } from "./plan.ts"

/** Of one run of a plan. */
export interface Outcome {
  /** What was violated, a line each; null when nothing was. */
  readonly failure: string | null
}

export interface ShrinkOptions<A extends Outcome> {
  readonly plan: Plan
  /** What the plan does. */
  readonly outcome: A
  /** Plays a plan; is asked for as many at once as `atOnce`. */
  readonly play: (plan: Plan, lane: number) => Effect.Effect<A>
  readonly atOnce?: number
  /** At most so many storms, 300 unless told. */
  readonly runs?: number
  /** No more storms are begun after this time, 2 minutes unless told. */
  readonly time?: Duration.Input
}

export interface Shrunk<A extends Outcome> {
  readonly plan: Plan
  readonly outcome: A
  /** Storms that it took. */
  readonly runs: number
  /** Whether nothing more can be taken away; false when time or runs came to an end first. */
  readonly done: boolean
}

/** A violation with its names and numbers blanked: two of one kind are the same mistake, most likely. */
export const kindOf = (violation: string): string =>
  violation
    .replaceAll(/[{[].*[}\]]/g, "…")
    .replaceAll(/\([^)]*\)/g, "")
    .replaceAll(/[a-z-]+#[0-9]+(, [a-z-]+#[0-9]+)*/g, "…")
    .replaceAll(/(?<=\S)\/[a-z-]+/g, "")
    .replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}|[0-9]+(\.[0-9]+)?/g, "…")
    .replace(/(?<=the API says).*/, "")
    .replaceAll(/\s+/g, " ")
    .trim()

/** Kinds of all that was violated; traces of stacks are not sentences. */
const kindsOf = ({ failure }: Outcome): ReadonlySet<string> =>
  new Set((failure ?? "").split("\n").filter((line) => line !== "" && !/^\s/.test(line)).map(kindOf))

/** The list without one of `parts` equal parts, for each of them; the later ones go first, since the end of a storm matters least. */
const withoutParts = <A>(list: ReadonlyArray<A>, parts: number): ReadonlyArray<ReadonlyArray<A>> => {
  const edge = (part: number) => Math.floor((part * list.length) / parts)
  return Array.from({ length: parts }, (_, i) => parts - 1 - i)
    .map((part) => [...list.slice(0, edge(part)), ...list.slice(edge(part + 1))])
}

/** All that happens, happens to this one. */
const onlyDevice = (plan: Plan, number: number): Plan => ({
  ...plan,
  devices: [number],
  late: plan.late.filter(({ device }) => device === number),
  ways: plan.ways.filter(({ device }) => device === number),
  deeds: plan.deeds.map((deed) => ({ ...deed, device: number }))
})

const withoutOthers = (plan: Plan, number: number): Plan => ({
  ...plan,
  deeds: plan.deeds.filter(({ device }) => device === number)
})

const withoutDevice = (plan: Plan, number: number): Plan => ({
  ...plan,
  devices: plan.devices.filter((each) => each !== number),
  late: plan.late.filter(({ device }) => device !== number),
  ways: plan.ways.filter(({ device }) => device !== number),
  deeds: plan.deeds.filter(({ device }) => device !== number)
})

/** All at half the distance in time. */
const hastened = (plan: Plan): Plan => ({
  ...plan,
  lasts: Math.ceil(plan.lasts / 2),
  deeds: plan.deeds.map((deed) => ({ ...deed, at: Math.floor(deed.at / 2) }))
})

/** Plans of plainer worlds, the largest steps first: what makes a storm quicker to play is tried before all else. */
const plainer = (plan: Plan): ReadonlyArray<Plan> => {
  // Until the cluster has its service accounts, no pod is let in.
  const calm = Math.min(plan.calm, 1_000)
  const simplest = { late: [], ciphers: "quick", settings: true, calm, operators: 1, life: 0 } as const
  const steps: ReadonlyArray<Partial<Plan>> = [
    simplest,
    { life: 0 },
    { ciphers: "quick" },
    { operators: 1 },
    { late: [] },
    { ways: [] },
    { settings: true },
    { calm }
  ]
  const several = plan.devices.length > 1 ? plan.devices : []
  return [
    ...steps.map((step) => ({ ...plan, ...step })),
    ...several.map((number) => onlyDevice(withoutOthers(plan, number), number)),
    ...several.map((number) => withoutDevice(plan, number)),
    ...several.map((number) => onlyDevice(plan, number))
  ].filter((each) => planText(each) !== planText(plan))
}

/** Shorter storms with the same deeds. */
const shorter = (plan: Plan): ReadonlyArray<Plan> => {
  const last = plan.deeds.at(-1)?.at ?? 0
  return [
    ...[last + 1_000, Math.ceil((last + plan.lasts) / 2)].filter((lasts) => lasts < plan.lasts - 1_000)
      .map((lasts) => ({ ...plan, lasts })),
    ...(plan.lasts > 4_000 ? [hastened(plan)] : [])
  ]
}

/** The smallest plan found whose storm violates what the first violation was about. */
export const shrink = Effect.fnUntraced(function*<A extends Outcome>(
  { atOnce = 1, outcome, plan, play, runs: most = 300, time = "2 minutes" }: ShrinkOptions<A>
) {
  const [wanted] = kindsOf(outcome)
  const ends = (yield* Clock.currentTimeMillis) + Duration.toMillis(Duration.fromInputUnsafe(time))
  let best = { plan, outcome }
  let runs = 0
  let exhausted = false

  /** Takes the first of these that still goes wrong, in their order, however many are played at once. */
  const take = Effect.fnUntraced(function*(candidates: ReadonlyArray<Plan>) {
    for (let next = 0; next < candidates.length; next += atOnce) {
      if (runs >= most || (yield* Clock.currentTimeMillis) >= ends) {
        exhausted = true
        return false
      }
      const some = candidates.slice(next, next + Math.min(atOnce, most - runs))
      runs += some.length
      const outcomes = yield* Effect.forEach(some, (each, lane) => play(each, lane), { concurrency: "unbounded" })
      const found = outcomes.findIndex((each) => wanted !== undefined && kindsOf(each).has(wanted))
      if (found >= 0) {
        best = { plan: some[found]!, outcome: outcomes[found]! }
        return true
      }
    }
    return false
  })

  /** Delta debugging: halves, quarters, and so on to single deeds. */
  const fewerDeeds = Effect.gen(function*() {
    let fewer = false
    for (let parts = 2; !exhausted && best.plan.deeds.length > 0;) {
      const { deeds } = best.plan
      const count = Math.min(parts, deeds.length)
      if (yield* take(withoutParts(deeds, count).map((left) => ({ ...best.plan, deeds: left })))) {
        fewer = true
        parts = Math.max(2, count - 1)
      } else if (count >= deeds.length) break
      else parts = count * 2
    }
    return fewer
  })

  let changed = true
  while (changed && !exhausted) {
    changed = false
    while (!exhausted && (yield* take(plainer(best.plan)))) changed = true
    if (yield* fewerDeeds) changed = true
    while (!exhausted && (yield* take(shorter(best.plan)))) changed = true
  }
  return { ...best, runs, done: !exhausted } satisfies Shrunk<A>
})

/**
 * What one device's link has carried today, against what its owner grants: counted from its sessions, kept in the EdgeDevice's
 * status, so that another operator goes on counting. Streams and metrics end where their budget does; control never does.
 */
import { Clock, Effect, Equal, Stream, SubscriptionRef } from "effect"
import type { DeviceTraffic as StatusTraffic } from "../device/EdgeDevice.ts"
import { parseTimestamp, timestamp } from "../kube/time.ts"
import { type Channel, LinkError, type Session } from "../link/Session.ts"
import { monotonic } from "../link/session/LinkSession.ts"
import {
  bytesOf,
  lessTraffic,
  noTraffic,
  plusTraffic,
  type TrafficClass,
  trafficClasses,
  type TrafficCount
} from "../link/Traffic.ts"
import { formatBytes } from "../pod/resolve/quantity.ts"
import type { DeviceContext } from "./DeviceContext.ts"

const dayMillis = 24 * 60 * 60_000
/** Counters alone are worth a write no more often, and only where they have grown by one of these. */
const ownWriteMillis = 5 * 60_000
const ownWriteBytes = 1024 * 1024
const ownWritePart = 0.01

const dayOf = (millis: number): string => timestamp(millis).slice(0, 10)
const startOf = (day: string): number => parseTimestamp(`${day}T00:00:00Z`) ?? 0

const countOf = (traffic: StatusTraffic | undefined, day: string): TrafficCount =>
  traffic?.day === day
    ? {
      control: traffic.control ?? noTraffic.control,
      streams: traffic.streams ?? noTraffic.streams,
      metrics: traffic.metrics ?? noTraffic.metrics
    }
    : noTraffic

const isNone = (count: TrafficCount) => trafficClasses.every((name) => bytesOf(count, name) === 0)
const same = (one: StatusTraffic | undefined, other: StatusTraffic): boolean =>
  one?.day === other.day && Equal.equals(countOf(one, other.day), countOf(other, other.day))

/** A write of which it is not known whether it came through. */
interface Attempt {
  readonly result: StatusTraffic
  /** What it adds to what the status said before. */
  readonly count: TrafficCount
}
/** Where an outage makes many of them, the first or the last came through. */
const mostAttempts = 16

export interface DeviceTraffic {
  /** Since this process began, for counters that only grow. */
  readonly ever: () => TrafficCount
  readonly today: () => TrafficCount
  readonly refused: () => { readonly [name in TrafficClass]: number }
  /** Which budgets are used up. */
  readonly exhausted: () => ReadonlyArray<TrafficClass>
  /** The session as the rest of the operator is to use it. */
  readonly guard: (session: Session) => Session
  /** The status says this now: another operator, too, may have added to it what it had counted. */
  readonly learn: (written: StatusTraffic | undefined) => void
  /** What the status shall say, given what it says; to be told by `written` that it does, or at once by `unwritten` that it is not tried. */
  readonly next: (before: StatusTraffic | undefined) => StatusTraffic | undefined
  /** The same for who writes nothing else any more: the device is another's, or the process ends. Undefined where it is not worth a write. */
  readonly rest: (before: StatusTraffic | undefined) => StatusTraffic | undefined
  readonly written: () => void
  readonly unwritten: () => void
  /** Whether the counters are worth a write of their own; the last of this process need not wait for its time. */
  readonly due: (last?: boolean) => boolean
}

export const deviceTraffic = Effect.fnUntraced(function*(
  context: DeviceContext,
  options: {
    readonly stored: StatusTraffic | undefined
    /** A budget has been used up. To be short: it is called while bytes pass. */
    readonly onExhausted: (name: TrafficClass, sentence: string) => void
  }
) {
  const clock = yield* Clock.Clock
  const now = () => clock.currentTimeMillisUnsafe()
  const passed = monotonic(clock)
  /** What the status says of the day, as far as is known. */
  let stored = options.stored
  /** What it does not say yet. */
  let unsaved = { day: dayOf(now()), count: noTraffic }
  const attempts: Array<Attempt> = []
  let writtenAt = passed()
  let ever = noTraffic
  const refused = { control: 0, streams: 0, metrics: 0 }
  const told = new Set<TrafficClass>()
  /** The newest session and the one before, which may have had last words; and what was taken from each. */
  const sessions = new Map<Session, TrafficCount>()

  /** A clock that is a little behind the one that counted before it goes on with its day. */
  const today = (): string => {
    const mine = dayOf(now())
    const theirs = stored?.day
    if (theirs === undefined || theirs <= mine) return mine
    return startOf(theirs) <= startOf(mine) + dayMillis ? theirs : mine
  }

  const budgetOf = (name: TrafficClass): number | undefined =>
    SubscriptionRef.getUnsafe(context.device).spec.connectivity.budget[name]

  const gather = (): void => {
    const day = today()
    if (unsaved.day !== day) {
      unsaved = { day, count: noTraffic }
      attempts.length = 0
      told.clear()
    }
    for (const [session, taken] of sessions) {
      const count = session.traffic()
      if (count === taken) continue
      sessions.set(session, count)
      const more = lessTraffic(count, taken)
      unsaved = { day, count: plusTraffic(unsaved.count, more) }
      ever = plusTraffic(ever, more)
    }
  }

  const total = (): TrafficCount => {
    gather()
    return plusTraffic(countOf(stored, unsaved.day), unsaved.count)
  }

  const sentence = (name: TrafficClass): string | undefined => {
    const budget = budgetOf(name)
    if (budget === undefined || bytesOf(total(), name) < budget) return undefined
    const next = timestamp(startOf(unsaved.day) + dayMillis)
    const what = `device ${context.name} has used up what it may spend on ${name} in a day, ${
      formatBytes(budget)
    } bytes`
    return name === "control"
      ? `${what}: nothing is held up, but see what keeps it busy (spec.connectivity.budget.control)`
      : `${what}: ask again after ${next}, or raise spec.connectivity.budget.${name}`
  }

  const over = (name: TrafficClass): LinkError | undefined => {
    const detail = sentence(name)
    if (detail === undefined) return undefined
    if (!told.has(name)) {
      told.add(name)
      options.onExhausted(name, detail)
    }
    return name === "control" ? undefined : new LinkError({ reason: "OverBudget", detail })
  }

  const refuse = (name: TrafficClass): LinkError | undefined => {
    const error = over(name)
    if (error !== undefined) refused[name] += 1
    return error
  }

  const guarded = (channel: Channel, name: TrafficClass): Channel => {
    const within = Effect.suspend(() => {
      const error = over(name)
      return error === undefined ? Effect.void : Effect.andThen(channel.fail(error.detail), Effect.fail(error))
    })
    return {
      ...channel,
      send: (message) => Effect.andThen(within, channel.send(message)),
      messages: Stream.mapArrayEffect(channel.messages, (messages) => Effect.as(within, messages))
    }
  }

  const guard = (session: Session): Session => {
    gather()
    for (const older of [...sessions.keys()].slice(0, -1)) sessions.delete(older)
    sessions.set(session, noTraffic)
    return {
      ...session,
      request: (message, request) =>
        Effect.suspend(() => {
          const error = refuse(request?.traffic ?? "control")
          return error === undefined ? session.request(message, request) : Effect.fail(error)
        }),
      open: (message, request) =>
        Effect.suspend(() => {
          const name = request?.traffic ?? "streams"
          const error = refuse(name)
          return error === undefined
            ? Effect.map(session.open(message, request), (channel) => guarded(channel, name))
            : Effect.fail(error)
        })
    }
  }

  const commit = (attempt: Attempt | undefined): void => {
    writtenAt = passed()
    if (attempt === undefined) return
    stored = attempt.result
    unsaved = { day: unsaved.day, count: lessTraffic(unsaved.count, attempt.count) }
    // The others began with what was before it: they are refused.
    attempts.length = 0
  }

  const learn = (written: StatusTraffic | undefined): void => {
    // The answer to a write may have been lost, and it was done all the same.
    const done = attempts.find(({ result }) => same(written, result))
    if (done !== undefined) return commit(done)
    stored = written
  }

  // Told before is told: whoever had the device before has said so.
  for (const name of trafficClasses) if (sentence(name) !== undefined) told.add(name)

  const traffic: DeviceTraffic = {
    ever: () => {
      gather()
      return ever
    },
    today: total,
    refused: () => refused,
    exhausted: () => trafficClasses.filter((name) => sentence(name) !== undefined),
    guard,
    learn,
    next: (before) => {
      learn(before)
      const count = total()
      for (const name of trafficClasses) over(name)
      if (isNone(count)) return before
      const result = { day: unsaved.day, ...count }
      // One that adds nothing would be taken for the status as it was before the others.
      if (!isNone(unsaved.count)) attempts.push({ result, count: unsaved.count })
      if (attempts.length > mostAttempts) attempts.splice(mostAttempts / 2, 1)
      return result
    },
    rest: (before) => {
      learn(before)
      return traffic.due(true) ? traffic.next(before) : undefined
    },
    written: () => commit(attempts.at(-1)),
    unwritten: () => void attempts.pop(),
    due: (last = false) => {
      gather()
      const { count } = unsaved
      if (isNone(count) || (!last && passed() - writtenAt < ownWriteMillis)) return false
      return trafficClasses.some((name) =>
        bytesOf(count, name) >= Math.min(ownWriteBytes, ownWritePart * (budgetOf(name) ?? Infinity))
      )
    }
  }
  return traffic
})

/** Devices with two ways to their operators: which one carries, what a change of ways may cost, and that one of them is enough. */
import { Effect, FiberSet } from "effect"
import type { Dialer } from "../../core/link/Transport.ts"
import type { Count } from "./coverage.ts"
import type { Dice } from "./faults/Dice.ts"
import type { Method, Reach } from "./ways.ts"
import type { SimulatedDevice } from "./World.ts"

export const methodRules = [
  "a session outlives the return to a better way",
  "streams outlive the return to a better way",
  "one way is enough",
  "the best way carries in the end"
]

/**
 * A device that one way can carry is connected within this: a way that was set aside for a refused credential is tried again after 5
 * minutes, and once the dial of the other way has ended.
 */
const connectedWithin = 6 * 60_000
/** Those that were away for ten minutes are patient, and their back-off is longer. */
const patientWithin = 11 * 60_000
const patientAfter = 10 * 60_000
/** What a return would break is broken within this. */
const brokenWithin = 5_000

/** A stream that somebody reads. */
export interface Stream {
  readonly words: string
  /** Why it ended, other than in order. */
  readonly error: () => string | undefined
}

interface Carried {
  readonly method: Method
  readonly holder: string | undefined
  /** Sessions the device had begun by then. */
  readonly sessions: number
}

interface Switching {
  readonly open: Set<{ readonly method: string }>
  carried: Carried | undefined
  /** Who had the device when it dialed last: whom it comes to may take it only then. */
  dialedUnder: string | undefined
}

/** Remembers which of a device's connections are up. */
const watched = (dialer: Dialer, { open }: Switching, dials: () => void): Dialer => ({
  ...dialer,
  connect: Effect.gen(function*() {
    dials()
    const connection = yield* dialer.connect
    const entry = { method: dialer.method }
    yield* Effect.acquireRelease(
      Effect.sync(() => open.add(entry)),
      () => Effect.sync(() => open.delete(entry))
    )
    return connection
  })
})

export const makeMethods = Effect.fnUntraced(function*({ count, deaths, note, violated }: {
  readonly count: Count
  /** When lives of a device's agent ended. */
  readonly deaths: ReadonlyMap<string, ReadonlyArray<number>>
  readonly note: (what: string) => Effect.Effect<void>
  readonly violated: (what: string) => void
}) {
  const all = new Map<string, Switching>()
  const devices = new Map<string, SimulatedDevice>()
  const fork = yield* FiberSet.makeRuntime()
  let holderOf: (device: string) => string | undefined = () => undefined
  let streamsOf: (device: string) => ReadonlyArray<Stream> = () => []

  const sessionsOf = (device: string) =>
    Effect.runSync(devices.get(device)?.journal.diary ?? Effect.succeed([])).filter((line) =>
      line.includes("put link lineage")
    ).length

  /** The better way has just taken over from one that is still up. */
  const returned = (device: string, before: Carried, now: Carried) => {
    count("ways: returned to the better")
    if (before.holder !== now.holder || all.get(device)?.dialedUnder !== now.holder) return
    count("rule: a session outlives the return to a better way")
    if (now.sessions > before.sessions) {
      violated(`${device} returns from ${before.method} to ${now.method}, and has to begin a new session`)
    }
    const streams = streamsOf(device)
    const died = deaths.get(device)?.length
    fork(Effect.delay(
      Effect.sync(() => {
        if (holderOf(device) !== now.holder || deaths.get(device)?.length !== died) return
        for (const { error, words } of streams) {
          count("rule: streams outlive the return to a better way")
          const why = error()
          if (why?.includes("session") ?? false) violated(`${words} is ended by the return to ${now.method}: ${why}`)
        }
      }),
      brokenWithin
    ))
  }

  /** Whether a session has a connection, as the device itself says. */
  const carriedBy = (device: string): Method | undefined => {
    const { carried, open } = all.get(device) ?? {}
    return carried !== undefined && [...open ?? []].some(({ method }) => method === carried.method)
      ? carried.method
      : undefined
  }
  const several = () => [...devices.values()].filter(({ reach }) => reach.ways.length > 1)

  return {
    watch: (name: string, reach: Reach): Reach => {
      const switching: Switching = { open: new Set(), carried: undefined, dialedUnder: undefined }
      all.set(name, switching)
      const dials = () => {
        switching.dialedUnder = holderOf(name)
      }
      return { ...reach, dialers: reach.dialers.map((dialer) => watched(dialer, switching, dials)) }
    },
    /** Once there are devices and an API to look at. */
    begin: (given: {
      readonly devices: ReadonlyArray<SimulatedDevice>
      readonly holderOf: (device: string) => string | undefined
      readonly streamsOf: (device: string) => ReadonlyArray<Stream>
    }) => {
      for (const device of given.devices) devices.set(device.name, device)
      holderOf = given.holderOf
      streamsOf = given.streamsOf
    },
    /** What a device's agent says. */
    heard: (name: string, text: string) => {
      const method = /^connected to the operator as \S+ by (memory|mqtt) /u.exec(text)?.[1] as Method | undefined
      const switching = all.get(name)
      const ranks = devices.get(name)?.reach.ways.map((way) => way.method) ?? []
      if (switching === undefined || method === undefined) return
      const before = switching.carried
      const now = { method, holder: holderOf(name), sessions: sessionsOf(name) }
      switching.carried = now
      const isUp = before !== undefined && [...switching.open].some((each) => each.method === before.method)
      if (isUp && ranks.indexOf(method) < ranks.indexOf(before.method)) returned(name, before, now)
    },
    /** Once nothing else is broken: each device that has two ways is left with one of them for a while, and has to be content. */
    lame: Effect.fnUntraced(function*(
      dice: Dice,
      stormMillis: number,
      /** Somebody reads from this device from now on. */
      read: (device: SimulatedDevice) => Effect.Effect<void>
    ) {
      const limit = stormMillis < patientAfter ? connectedWithin : patientWithin
      const left = several().map((device) => {
        const [dead, alive] = dice.chance() < 0.5 ? device.reach.ways : device.reach.ways.toReversed()
        return { device, dead: dead!, alive: alive! }
      })
      if (left.length === 0) return
      for (const { alive, dead, device } of left) {
        yield* note(`${device.name} is left with ${alive.method}`)
        if (dice.chance() < 0.5) yield* dead.darken(true)
        else {
          yield* dead.refuse(dice.pick(["Refused", "Rejected"] as const))
          yield* dead.cut
        }
      }
      yield* Effect.sleep(limit)
      for (const { alive, device } of left) {
        count("rule: one way is enough")
        const by = carriedBy(device.name)
        if (by !== alive.method) {
          violated(
            `${device.name} has ${alive.method} alone for ${limit / 60_000} minutes, and ${by ?? "nothing"} carries`
          )
        }
        yield* read(device)
      }
      yield* Effect.sleep(brokenWithin)
      for (const { dead } of left) {
        yield* dead.darken(false)
        yield* dead.refuse(undefined)
      }
    }),
    unsettled: (): ReadonlyArray<string> =>
      several().flatMap(({ name, reach }) => {
        const [best] = reach.ways
        const by = carriedBy(name)
        return by === best?.method ? [] : [`${name} could come by ${best?.method}, and comes by ${by ?? "nothing"}`]
      }),
    judge: () => {
      for (const _ of several()) count("rule: the best way carries in the end")
    }
  }
})

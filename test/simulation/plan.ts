/**
 * What a storm does, drawn from its seed before it begins: a list of deeds that can be written down, cut shorter and played again.
 * Each deed has dice of its own, so that what is left of a plan does the same as before.
 */
import { Effect, Schema } from "effect"
import { profileOf, profiles, type Shares } from "./profiles.ts"
import { ciphersOf, operatorsOf, type Size, type SizeName, sizeOf, sizes } from "./sizes.ts"
import { uniform } from "./uniform.ts"
import type { Method } from "./ways.ts"
import type { Ciphers } from "./World.ts"

export interface Deed {
  /** Milliseconds after the storm's beginning. */
  readonly at: number
  /** A fault, or what happens to a pod: a key of `episodes` or of the workload's `changes`. */
  readonly what: string
  /** Number of the device it happens to. */
  readonly device: number
  /** Of its own dice. */
  readonly seed: number
}

export interface Plan {
  /** Of the world: the order of fibers, delays, keys. */
  readonly seed: number
  readonly ciphers: Ciphers
  /** Numbers of its devices. */
  readonly devices: ReadonlyArray<number>
  /** Devices whose agent begins only so many milliseconds after the others. */
  readonly late: ReadonlyArray<{ readonly device: number; readonly millis: number }>
  /** Pods of each device that may live at once, on average. */
  readonly pods: number
  /** Whether what the pods refer to is there when the storm begins. */
  readonly settings: boolean
  /** Milliseconds between the start of the fleet and the storm. */
  readonly calm: number
  /** Milliseconds that the storm lasts; what its deeds began is cut short then. */
  readonly lasts: number
  /** Operators at once; each believes that it serves every device. */
  readonly operators: 1 | 2
  /** Devices that come through a broker, too, or through it alone: their ways, best first. The others come directly. */
  readonly ways: ReadonlyArray<{ readonly device: number; readonly methods: ReadonlyArray<Method> }>
  /** Whether each device with two ways has to be content with one of them after the storm. */
  readonly lame: boolean
  /** Milliseconds that the world lives at least: what is left of them when all is well passes in quiet. */
  readonly life: number
  /** In the order of time. */
  readonly deeds: ReadonlyArray<Deed>
}

/** Whole, and small enough to be read. */
const seedFrom = (chance: () => number) => Math.floor(chance() * 2 ** 31)

const shared = (shares: Shares, chance: number): string | undefined => {
  const all = Object.entries(shares)
  let left = chance * all.reduce((sum, [, share]) => sum + share, 0)
  for (const [what, share] of all) {
    left -= share
    if (left < 0) return what
  }
  return all[0]?.[0]
}

export interface PlanOptions {
  readonly seed: number
  /** The seed's own unless given. */
  readonly profile?: string
  /** Drawn from the seed unless given. */
  readonly size?: SizeName
  /** Drawn from the seed unless given. */
  readonly ciphers?: Ciphers
}

/** Drawn apart from all else. */
const waysOf = (seed: number, profile: string, devices: ReadonlyArray<number>): Plan["ways"] => {
  const chance = uniform(seed ^ 0xb20c)
  const { ways } = profiles[profile] ?? {}
  if (ways === undefined) return []
  const drawn = devices.map((device) => {
    const both = chance() < ways.both
    const methods: ReadonlyArray<Method> = both ? (chance() < 0.5 ? ["mqtt", "memory"] : ["memory", "mqtt"]) : ["mqtt"]
    return { device, methods, chosen: both || chance() < ways.mqtt }
  })
  // One at least.
  const first = Math.floor(chance() * drawn.length)
  return drawn.filter(({ chosen }, i) => chosen || i === first).map(({ device, methods }) => ({ device, methods }))
}

/** The storm of a seed. */
export const planOf = ({ ciphers, profile, seed, size: named }: PlanOptions): Plan => {
  const chance = uniform(seed ^ 0x9a17)
  const between = (least: number, most: number) => Math.floor(least + chance() * (most - least))
  const size: Size = sizes[named ?? sizeOf(seed)]
  const name = profile ?? profileOf(seed)
  const { deeds: shares = {}, faults = [], storm } = profiles[name] ?? {}
  const pause = storm?.pause ?? size.pause
  const devices = Array.from({ length: size.devices }, (_, i) => i + 1)
  const settings = chance() < 0.5
  const late = devices.filter(() => chance() < 0.15).map((device) => ({ device, millis: between(60_000, 500_000) }))
  const calm = between(0, 20_000)
  const lasts = between(...(storm?.lasts ?? size.storm))
  const deeds: Array<Deed> = devices.flatMap((device) =>
    Array.from({ length: size.pods[0] }, () => ({ at: 0, what: "create", device, seed: seedFrom(chance) }))
  )
  if (shares["partition"] !== undefined) {
    for (const device of devices) deeds.push({ at: 0, what: "partition", device, seed: seedFrom(chance) })
  }
  for (let at = between(...pause); at < lasts; at += between(...pause)) {
    const what = chance() < 0.4
      ? shared(shares, chance())
      : faults[between(0, faults.length)]
    const device = 1 + between(0, size.devices)
    if (what !== undefined) deeds.push({ at, what, device, seed: seedFrom(chance) })
  }
  return {
    seed,
    ciphers: ciphers ?? ciphersOf(seed),
    devices,
    late,
    pods: size.pods[1],
    settings,
    calm,
    lasts,
    operators: operatorsOf(seed),
    ways: waysOf(seed, name, devices),
    lame: profiles[name]?.lame ?? false,
    life: size.life,
    deeds
  }
}

const Whole = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

/** A plan as it is written down, its deeds as `[at, what, device, seed]`. */
const Written = Schema.fromJsonString(Schema.Struct({
  seed: Whole,
  ciphers: Schema.Literals(["quick", "real"]),
  devices: Schema.Array(Whole),
  late: Schema.Array(Schema.Struct({ device: Whole, millis: Whole })),
  pods: Whole,
  settings: Schema.Boolean,
  calm: Whole,
  lasts: Whole,
  operators: Schema.Literals([1, 2]),
  ways: Schema.Array(Schema.Struct({ device: Whole, methods: Schema.Array(Schema.Literals(["memory", "mqtt"])) })).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed([]))
  ),
  lame: Schema.Boolean.pipe(Schema.withDecodingDefaultKey(Effect.succeed(false))),
  life: Whole,
  deeds: Schema.Array(Schema.Tuple([Whole, Schema.String, Whole, Whole]))
}))

/** One line. */
export const planText = ({ deeds, ...plan }: Plan): string =>
  JSON.stringify({ ...plan, deeds: deeds.map(({ at, device, seed, what }) => [at, what, device, seed]) })

/** What `planText` wrote. */
export const readPlan = (text: string): Effect.Effect<Plan, Schema.SchemaError> =>
  Schema.decodeUnknownEffect(Written)(text).pipe(
    Effect.map(({ deeds, ...plan }) => ({
      ...plan,
      deeds: deeds.map(([at, what, device, seed]) => ({ at, what, device, seed })).toSorted((a, b) => a.at - b.at)
    }))
  )

/** A fault as an episode that begins, lasts, and undoes itself, and the world it befalls. */
import { Deferred, Duration, Effect, Option } from "effect"
import type { Brokers } from "../brokers.ts"
import type { Count } from "../coverage.ts"
import type { HostClock } from "../HostClock.ts"
import type { Program, SimulatedDevice } from "../World.ts"
import type { ApiWeather } from "./ApiWeather.ts"
import type { Dice } from "./Dice.ts"

export interface Victims {
  readonly dice: Dice
  readonly devices: ReadonlyArray<SimulatedDevice>
  readonly operators: ReadonlyArray<Program>
  readonly clocks: {
    readonly of: (device: SimulatedDevice) => HostClock
    readonly operators: ReadonlyArray<HostClock & { readonly name: string }>
  }
  /** Of each operator's requests. */
  readonly apis: ReadonlyArray<ApiWeather>
  /** The cluster's store forgets what has changed: watches go on only from now. */
  readonly compact: Effect.Effect<void>
  /** Of the cluster's store, now. */
  readonly version: () => number
  /** Somebody with the operator's key, who tells the device a lower epoch than it has obeyed, for as long as this runs. */
  readonly ghost: (device: SimulatedDevice) => Effect.Effect<void>
  /** The broker of those devices that come through one; undefined where none does. */
  readonly brokers: Brokers | undefined
  readonly note: (what: string) => Effect.Effect<void>
  /** Devices whose disk forgot what it had promised to keep, and when. */
  readonly forgetful: Map<string, ReadonlyArray<number>>
  readonly count: Count
  /** What the owner does about a device that is refused as a copy of itself. */
  readonly readmit: (device: SimulatedDevice) => Effect.Effect<void>
}

/** `missed`: it found nothing that it could have happened to. */
export type Episode = (victims: Victims, device: SimulatedDevice) => Effect.Effect<void | "missed">

/** Faults of one kind, by name. */
export type Episodes = Readonly<Record<string, Episode>>

export const lasting = (dice: Dice, least: number, most: number) =>
  Effect.sleep(Duration.millis(dice.between(least, most)))

/** How long a trap waits for its victim. */
const trapMillis = 60_000
export const sprung = (trap: Deferred.Deferred<void>) =>
  Effect.map(Effect.timeoutOption(Deferred.await(trap), trapMillis), Option.isSome)

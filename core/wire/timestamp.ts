/** Kubernetes' RFC 3339 times as whole seconds, and as offsets from the base of a report. */
import { DateTime, Option } from "effect"
import { long, number, reject } from "./message.ts"

/** 0001-01-01 to 9999-12-31, what RFC 3339 can write. */
const least = -62_135_596_800
const most = 253_402_300_799

/** Seconds since the Unix epoch; parts of a second are cut off, as Kubernetes does. */
export const secondsOf = (time: string): number => {
  const parsed = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(time) ?
    DateTime.make(time) :
    Option.none()
  return Option.isSome(parsed) ?
    Math.floor(DateTime.toEpochMillis(parsed.value) / 1000) :
    reject("Invalid", `${JSON.stringify(time.slice(0, 40))} is no RFC 3339 time`)
}

export const timeOf = (seconds: number): string =>
  seconds >= least && seconds <= most ?
    DateTime.formatIso(DateTime.makeUnsafe(seconds * 1000)).replace(".000Z", "Z") :
    reject("Invalid", `${seconds} seconds is no time`)

/** Turns times of one report into seconds from its base, and back. A null time is an absent one. */
export interface Times {
  readonly from: (time: string | null | undefined) => bigint | undefined
  readonly to: (offset: bigint | undefined) => string | undefined
}

export const times = (base: number): Times => ({
  from: (time) => time === undefined || time === null ? undefined : long(secondsOf(time) - base),
  to: (offset) => offset === undefined ? undefined : timeOf(base + number(offset))
})

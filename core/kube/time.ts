/** Kubernetes' two spellings of an instant, from and to milliseconds since the epoch. */
import { DateTime, Option } from "effect"

const two = (value: number): string => value < 10 ? `0${value}` : String(value)

/** From 1970 to 9999 by arithmetic (H. Hinnant, "days from civil", the other way), since every status has a handful of them. */
const iso = (millis: number): string => {
  if (!(millis >= 0 && millis < 253_402_300_800_000)) return DateTime.formatIso(DateTime.makeUnsafe(millis))
  const whole = Math.floor(millis)
  const days = Math.floor(whole / 86_400_000)
  const rest = whole - days * 86_400_000
  // Counted from 1 March of the year 0, so that a leap day is the last of its year; 146,097 days are 400 years.
  const shifted = days + 719_468
  const era = Math.floor(shifted / 146_097)
  const day = shifted - era * 146_097
  const year = Math.floor((day - Math.floor(day / 1460) + Math.floor(day / 36_524) - Math.floor(day / 146_096)) / 365)
  const ofYear = day - (365 * year + Math.floor(year / 4) - Math.floor(year / 100))
  const march = Math.floor((5 * ofYear + 2) / 153)
  const month = march < 10 ? march + 3 : march - 9
  const ofMonth = ofYear - Math.floor((153 * march + 2) / 5) + 1
  const hour = Math.floor(rest / 3_600_000)
  const minute = Math.floor(rest / 60_000) % 60
  const second = Math.floor(rest / 1000) % 60
  return `${year + era * 400 + (month <= 2 ? 1 : 0)}-${two(month)}-${two(ofMonth)}T${two(hour)}:${two(minute)}:${
    two(second)
  }.${String(rest % 1000).padStart(3, "0")}Z`
}

/** `metav1.Time`: whole seconds. */
export const timestamp = (millis: number): string => `${iso(millis).slice(0, 19)}Z`

/** `metav1.MicroTime`: six decimals, as Leases carry. */
export const microTimestamp = (millis: number): string => `${iso(millis).slice(0, 23)}000Z`

/** Undefined where it is no instant. */
export const parseTimestamp = (text: string | null | undefined): number | undefined =>
  text === null || text === undefined
    ? undefined
    : Option.getOrUndefined(Option.map(DateTime.make(text), DateTime.toEpochMillis))

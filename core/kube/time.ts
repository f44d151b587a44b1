/** Kubernetes' two spellings of an instant, from and to milliseconds since the epoch. */
import { DateTime, Option } from "effect"

const iso = (millis: number) => DateTime.formatIso(DateTime.makeUnsafe(millis))

/** `metav1.Time`: whole seconds. */
export const timestamp = (millis: number): string => `${iso(millis).slice(0, 19)}Z`

/** `metav1.MicroTime`: six decimals, as Leases carry. */
export const microTimestamp = (millis: number): string => `${iso(millis).slice(0, 23)}000Z`

/** Undefined where it is no instant. */
export const parseTimestamp = (text: string | null | undefined): number | undefined =>
  text === null || text === undefined
    ? undefined
    : Option.getOrUndefined(Option.map(DateTime.make(text), DateTime.toEpochMillis))

/** How long one try to connect may take: for all methods, and where a method says so for that alone. */
import { Duration } from "effect"
import { goDurationBetween } from "../../core/device/goDuration.ts"

export const DialTimeout = goDurationBetween(Duration.seconds(1), Duration.minutes(10), {
  description: "How long one try to connect may take."
})

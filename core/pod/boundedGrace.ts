/** A grace as engines, timers and devices can hold it. */

/** Seconds, 68 years: an engine counts them in nanoseconds, in 64 bits. */
const longest = 2 ** 31 - 1

/** The API takes any number of 64 bits. */
export const boundedGrace = (seconds: number): number => Math.min(Math.max(0, seconds), longest)

/** Tells a person what is going on: one line per step, with how long it took. */
import { Clock, Effect } from "effect"

// Whoever listened may be gone, with the terminal or the other end of a pipe: that must not keep the demo from ending in order.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {})

const terminal = process.stdout.isTTY

const paint = (code: string, text: string) => terminal ? `\x1b[${code}m${text}\x1b[0m` : text

export const say = (text = "") => Effect.sync(() => void process.stdout.write(`${text}\n`))

export const complain = (text: string) => Effect.sync(() => void process.stderr.write(`${text}\n`))

/** Shows the step, runs it, shows how it ended. */
export const step = Effect.fnUntraced(function*<A, E extends { readonly message: string }, R>(
  what: string,
  work: Effect.Effect<A, E, R>
) {
  const began = yield* Clock.currentTimeMillis
  if (terminal) yield* Effect.sync(() => void process.stdout.write(`  ${paint("2", "...")} ${what}`))
  const result = yield* work.pipe(
    Effect.tapError((error) => say(`${terminal ? "\r\x1b[K" : ""}  ${paint("31", "no ")} ${what}: ${error.message}`))
  )
  const millis = (yield* Clock.currentTimeMillis) - began
  yield* say(
    `${terminal ? "\r\x1b[K" : ""}  ${paint("32", "ok ")} ${what} ${paint("2", `${(millis / 1000).toFixed(1)} s`)}`
  )
  return result
})

export const heading = (text: string) => say(`\n${paint("1", text)}`)

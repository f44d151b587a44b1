/** What every Terminals promises; run against memory and the device itself. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, type Layer, Stream } from "effect"
import { Terminals } from "../../core/pod/Terminals.ts"
import { textOf } from "./runtimeWorld.ts"

/** Commands of the suite; each world says them in its own words. */
export type SeatedCommand =
  /** Prints each text in a line of its own, then ends with the code. */
  | { readonly _tag: "Says"; readonly texts: ReadonlyArray<string>; readonly code: number }
  /** Says `heard LINE` for each line, and `over` after the end of input. */
  | { readonly _tag: "Hears" }
  /** Says `WIDTHxHEIGHT` whenever that changes, the first time at once. */
  | { readonly _tag: "TellsSize" }
  | { readonly _tag: "Forever" }

export interface TerminalWorld {
  readonly layer: Layer.Layer<Terminals>
  readonly argv: (command: SeatedCommand) => ReadonlyArray<string>
}

export const terminalsContract = (name: string, world: TerminalWorld): void => {
  const environment = { PATH: "/usr/bin:/bin", TERM: "xterm" }
  const run = (command: SeatedCommand) =>
    Effect.flatMap(Terminals, (terminals) => terminals.run({ argv: world.argv(command), environment }))
  const test = (sentence: string, body: Effect.Effect<void, unknown, Terminals>) =>
    it.live(sentence, () => Effect.provide(Effect.timeout(body, "30 seconds"), world.layer), 40_000)

  /** Lets the body act when the text so far fits; gives all the output. */
  const until = (streams: Effect.Success<ReturnType<typeof run>>) => {
    let text = ""
    const waiting: Array<{ readonly fits: RegExp; readonly go: () => void }> = []
    const read = Stream.runForEach(streams.output, (piece) =>
      Effect.sync(() => {
        text += textOf([piece])
        for (const each of waiting) if (each.fits.test(text)) each.go()
      }))
    const seen = (fits: RegExp) =>
      Effect.callback<void>((resume) => {
        if (fits.test(text)) return resume(Effect.void)
        waiting.push({ fits, go: () => resume(Effect.void) })
      })
    return { all: Effect.andThen(read, Effect.sync(() => text)), seen }
  }

  describe(`${name} as Terminals`, () => {
    test(
      "run a command with its arguments as they are, and give its output in a terminal's lines and its exit code",
      Effect.scoped(Effect.gen(function*() {
        for (const code of [0, 1, 42, 255]) {
          const texts = ["plain", "$HOME `id` \"q\" 'p'", "back\\slash \\n", ""]
          const streams = yield* run({ _tag: "Says", texts, code })
          assert.strictEqual(
            textOf(yield* Stream.runCollect(streams.output)),
            texts.map((text) => `${text}\r\n`).join("")
          )
          assert.strictEqual(yield* streams.exitCode, code)
        }
      }))
    )

    test(
      "never lose the last words of a short command",
      Effect.gen(function*() {
        const texts = ["first", "x".repeat(20_000), "last"]
        yield* Effect.forEach(
          Array.from({ length: 20 }),
          () =>
            Effect.scoped(Effect.gen(function*() {
              const streams = yield* run({ _tag: "Says", texts, code: 3 })
              assert.strictEqual(
                textOf(yield* Stream.runCollect(streams.output)),
                `${texts.join("\r\n")}\r\n`
              )
            })),
          { discard: true, concurrency: 4 }
        )
      })
    )

    test(
      "echo what is typed, hand it over by lines, and take ^D for the end",
      Effect.scoped(Effect.gen(function*() {
        for (const end of ["typed", "told"] as const) {
          const streams = yield* run({ _tag: "Hears" })
          const screen = until(streams)
          const all = yield* Effect.forkScoped(screen.all)
          yield* streams.stdin(new TextEncoder().encode("one\r"))
          yield* screen.seen(/heard one/)
          yield* (end === "typed" ? streams.stdin(Uint8Array.of(4)) : streams.endStdin)
          const text = yield* Fiber.join(all)
          assert.match(text, /one\r\nheard one\r\n[^]*over\r\n$/)
          assert.strictEqual(yield* streams.exitCode, 0)
        }
      }))
    )

    test(
      "begin as 80x24 and tell the command of each new size",
      Effect.scoped(Effect.gen(function*() {
        const streams = yield* run({ _tag: "TellsSize" })
        const screen = until(streams)
        yield* Effect.forkScoped(screen.all)
        yield* screen.seen(/80x24/)
        yield* streams.resize({ width: 120, height: 40 })
        yield* screen.seen(/120x40/)
        yield* streams.resize({ width: 33, height: 7 })
        yield* screen.seen(/33x7/)
      }))
    )

    test(
      "take a size and input that come too late without a word",
      Effect.scoped(Effect.gen(function*() {
        const streams = yield* run({ _tag: "Says", texts: ["x"], code: 0 })
        yield* Stream.runDrain(streams.output)
        yield* streams.exitCode
        yield* streams.resize({ width: 100, height: 30 })
        yield* streams.endStdin
      }))
    )

    test(
      "end with their scope, and soon",
      Effect.scoped(Effect.gen(function*() {
        const streams = yield* run({ _tag: "Forever" })
        yield* streams.resize({ width: 100, height: 30 })
      }))
    )
  })
}

import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema, Stream } from "effect"
import { Terminals } from "../../core/pod/Terminals.ts"
import { type SeatedCommand, terminalsContract } from "../contracts/terminals.ts"
import { MemoryTerminals, type SeatedProgram } from "./MemoryTerminals.ts"

const Command = Schema.fromJsonString(Schema.Union([
  Schema.TaggedStruct("Says", { texts: Schema.Array(Schema.String), code: Schema.Int }),
  Schema.TaggedStruct("Hears", {}),
  Schema.TaggedStruct("TellsSize", {}),
  Schema.TaggedStruct("Forever", {})
]))

const program: SeatedProgram = (seat) =>
  Effect.gen(function*() {
    const command: SeatedCommand = yield* Effect.orDie(Schema.decodeUnknownEffect(Command)(seat.command.argv[0]))
    switch (command._tag) {
      case "Says":
        for (const text of command.texts) yield* seat.print(`${text}\n`)
        return command.code
      case "Hears":
        yield* Stream.runForEach(
          seat.typed,
          (text) => seat.print(text.split("\n").filter((line) => line !== "").map((line) => `heard ${line}\n`).join(""))
        )
        yield* seat.print("over\n")
        return 0
      case "TellsSize":
        yield* Stream.runForEach(seat.sizes, ({ height, width }) => seat.print(`${width}x${height}\n`))
        return 0
      case "Forever":
        return yield* Effect.never
    }
  })

terminalsContract("memory", {
  layer: Layer.provideMerge(
    Layer.effectDiscard(Effect.flatMap(MemoryTerminals, (memory) => memory.program(program))),
    MemoryTerminals.layer
  ),
  argv: (command) => [JSON.stringify(command)]
})

describe("terminals in memory", () => {
  it.effect("write down what became of commands, and refuse them when told", () =>
    Effect.gen(function*() {
      const memory = yield* MemoryTerminals
      const terminals = yield* Terminals
      yield* memory.program(() => Effect.never)
      yield* Effect.scoped(Effect.gen(function*() {
        const streams = yield* terminals.run({ argv: ["login", "-f", "root"], environment: {} })
        yield* streams.resize({ width: 120, height: 40 })
      }))
      yield* memory.missing("a terminal needs script, which this device does not have")
      const refused = yield* Effect.flip(Effect.scoped(terminals.run({ argv: ["sh"], environment: {} })))
      assert.deepStrictEqual([refused.reason, refused.message], [
        "Unsupported",
        "a terminal needs script, which this device does not have"
      ])
      assert.deepStrictEqual(yield* memory.diary, ["run login -f root", "resize 120x40", "hung up"])
    }).pipe(Effect.provide(MemoryTerminals.layer)))
})

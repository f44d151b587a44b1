import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { decodeConfig } from "../../../core/config/decodeConfig.ts"

const Config = Schema.Struct({
  arhat: Schema.Struct({
    log: Schema.optionalKey(
      Schema.Array(Schema.Struct({ level: Schema.Literals(["info", "error"]), file: Schema.String }))
    ),
    name: Schema.String,
    port: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 65535 })).pipe(
      Schema.withDecodingDefaultKey(Effect.succeed(8080))
    )
  })
})

const decode = (text: string, env: Readonly<Record<string, string>> = {}) =>
  decodeConfig(Config)("arhat.yaml", text, (name) => env[name])

describe("configuration", () => {
  it.effect("takes defaults and expands the environment inside strings", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(
        yield* decode("arhat:\n  name: $A-${B}-$(C)-$D\n", { A: "1", B: "2", C: "3: x\nport: 1" }),
        {
          arhat: { name: "1-2-3: x\nport: 1-$D", port: 8080 }
        }
      )
    }))

  it.effect("names an unknown key and the one that was probably meant, or those there are", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(decode("arhat:\n  name: x\n  logs: []\n  nonsense: 1\n"))
      assert.strictEqual(
        error.message,
        "arhat.yaml: unknown key arhat.logs, did you mean log?; unknown key arhat.nonsense (known here: log, name, port)"
      )
    }))

  it.effect("names the place and what was expected there", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(decode("arhat:\n  port: 0\n  log:\n  - level: loud\n    file: x\n"))
      assert.deepStrictEqual(error.problems.map((problem) => problem.split(":")[0]), [
        "arhat.log[0].level",
        "arhat.name",
        "arhat.port"
      ])
    }))

  it.effect("says where YAML itself is broken", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(decode("arhat: [1, 2\n"))
      assert.match(error.message, /^arhat\.yaml: it cannot be read as YAML: /)
    }))
})

/** Reads a program's configuration file; a file that was not asked for by name may be absent. */
import { Effect, FileSystem, type Schema } from "effect"
import { decodeConfig, InvalidConfig } from "../../core/config/decodeConfig.ts"

export const readConfig = Effect.fnUntraced(function*<S extends Schema.Codec<unknown, unknown>>(
  schema: S,
  options: { readonly path: string; readonly required: boolean; readonly remedy: string }
): Effect.fn.Return<S["Type"], InvalidConfig, FileSystem.FileSystem> {
  const files = yield* FileSystem.FileSystem
  const text = yield* files.readFileString(options.path).pipe(
    Effect.catch((error) =>
      error.reason._tag === "NotFound" && !options.required
        ? Effect.succeed("")
        : Effect.fail(
          new InvalidConfig({
            source: options.path,
            problems: [error.reason._tag === "NotFound" ? `there is no such file: ${options.remedy}` : error.message]
          })
        )
    )
  )
  return yield* decodeConfig(schema)(options.path, text, (name) => process.env[name])
})

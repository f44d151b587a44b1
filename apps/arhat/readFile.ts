/** Files that the configuration names, each failure with the key that names it. */
import { Effect, Schema } from "effect"
import { readFile } from "node:fs/promises"

export class UnreadableFile extends Schema.TaggedError<UnreadableFile>()("UnreadableFile", {
  key: Schema.String,
  detail: Schema.String
}) {
  override get message() {
    return `${this.key}: ${this.detail}`
  }
}

export const readBytes = (key: string, path: string): Effect.Effect<Uint8Array, UnreadableFile> =>
  Effect.tryPromise({
    try: () => readFile(path),
    catch: (cause) => new UnreadableFile({ key, detail: cause instanceof Error ? cause.message : String(cause) })
  })

/** Data in the configuration itself wins over a file. */
export const pem = (key: string, data: string | undefined, file: string | undefined) =>
  data !== undefined
    ? Effect.succeed<Uint8Array | undefined>(Buffer.from(data, "base64"))
    : file === undefined
    ? Effect.undefined
    : readBytes(key, file)

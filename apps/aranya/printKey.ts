/** Prints the operator's public key, and nothing else, to stdout: `$(aranya key)` is all that is needed of it. */
import { Console, Effect, Schema } from "effect"
import { Base64 } from "effect/encoding"
import * as LogSink from "../../adapters/logging/LogSink.ts"
import { Cryptography } from "../../core/link/Cryptography.ts"
import { operatorKey } from "../../core/operator/operatorKey.ts"

export class UnreadableKey extends Schema.TaggedError<UnreadableKey>()("UnreadableKey", { detail: Schema.String }) {
  override get message() {
    return `the operator's key cannot be read: ${this.detail}`
  }
}

/** Who asks waits for the answer, or is a script that does. */
const patience = "30 seconds"

export const printKey = Effect.fnUntraced(function*(namespace: string) {
  const { x25519Public } = yield* Cryptography
  const key = yield* operatorKey(namespace, { patience }).pipe(
    Effect.mapError(({ message }) => new UnreadableKey({ detail: message }))
  )
  yield* Console.log(Base64.encode(x25519Public(key)))
}, Effect.provide(LogSink.layer([{ level: "warn", format: "auto", file: "stderr" }])))

/** A log that breaks off says why in a line of its own, as a kubelet's does: a broken connection has no words. */
import { Effect, Stream } from "effect"

const newline = 10

/** Whoever hands the bytes on must have read them before the connection breaks, or it may take them with it. */
const linger = "250 millis"

export const lastWords = <E extends { readonly message: string }>(
  bytes: Stream.Stream<Uint8Array, E>
): Stream.Stream<Uint8Array, E> =>
  Stream.suspend(() => {
    let within = false
    return bytes.pipe(
      Stream.map((chunk) => {
        if (chunk.length > 0) within = chunk.at(-1) !== newline
        return chunk
      }),
      Stream.catch((error) =>
        Stream.concat(
          Stream.sync(() => new TextEncoder().encode(`${within ? "\n" : ""}aranya: ${error.message}\n`)),
          Stream.fromEffect(Effect.delay(Effect.fail(error), linger))
        )
      )
    )
  })

/** The sizes of a client's terminal: JSON documents, one a line, as remote command clients write them. */
import { Option, Schema, Stream } from "effect"
import type { TerminalSize } from "../../core/kubelet/RemoteClient.ts"

const Size = Schema.Struct({
  Width: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 65_535 })),
  Height: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 65_535 }))
})
const decodeSize = Schema.decodeUnknownOption(Schema.fromJsonString(Size))

/** No document is longer than this. */
const mostText = 1024

/**
 * A client without a terminal says 0x0 first, which is no size. What cannot be read is skipped: a wrong size is no reason to end a
 * session. Documents may come without their newline, in pieces or several at once.
 */
export const parseResizes = <E>(bytes: Stream.Stream<Uint8Array, E>): Stream.Stream<TerminalSize, E> =>
  Stream.suspend(() => {
    const decoder = new TextDecoder()
    let text = ""
    return bytes.pipe(
      Stream.map((piece) => {
        text = (text + decoder.decode(piece, { stream: true })).slice(-mostText)
        const sizes: Array<TerminalSize> = []
        for (let end = text.indexOf("}"); end !== -1; end = text.indexOf("}")) {
          const size = decodeSize(text.slice(0, end + 1))
          text = text.slice(end + 1)
          if (Option.isSome(size) && size.value.Width > 0 && size.value.Height > 0) {
            sizes.push({ width: size.value.Width, height: size.value.Height })
          }
        }
        return sizes
      }),
      // Only the newest of those that came together matters.
      Stream.map((sizes) => sizes.at(-1)),
      Stream.filter((size) => size !== undefined)
    )
  })

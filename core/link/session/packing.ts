/** Compression of single messages, where it pays; each on its own, so that lengths tell nothing of other messages. */
import { Priority } from "../../gen/aranya/link/v1/link_pb.ts"
import type { Cryptography } from "../Cryptography.ts"
import type { LinkStream, Message } from "./LinkStream.ts"

/** Without a shared dictionary a smaller message hardly shrinks. */
const least = 256
/** Deflate is synchronous: beyond this it would hold up everything else for too long. */
const most = 1024 * 1024
/** Bytes per millisecond beyond which sending is faster than compressing. */
const fastEnough = 4_000
/** Most messages of a stream to send as they are before trying again. */
const patience = 64

/** What to send for a message. A stream whose messages do not shrink is left alone for a while. */
export const pack = (
  cryptography: Cryptography["Service"],
  stream: LinkStream,
  data: Uint8Array,
  rate: number
): Message => {
  const plain = { data, inflated: 0 }
  // What is typed, printed on a terminal or forwarded: whoever sees lengths and can put words beside a secret would learn it.
  if (stream.kind === "channel" && stream.priority !== Priority.BULK) return plain
  if (data.length < least || data.length > most) return plain
  if (rate > fastEnough && stream.priority >= Priority.INTERACTIVE) return plain
  if (stream.skip > 0) {
    stream.skip -= 1
    return plain
  }
  const packed = cryptography.deflate(data)
  if (packed.length < data.length * 0.9) {
    stream.skipNext = 1
    return { data: packed, inflated: data.length }
  }
  stream.skip = stream.skipNext
  stream.skipNext = Math.min(patience, stream.skipNext * 2)
  return plain
}

/** The message as it was; undefined where the peer's bytes do not inflate to what it said. */
export const unpack = (cryptography: Cryptography["Service"], message: Message): Uint8Array | undefined => {
  if (message.inflated === 0) return message.data
  const data = cryptography.inflate(message.data, message.inflated)
  return data?.length === message.inflated ? data : undefined
}

/**
 * Bytes of logs, processes and ports as messages of a channel, whose bounds mean nothing to them: none so small that it costs more
 * than it says, none so large that it needs more memory than what its stream has reserved from the beginning.
 */

/** Fits a stream's least window of 16 KiB with what a message costs beside its bytes; a larger one would have to wait for memory. */
export const messageBytes = 16 * 1024 - 64

/** In one piece where it fits. */
export const inMessages = (bytes: Uint8Array): ReadonlyArray<Uint8Array> => {
  if (bytes.length <= messageBytes) return [bytes]
  const pieces: Array<Uint8Array> = []
  for (let at = 0; at < bytes.length; at += messageBytes) pieces.push(bytes.subarray(at, at + messageBytes))
  return pieces
}

/** What came at once, such as the lines of a log, in as few messages as it fits; nothing at all is one empty message. */
export const joinedInMessages = (pieces: ReadonlyArray<Uint8Array>): ReadonlyArray<Uint8Array> => {
  const [only] = pieces
  if (pieces.length === 1 && only !== undefined) return inMessages(only)
  let length = 0
  for (const piece of pieces) length += piece.length
  const all = new Uint8Array(length)
  let at = 0
  for (const piece of pieces) {
    all.set(piece, at)
    at += piece.length
  }
  return inMessages(all)
}

/** Cuts a byte stream into the lines of newline-delimited JSON, with a limit on the length of one line. */

const NEWLINE = 0x0a

export class LineTooLong extends Error {
  override readonly name = "LineTooLong"
  readonly limit: number
  constructor(limit: number) {
    super(`a line is longer than ${limit} bytes`)
    this.limit = limit
  }
}

/**
 * A stateful splitter: give it chunks, it gives complete lines as text. What has no newline yet waits, each byte copied once.
 * A half line at the end of a connection is never handed out: it may be a prefix of another valid document.
 * Throws `LineTooLong` before it would hold more than `limit` bytes.
 */
export const makeLines = (limit: number): (chunk: Uint8Array) => Array<string> => {
  const decoder = new TextDecoder()
  let waiting: Array<Uint8Array> = []
  let held = 0

  const join = (last: Uint8Array): Uint8Array => {
    if (waiting.length === 0) return last
    const whole = new Uint8Array(held + last.length)
    let at = 0
    for (const part of waiting) {
      whole.set(part, at)
      at += part.length
    }
    whole.set(last, at)
    waiting = []
    held = 0
    return whole
  }

  return (chunk) => {
    const lines: Array<string> = []
    let start = 0
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
      if (held + end - start > limit) throw new LineTooLong(limit)
      const line = join(chunk.subarray(start, end))
      if (line.length > 0) lines.push(decoder.decode(line))
      start = end + 1
    }
    if (start < chunk.length) {
      // A copy: the network's buffer may be large and must not be kept alive by a few bytes of it.
      const rest = new Uint8Array(chunk.subarray(start))
      if (held + rest.length > limit) throw new LineTooLong(limit)
      waiting.push(rest)
      held += rest.length
    }
    return lines
  }
}

/** Names and values of a stream's headers, compressed by one context per direction for as long as the connection lives. */
import { Effect, type Scope } from "effect"
import { constants, createDeflate, createInflate } from "node:zlib"
import { headerDictionary } from "./headerDictionary.ts"
import { SpdyError } from "./SpdyError.ts"

/** Names in lower case. */
export type Headers = ReadonlyMap<string, string>

/** A client sends three short headers for a stream. */
const mostBytes = 32 * 1024
const mostHeaders = 100

const decode = (block: Buffer): Headers => {
  let at = 0
  const number = () => {
    if (at + 4 > block.length) throw new SpdyError({ detail: "a header block that ends in the middle" })
    const value = block.readUInt32BE(at)
    at += 4
    return value
  }
  const text = () => {
    const length = number()
    if (length > block.length - at) throw new SpdyError({ detail: "a header block that ends in the middle" })
    const value = block.toString("utf8", at, at + length)
    at += length
    return value
  }
  const count = number()
  if (count > mostHeaders) throw new SpdyError({ detail: `${count} headers, ${mostHeaders} are allowed` })
  const headers = new Map<string, string>()
  for (let index = 0; index < count; index++) {
    const name = text().toLowerCase()
    // Several values are joined by NUL; where one is expected the first counts.
    headers.set(name, text().split("\0")[0] ?? "")
  }
  return headers
}

const encode = (headers: Headers): Buffer => {
  const parts: Array<Buffer> = []
  const number = (value: number) => {
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32BE(value)
    parts.push(bytes)
  }
  number(headers.size)
  for (const text of [...headers].flat()) {
    const bytes = Buffer.from(text, "utf8")
    number(bytes.length)
    parts.push(bytes)
  }
  return Buffer.concat(parts)
}

/** Runs bytes through a zlib stream up to its next flush; its output is refused beyond `most`. */
const through = (
  stream: ReturnType<typeof createDeflate> | ReturnType<typeof createInflate>,
  bytes: Uint8Array,
  most: number
): Effect.Effect<Buffer, SpdyError> =>
  Effect.callback((resume) => {
    const parts: Array<Buffer> = []
    let size = 0
    const done = (result: Effect.Effect<Buffer, SpdyError>) => {
      stream.off("data", take)
      stream.off("error", broken)
      resume(result)
    }
    const broken = (error: Error) => done(Effect.fail(new SpdyError({ detail: `headers: ${error.message}` })))
    const take = (part: Buffer) => {
      parts.push(part)
      size += part.length
      if (size > most) done(Effect.fail(new SpdyError({ detail: `headers of more than ${most} bytes` })))
    }
    if (stream.destroyed) return broken(new Error("the connection is closed"))
    stream.on("data", take)
    stream.once("error", broken)
    stream.write(bytes)
    stream.flush(constants.Z_SYNC_FLUSH, () => done(Effect.sync(() => Buffer.concat(parts))))
  })

const asSpdyError = (cause: unknown) =>
  cause instanceof SpdyError ? cause : new SpdyError({ detail: `headers: ${String(cause)}` })

export interface HeaderBlocks {
  /** To be asked in the order of the frames; after a failure the connection is of no use. */
  readonly decode: (block: Uint8Array) => Effect.Effect<Headers, SpdyError>
  readonly encode: (headers: Headers) => Effect.Effect<Uint8Array, SpdyError>
}

export const makeHeaderBlocks: Effect.Effect<HeaderBlocks, never, Scope.Scope> = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => {
      const zlib = {
        inflate: createInflate({ dictionary: headerDictionary }),
        // The least memory: what is sent are a few bytes.
        deflate: createDeflate({ dictionary: headerDictionary, windowBits: 11, memLevel: 1 })
      }
      // Whoever waits for a result is told; an error after that is nobody's.
      for (const each of [zlib.inflate, zlib.deflate]) each.on("error", () => {})
      return zlib
    }),
    ({ deflate, inflate }) =>
      Effect.sync(() => {
        inflate.destroy()
        deflate.destroy()
      })
  ),
  ({ deflate, inflate }) => ({
    decode: (block) =>
      Effect.flatMap(
        through(inflate, block, mostBytes),
        (bytes) => Effect.try({ try: () => decode(bytes), catch: asSpdyError })
      ),
    encode: (headers) => through(deflate, encode(headers), mostBytes)
  })
)

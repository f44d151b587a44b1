/** The client's end of a SPDY connection as kubectl has it, byte by byte, over a pair of streams in memory. */
import { NodeSocket } from "@effect/platform-node"
import { Effect } from "effect"
import { type Duplex, duplexPair } from "node:stream"
import { constants, createDeflate } from "node:zlib"
import { FrameReader } from "../../../adapters/kubelet/spdy/frames.ts"
import { headerDictionary } from "../../../adapters/kubelet/spdy/headerDictionary.ts"

export interface Seen {
  readonly type: "data" | "reply" | "reset" | "ping" | "goaway"
  readonly stream: number
  readonly text: string
  readonly fin: boolean
}

const number = (value: number) => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

const flushed = (stream: ReturnType<typeof createDeflate>, bytes: Buffer) =>
  Effect.callback<Buffer>((resume) => {
    const parts: Array<Buffer> = []
    const take = (part: Buffer) => void parts.push(part)
    stream.on("data", take)
    stream.write(bytes)
    stream.flush(constants.Z_SYNC_FLUSH, () => {
      stream.off("data", take)
      resume(Effect.succeed(Buffer.concat(parts)))
    })
  })

export const headerBlock = (headers: Readonly<Record<string, string>>): Buffer => {
  const entries = Object.entries(headers)
  const texts = entries.flat().flatMap((text) => [number(Buffer.byteLength(text)), Buffer.from(text)])
  return Buffer.concat([number(entries.length), ...texts])
}

export const control = (type: number, body: Uint8Array, flags = 0, version = 3): Buffer => {
  const head = Buffer.alloc(8)
  head.writeUInt16BE(0x8000 | version, 0)
  head.writeUInt16BE(type, 2)
  head.writeUInt32BE(body.length, 4)
  head.writeUInt8(flags, 4)
  return Buffer.concat([head, body])
}

/** Frames that open streams on one connection, in the order in which they are made. */
export const makeOpenings = () => {
  const deflate = createDeflate({ dictionary: headerDictionary })
  return {
    frame: (id: number, headers: Readonly<Record<string, string>>, fin = false) =>
      Effect.map(
        flushed(deflate, headerBlock(headers)),
        (block) => control(1, Buffer.concat([number(id), number(0), Buffer.from([0, 0]), block]), fin ? 1 : 0)
      ),
    destroy: () => void deflate.destroy()
  }
}

export const data = (stream: number, text: string | Uint8Array, fin = false): Buffer => {
  const bytes = Buffer.from(text as string)
  const head = Buffer.alloc(8)
  head.writeUInt32BE(stream, 0)
  head.writeUInt32BE(bytes.length, 4)
  head.writeUInt8(fin ? 1 : 0, 4)
  return Buffer.concat([head, bytes])
}

/** Reads frames of a server with this test's own eyes: replies are not frames a server reads. */
const framesIn = (bytes: Buffer): { readonly seen: ReadonlyArray<Seen>; readonly rest: Buffer } => {
  const seen: Array<Seen> = []
  let at = 0
  while (bytes.length - at >= 8) {
    const word = bytes.readUInt32BE(at)
    const length = bytes.readUIntBE(at + 5, 3)
    if (bytes.length - at < 8 + length) break
    const body = bytes.subarray(at + 8, at + 8 + length)
    const fin = (bytes[at + 4] ?? 0) === 1
    if (word < 0x80000000) seen.push({ type: "data", stream: word, text: body.toString("utf8"), fin })
    else {
      const type = ({ 2: "reply", 3: "reset", 6: "ping", 7: "goaway" } as const)[word & 0xffff]
      if (type === undefined) throw new Error(`a server sent a frame of type ${word & 0xffff}`)
      seen.push({ type, stream: body.readUInt32BE(0), text: type === "reset" ? String(body.readUInt32BE(4)) : "", fin })
    }
    at += 8 + length
  }
  return { seen, rest: bytes.subarray(at) }
}

export const makeSpdyPeer = Effect.gen(function*() {
  const [near, far]: [Duplex, Duplex] = duplexPair()
  const openings = makeOpenings()
  const seen: Array<Seen> = []
  let rest: Buffer = Buffer.alloc(0)
  let ended = false
  const waiting = new Set<() => void>()
  const wake = () => {
    for (const look of [...waiting]) look()
  }
  near.on("data", (bytes: Buffer) => {
    const found = framesIn(Buffer.concat([rest, bytes]))
    rest = found.rest
    seen.push(...found.seen)
    wake()
  })
  near.on("end", () => {
    ended = true
    wake()
  })
  near.on("error", () => {})
  far.on("error", () => {})
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      near.destroy()
      openings.destroy()
    })
  )

  const until = (look: () => boolean) =>
    Effect.callback<void>((resume) => {
      const attempt = () => {
        if (!look()) return
        waiting.delete(attempt)
        resume(Effect.void)
      }
      waiting.add(attempt)
      attempt()
      return Effect.sync(() => waiting.delete(attempt))
    })

  let next = 1
  return {
    socket: yield* NodeSocket.fromDuplex(Effect.succeed(far)),
    seen,
    until,
    ended: until(() => ended),
    write: (bytes: Uint8Array) => Effect.sync(() => void near.write(bytes)),
    /** What a stream has carried so far. */
    text: (stream: number) =>
      seen.filter((each) => each.type === "data" && each.stream === stream).map(({ text }) => text).join(""),
    finished: (stream: number) => until(() => seen.some((each) => each.stream === stream && each.fin)),
    /** Opens the next stream; returns its number once it has its reply. */
    open: Effect.fnUntraced(function*(headers: Readonly<Record<string, string>>, fin = false) {
      const id = next
      next += 2
      near.write(yield* openings.frame(id, headers, fin))
      yield* until(() => seen.some((each) => each.type === "reply" && each.stream === id))
      return id
    }),
    hangUp: Effect.sync(() => near.destroy()),
    pause: Effect.sync(() => void near.pause()),
    resume: Effect.sync(() => void near.resume())
  }
})

/** For tests of what a reader makes of any bytes. */
export const readAll = (bytes: Uint8Array) => new FrameReader().read(bytes)

/** A connection in memory whose client writes what it likes and hangs up. */
import { Effect } from "effect"
import { type Duplex, duplexPair } from "node:stream"

export interface Wire {
  /** The server's end. */
  readonly far: Duplex
  /** The first bytes that the server said. */
  readonly heard: () => Buffer
  /** Each piece is read by itself. */
  readonly say: (pieces: ReadonlyArray<Buffer>) => Effect.Effect<void>
  readonly turn: Effect.Effect<void>
  /** In order, or in the middle of everything. */
  readonly hangUp: (orderly: boolean) => Effect.Effect<void>
}

const mostHeard = 4096

/** Lets others have theirs. */
const turn = Effect.callback<void>((resume) => {
  setImmediate(() => resume(Effect.void))
})

export const makeWire = (): Wire => {
  const [near, far]: [Duplex, Duplex] = duplexPair()
  const heard: Array<Buffer> = []
  let size = 0
  near.on("data", (bytes: Buffer) => {
    if (size < mostHeard) heard.push(bytes)
    size += bytes.length
  })
  near.on("error", () => {})
  far.on("error", () => {})
  return {
    far,
    turn,
    heard: () => Buffer.concat(heard),
    say: (pieces) =>
      Effect.forEach(pieces, (piece) => {
        if (near.writable) near.write(piece)
        return turn
      }, { discard: true }),
    hangUp: (orderly) =>
      Effect.sync(() => {
        if (orderly) return void near.end()
        near.destroy()
        // A socket would be told so; a pair in memory is not.
        far.destroy(new Error("read ECONNRESET"))
      })
  }
}

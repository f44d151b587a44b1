/** Exec and logs by the Engine API alone, on a connection each: what the same costs with nothing in between. */
import { Effect, Schema, type Scope } from "effect"
import { type IncomingMessage, request } from "node:http"
import type { Socket } from "node:net"
import type { Engine } from "../e2e/engine.ts"
import { StreamBroke, type Talk } from "./kubeletClient.ts"

const Created = Schema.Struct({ Id: Schema.String })
/** Before each piece of output: its stream, three zeros, four bytes of length. */
const headBytes = 8

/** Strips the heads of pieces wherever they were cut, copying nothing. */
const makePayloads = () => {
  const head = Buffer.alloc(headBytes)
  let have = 0
  let left = 0
  return (bytes: Buffer, take: (bytes: Uint8Array) => void): void => {
    for (let at = 0; at < bytes.length;) {
      if (left > 0) {
        const size = Math.min(left, bytes.length - at)
        take(bytes.subarray(at, at + size))
        left -= size
        at += size
        continue
      }
      const size = Math.min(headBytes - have, bytes.length - at)
      bytes.copy(head, have, at, at + size)
      have += size
      at += size
      if (have < headBytes) return
      have = 0
      left = head.readUInt32BE(4)
    }
  }
}

export const dockerStreams = (engine: Engine, socketPath: string) => ({
  exec: Effect.fnUntraced(function*(
    container: string,
    command: ReadonlyArray<string>,
    options: { readonly stdin?: boolean } = {}
  ) {
    const answer = yield* engine.json("POST", `/containers/${container}/exec`, {
      body: { AttachStdin: options.stdin === true, AttachStdout: true, Cmd: command }
    })
    const { Id } = yield* Schema.decodeUnknownEffect(Created)(answer)
    return yield* Effect.acquireRelease(
      Effect.callback<Talk, StreamBroke>((resume) => {
        const broke = (detail: string) => resume(Effect.fail(new StreamBroke({ what: `exec in ${container}`, detail })))
        const call = request({
          socketPath,
          method: "POST",
          path: `/exec/${Id}/start`,
          headers: { "content-type": "application/json", connection: "Upgrade", upgrade: "tcp" }
        })
        call.on("response", ({ statusCode }) => broke(`status ${statusCode}`))
        call.on("error", (error) => broke(error.message))
        call.on("upgrade", (_, socket: Socket, first: Buffer) => {
          const payloads = makePayloads()
          const over = new Promise<void>((done) => socket.on("close", () => done()))
          socket.on("error", () => {})
          socket.pause()
          resume(Effect.succeed({
            write: (bytes) => void socket.write(bytes),
            waiting: () => socket.writableLength,
            onBytes: (take) => {
              payloads(first, take)
              socket.on("data", (bytes: Buffer) => payloads(bytes, take)).resume()
            },
            words: () => "",
            over,
            close: () => void socket.destroy()
          }))
        })
        call.end(JSON.stringify({ Detach: false, Tty: false }))
      }),
      (talk) => Effect.sync(talk.close)
    )
  }),
  logs: (container: string): Effect.Effect<IncomingMessage, StreamBroke, Scope.Scope> =>
    Effect.acquireRelease(
      Effect.callback<IncomingMessage, StreamBroke>((resume) => {
        request({ socketPath, path: `/containers/${container}/logs?stdout=1&stderr=1` }, (response) => {
          response.on("error", () => {})
          resume(Effect.succeed(response))
        }).on("error", (error) =>
          resume(Effect.fail(new StreamBroke({ what: `logs of ${container}`, detail: error.message })))).end()
      }),
      (response) =>
        Effect.sync(() => void response.destroy())
    )
})
export type DockerStreams = ReturnType<typeof dockerStreams>

/** Peers of a gRPC listener that keep to no rule: TCP and HTTP/2 by hand. */
import { Effect, type Scope } from "effect"
import { type ClientHttp2Session, type ClientHttp2Stream, connect as connectHttp2 } from "node:http2"
import { connect as connectTcp, createServer, type Socket } from "node:net"
import { linkMethod } from "../../../adapters/grpc/linkMethod.ts"

/** A connection that says nothing by itself; `ended` once the other side is gone. */
export const tcp = (
  port: number
): Effect.Effect<{ readonly socket: Socket; readonly ended: Promise<void> }, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<{ readonly socket: Socket; readonly ended: Promise<void> }>((resume) => {
      const socket = connectTcp(port, "127.0.0.1")
      const ended = new Promise<void>((done) => socket.once("close", () => done()))
      socket.on("error", () => {})
      socket.once("connect", () => resume(Effect.succeed({ socket, ended })))
      socket.resume()
    }),
    ({ socket }) => Effect.sync(() => socket.destroy())
  )

export interface RawCall {
  readonly stream: ClientHttp2Stream
  /** The status the call ended with: that of gRPC, else `none`. */
  readonly status: Promise<string>
}

export const http2 = (port: number): Effect.Effect<ClientHttp2Session, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => connectHttp2(`http://127.0.0.1:${port}`).on("error", () => {})),
    (session) => Effect.sync(() => session.destroy())
  )

/** A call as a gRPC client would open it, with whatever headers instead. */
export const call = (session: ClientHttp2Session, headers: Readonly<Record<string, string>> = {}): RawCall => {
  const stream = session.request({
    ":method": "POST",
    ":path": linkMethod.path,
    "content-type": "application/grpc",
    te: "trailers",
    ...headers
  })
  let seen = "none"
  const look = (block: Readonly<Record<string, unknown>>) => {
    if (typeof block["grpc-status"] === "string") seen = block["grpc-status"]
  }
  stream.on("response", look).on("trailers", look).on("error", () => {}).resume()
  return { stream, status: new Promise((done) => stream.once("close", () => done(seen))) }
}

/** A message as gRPC frames it: a flag, the length it claims to have, and bytes. */
export const framed = (bytes: Uint8Array, claims = bytes.length, flag = 0): Buffer => {
  const head = Buffer.alloc(5)
  head.writeUInt8(flag)
  head.writeUInt32BE(claims, 1)
  return Buffer.concat([head, bytes])
}

/** Forwards one connection after the other to a port and keeps what the clients said. */
export const recorder = (port: number) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly port: number; readonly said: Array<Buffer>; readonly close: () => void }>((resume) => {
      const said: Array<Buffer> = []
      const server = createServer((client) => {
        const onward = connectTcp(port, "127.0.0.1")
        client.on("data", (chunk: Buffer) => said.push(chunk)).on("error", () => onward.destroy()).pipe(onward)
        onward.on("error", () => client.destroy()).pipe(client)
      })
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        const bound = typeof address === "object" && address !== null ? address.port : 0
        resume(Effect.succeed({ port: bound, said, close: () => server.close() }))
      })
    }),
    ({ close }) => Effect.sync(close)
  )

/** The client of a port-forward behind a SPDY connection: `portforward.k8s.io`, a pair of streams for each connection. */
import { Effect, FiberMap, Stream } from "effect"
import { ClientGone, type ForwardClient, type ForwardedConnection } from "../../../core/kubelet/RemoteClient.ts"
import type { SpdyConnection, SpdyStream } from "./SpdyConnection.ts"
import type { SpdyError } from "./SpdyError.ts"
import { StreamCreationTimeout } from "./StreamCreationTimeout.ts"

export const portForwardProtocol = "portforward.k8s.io"

/** Halves of pairs that wait for the other; as a kubelet, so many connections begin at once. */
const mostHalves = 256

const leaves = (error: SpdyError) => new ClientGone({ detail: error.message })
const wrong = (detail: string) => new ClientGone({ detail })

const portOf = (stream: SpdyStream): number | undefined => {
  const port = Number(stream.headers.get("port") ?? "")
  return Number.isInteger(port) && port >= 1 && port <= 65_535 ? port : undefined
}

/** Clients of long ago sent no request id: their data stream comes right after its error stream, two numbers on. */
const requestOf = (stream: SpdyStream, type: "data" | "error"): string =>
  stream.headers.get("requestid") ?? `stream ${type === "error" ? stream.id : stream.id - 2}`

const connectionOf = (port: number, data: SpdyStream, error: SpdyStream): ForwardedConnection => ({
  port,
  input: Stream.mapError(data.input, leaves),
  send: (bytes) => Effect.mapError(data.send(bytes), leaves),
  end: Effect.all([data.end, data.ignoreInput, error.end], { discard: true }).pipe(Effect.mapError(leaves)),
  fail: (words) =>
    Effect.all([error.send(new TextEncoder().encode(words)), error.end, data.reset], { discard: true }).pipe(
      Effect.mapError(leaves)
    )
})

export const spdyForwardClient = (connection: SpdyConnection): ForwardClient => ({
  connections: Stream.unwrap(Effect.map(pairing(connection), Stream.fromEffectRepeat))
})

/** The next pair, each time it is run. */
const pairing = Effect.fnUntraced(function*(connection: SpdyConnection) {
  const patience = yield* StreamCreationTimeout
  const halves = new Map<string, { readonly type: "data" | "error"; readonly stream: SpdyStream }>()
  const waiting = yield* FiberMap.make<string>()
  const tooLate = (request: string, stream: SpdyStream) =>
    Effect.sleep(patience).pipe(
      Effect.andThen(Effect.sync(() => halves.delete(request))),
      Effect.andThen(Effect.ignore(stream.reset))
    )

  const next: Effect.Effect<ForwardedConnection, ClientGone> = Effect.gen(function*() {
    while (true) {
      const stream = yield* Effect.mapError(connection.accept, leaves)
      const type = stream.headers.get("streamtype")
      if (type !== "data" && type !== "error") {
        return yield* wrong(`it opened a stream of type ${type?.slice(0, 40) ?? "none"}`)
      }
      const port = portOf(stream)
      if (port === undefined) {
        return yield* wrong(`it asked for port ${stream.headers.get("port")?.slice(0, 40) ?? "none"}`)
      }
      const request = requestOf(stream, type)
      const other = halves.get(request)
      if (other === undefined) {
        if (halves.size >= mostHalves) return yield* wrong(`${mostHalves} streams wait for their other half`)
        halves.set(request, { type, stream })
        yield* FiberMap.run(waiting, request, tooLate(request, stream))
        continue
      }
      if (other.type === type) return yield* wrong(`it opened two ${type} streams for one connection`)
      halves.delete(request)
      yield* FiberMap.remove(waiting, request)
      const [data, error] = type === "data" ? [stream, other.stream] : [other.stream, stream]
      // Clients say nothing there; what one says must not keep the connection from being read.
      yield* error.ignoreInput
      return connectionOf(port, data, error)
    }
  })
  return next
})

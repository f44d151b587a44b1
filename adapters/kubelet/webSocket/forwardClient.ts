/** The client of a port-forward behind a WebSocket: for the i-th port channel 2i is its data, 2i+1 its error. */
import { type Cause, Effect, Queue, Stream } from "effect"
import type { ClientGone, ForwardClient, ForwardedConnection } from "../../../core/kubelet/RemoteClient.ts"
import type { ChannelSocket } from "./channels.ts"

/** Best first; a client that names none means the binary form. */
export const portForwardSubprotocols = ["v4.channel.k8s.io", "v4.base64.channel.k8s.io"]

/** Messages of one port that wait for it; then the socket is not read. */
const mostMessages = 16

const littleEndian = (port: number) => Uint8Array.of(port & 0xff, port >>> 8)

/** Reads for as long as the scope lives. Each port has one connection, and the socket ends with the last of them. */
export const webSocketForwardClient = Effect.fnUntraced(function*(socket: ChannelSocket, ports: ReadonlyArray<number>) {
  let open = ports.length
  const over = Effect.suspend(() => {
    open -= 1
    return open === 0 ? socket.close : Effect.void
  })
  const inputs: Array<Queue.Queue<Uint8Array, ClientGone | Cause.Done>> = []
  const connections: Array<ForwardedConnection> = []
  for (const [index, port] of ports.entries()) {
    const input = yield* Queue.bounded<Uint8Array, ClientGone | Cause.Done>(mostMessages)
    const [data, error] = [2 * index, 2 * index + 1]
    for (const channel of [data, error]) yield* socket.send(channel, littleEndian(port))
    inputs.push(input)
    connections.push({
      port,
      input: Stream.fromQueue(input),
      send: (bytes) => socket.send(data, bytes),
      end: Effect.andThen(Queue.shutdown(input), over),
      fail: (words) =>
        socket.send(error, new TextEncoder().encode(words)).pipe(
          Effect.andThen(Queue.shutdown(input)),
          Effect.andThen(over)
        )
    })
  }

  const read = Effect.gen(function*() {
    while (true) {
      for (const { bytes, channel } of yield* socket.receive) {
        const input = channel % 2 === 0 ? inputs[channel / 2] : undefined
        if (input !== undefined && bytes.length > 0) yield* Queue.offer(input, bytes)
      }
    }
  })
  const left = yield* read.pipe(
    Effect.catch((error: ClientGone) =>
      Effect.as(Effect.forEach(inputs, (input) => Queue.fail(input, error), { discard: true }), error)
    ),
    Effect.forkScoped
  )
  // There will be no others, and these go on until the client leaves.
  const client: ForwardClient = { connections: Stream.concat(Stream.fromIterable(connections), Stream.never) }
  return { client, left }
})

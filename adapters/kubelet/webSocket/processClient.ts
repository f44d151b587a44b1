/** The client of an exec or attach behind a WebSocket: `channel.k8s.io`, v4 and v5, and their base64 forms. */
import { type Cause, Effect, Queue, Stream } from "effect"
import { plainStatus, processStatus } from "../../../core/kubelet/processStatus.ts"
import { ClientGone, type ProcessClient } from "../../../core/kubelet/RemoteClient.ts"
import type { ExecSpec } from "../../../core/pod/ContainerRuntime.ts"
import { parseResizes } from "../resizes.ts"
import type { ChannelSocket } from "./channels.ts"

/** Best first; a client that names none speaks `channel.k8s.io`. */
export const remoteCommandSubprotocols = [
  "v5.channel.k8s.io",
  "v4.channel.k8s.io",
  "v4.base64.channel.k8s.io",
  "channel.k8s.io",
  "base64.channel.k8s.io"
]

const channels = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4, close: 255 } as const

/** Messages that wait for their reader; then the socket is not read. */
const mostMessages = 16

/** Reads for as long as the scope lives. */
export const webSocketProcessClient = Effect.fnUntraced(function*(
  socket: ChannelSocket,
  protocol: string,
  options: Omit<ExecSpec, "command">
) {
  const stdin = yield* Queue.bounded<Uint8Array, ClientGone | Cause.Done>(mostMessages)
  const resize = yield* Queue.sliding<Uint8Array, ClientGone | Cause.Done>(mostMessages)
  // Nobody reads what was not asked for: it must not keep the socket from being read.
  if (!options.stdin) yield* Queue.shutdown(stdin)

  const read = Effect.gen(function*() {
    while (true) {
      for (const { bytes, channel } of yield* socket.receive) {
        if (channel === channels.stdin && bytes.length > 0) yield* Queue.offer(stdin, bytes)
        else if (channel === channels.resize) yield* Queue.offer(resize, bytes)
        else if (channel === channels.close && protocol.startsWith("v5") && bytes[0] === channels.stdin) {
          yield* Queue.end(stdin)
        }
      }
    }
  })
  const left = yield* read.pipe(
    Effect.catch((error: ClientGone) =>
      Effect.andThen(Queue.fail(stdin, error), Effect.as(Queue.fail(resize, error), error))
    ),
    Effect.forkScoped
  )
  // That the connection is up: an empty message on the first channel that this side may write.
  yield* socket.send(channels.stdout, new Uint8Array(0))

  const client: ProcessClient = {
    input: Stream.fromQueue(stdin),
    resizes: parseResizes(Stream.fromQueue(resize)),
    output: ({ bytes, stream }) => socket.send(channels[stream], bytes),
    finish: (outcome) =>
      Effect.gen(function*() {
        const words = /^v[45]\./u.test(protocol) ? processStatus(outcome) : plainStatus(outcome)
        if (words !== "") yield* socket.send(channels.error, new TextEncoder().encode(words))
        yield* Queue.shutdown(stdin)
        yield* socket.close
      })
  }
  return { client, left }
})

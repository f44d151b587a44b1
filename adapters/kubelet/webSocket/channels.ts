/** Messages of several channels on one WebSocket: the first byte, or the first letter before base64, says which. */
import { Effect } from "effect"
import { Socket } from "effect/socket"
import { ClientGone } from "../../../core/kubelet/RemoteClient.ts"

export interface ChannelMessage {
  readonly channel: number
  readonly bytes: Uint8Array
}

export interface ChannelSocket {
  /** The next messages, in order. */
  readonly receive: Effect.Effect<ReadonlyArray<ChannelMessage>, ClientGone>
  readonly send: (channel: number, bytes: Uint8Array) => Effect.Effect<void, ClientGone>
  /** A normal end, after what was sent. */
  readonly close: Effect.Effect<void, ClientGone>
}

export const asGone = (error: Socket.SocketError) =>
  new ClientGone({ detail: error.reason._tag === "SocketCloseError" ? "the client hung up" : error.message })

/** Messages larger than this are cut: clients have buffers of this size, and others get their turn. */
const mostBytes = 32 * 1024

/** Letters go on behind the digits, as Kubernetes counts: `:` is channel 10. */
const zero = 0x30

const decode = (message: Uint8Array | string, base64: boolean): ChannelMessage | undefined => {
  const bytes = typeof message === "string" ? Buffer.from(message) : message
  const first = bytes[0]
  if (first === undefined) return undefined
  if (!base64) return { channel: first, bytes: bytes.subarray(1) }
  return { channel: first - zero, bytes: Buffer.from(Buffer.from(bytes.subarray(1)).toString("latin1"), "base64") }
}

export const makeChannelSocket = Effect.fnUntraced(function*(socket: Socket.Socket, base64: boolean) {
  const { pull } = yield* Effect.mapError(socket.reader, asGone)
  const writer = yield* socket.writer
  const write = (chunk: Parameters<typeof writer.write>[0]) => Effect.mapError(writer.write(chunk), asGone)

  const message = (channel: number, bytes: Uint8Array): Uint8Array | string => {
    if (base64) return `${String.fromCharCode(zero + channel)}${Buffer.from(bytes).toString("base64")}`
    const whole = new Uint8Array(bytes.length + 1)
    whole[0] = channel
    whole.set(bytes, 1)
    return whole
  }

  const made: ChannelSocket = {
    receive: pull.pipe(
      Effect.mapError(asGone),
      Effect.map((messages) => messages.map((each) => decode(each, base64)).filter((each) => each !== undefined))
    ),
    send: Effect.fnUntraced(function*(channel, bytes) {
      yield* write(message(channel, bytes.subarray(0, mostBytes)))
      for (let at = mostBytes; at < bytes.length; at += mostBytes) {
        yield* write(message(channel, bytes.subarray(at, at + mostBytes)))
      }
    }),
    close: write(new Socket.CloseEvent(1000))
  }
  return made
})

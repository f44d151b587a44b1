/** WebSockets: messages of exec, port-forward and tunnelled SPDY in frames as clients write them, spoiled. */
import { NodeWS } from "@effect/platform-node"
import { type Array as Arr, Effect, Stream } from "effect"
import { Socket } from "effect/socket"
import type { IncomingMessage } from "node:http"
import type { Writable } from "node:stream"
import * as ws from "ws"
import { parseResizes } from "../../adapters/kubelet/resizes.ts"
import { StreamCreationTimeout } from "../../adapters/kubelet/spdy/StreamCreationTimeout.ts"
import { chooseSubprotocol, mostMessageBytes, overWebSocket, tunnelled } from "../../adapters/kubelet/upgrade.ts"
import { makeChannelSocket } from "../../adapters/kubelet/webSocket/channels.ts"
import { portForwardSubprotocols } from "../../adapters/kubelet/webSocket/forwardClient.ts"
import { remoteCommandSubprotocols } from "../../adapters/kubelet/webSocket/processClient.ts"
import { WebSocketWithoutEmpties } from "../../adapters/kubelet/webSocket/WebSocketWithoutEmpties.ts"
import type { Dice } from "./Dice.ts"
import { executing, forwarding } from "./echo.ts"
import { finding, type FuzzedLayer, makeEnds } from "./FuzzedLayer.ts"
import { cut, mutate, shuffle } from "./mutate.ts"
import { serve } from "./serve.ts"
import { makeWire } from "./wire.ts"

/** RFC 6455, 5.2: a client masks. The length may lie. */
const frame = (dice: Dice, opcode: number, payload: Buffer): Buffer => {
  const said = dice.chance(0.02) ? dice.oneOf([0, 125, 65_536, mostMessageBytes + 1, 0x7fffffff]) : payload.length
  const fin = dice.chance(0.95) ? 0x80 : 0
  const reserved = dice.chance(0.02) ? 0x40 : 0
  const masked = dice.chance(0.99)
  const short = said < 126 ? said : said < 65_536 ? 126 : 127
  const head = Buffer.from([fin | reserved | opcode, (masked ? 0x80 : 0) | short])
  const long = Buffer.alloc(short === 126 ? 2 : short === 127 ? 8 : 0)
  if (short === 126) long.writeUInt16BE(said)
  if (short === 127) long.writeBigUInt64BE(BigInt(said) | (dice.chance(0.01) ? 1n << 62n : 0n))
  const mask = masked ? dice.bytes(4) : Buffer.alloc(0)
  return Buffer.concat([head, long, mask, masked ? payload.map((byte, at) => byte ^ (mask[at % 4] ?? 0)) : payload])
}

const opcodes = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const

const resizes = [`{"Width":80,"Height":24}`, `{"Width":-1,"Height":1e99}`, "{", "x".repeat(2000)]

const message = (dice: Dice, base64: boolean): Buffer => {
  if (dice.chance(0.1)) {
    const code = Buffer.alloc(2)
    code.writeUInt16BE(dice.oneOf([1000, 1001, 1005, 999, 65_535]))
    return dice.oneOf([
      frame(dice, opcodes.ping, dice.bytes(dice.oneOf([0, 5, 125, 126]))),
      frame(dice, opcodes.pong, dice.bytes(3)),
      frame(dice, opcodes.continuation, dice.bytes(9)),
      frame(dice, opcodes.close, Buffer.concat([code, dice.bytes(dice.below(8))])),
      frame(dice, dice.below(16), dice.bytes(dice.below(20)))
    ])
  }
  const channel = dice.oneOf([0, 0, 0, 1, 2, 3, 4, 255, dice.below(256)])
  const payload = channel === 4 ? Buffer.from(dice.oneOf(resizes)) : dice.bytes(dice.oneOf([0, 1, 7, 40, 300]))
  if (!base64) return frame(dice, opcodes.binary, Buffer.concat([Buffer.from([channel]), payload]))
  return frame(dice, opcodes.text, Buffer.from(`${channel % 10}${payload.toString("base64")}`))
}

const messages = (dice: Dice, base64: boolean) => Array.from({ length: 1 + dice.below(6) }, () => message(dice, base64))

/** What reads frames in `ws`; its types do not tell of it. */
const { Receiver } = ws as unknown as {
  readonly Receiver: new(
    options: { readonly isServer: boolean; readonly maxPayload: number; readonly allowSynchronousEvents: boolean }
  ) => Writable
}

/** What a socket would hand over once. */
const said = (heard: Arr.NonEmptyReadonlyArray<Uint8Array | string>) =>
  Socket.make({
    reader: Effect.succeed({ pull: Effect.succeed(heard), upgrade: () => Effect.die("not asked for") }),
    writer: Effect.succeed({ write: () => Effect.void, writeAll: () => Effect.void })
  })

export const webSocketLayer: Effect.Effect<FuzzedLayer> = Effect.sync(() => {
  const { count, ends } = makeEnds()
  const doorman = new NodeWS.WebSocketServer({
    noServer: true,
    maxPayload: mostMessageBytes,
    handleProtocols: chooseSubprotocol,
    WebSocket: WebSocketWithoutEmpties
  })

  const spoiled = (dice: Dice, base64: boolean) =>
    mutate(dice, Buffer.concat(shuffle(dice, messages(dice, base64))), () => Buffer.concat(messages(dice, base64)))

  /** Frames to messages, messages to channels, channel 4 to sizes of a terminal. */
  const glance = (dice: Dice) =>
    Effect.gen(function*() {
      const base64 = dice.chance(0.3)
      const input = dice.chance(0.1) ? dice.bytes(dice.below(200)) : spoiled(dice, base64)
      const heard: Array<Uint8Array | string> = []
      const receiver = new Receiver({ isServer: true, maxPayload: mostMessageBytes, allowSynchronousEvents: true })
      receiver.on("message", (data: Buffer, binary: boolean) => heard.push(binary ? data : data.toString()))
      receiver.on("error", () => {})
      for (const piece of cut(dice, input)) if (!receiver.destroyed) receiver.write(piece)
      receiver.destroy()
      const [first, ...more] = heard
      if (first === undefined) return input
      const channels = yield* makeChannelSocket(said([first, ...more]), base64)
      const found = yield* channels.receive
      yield* Stream.runDrain(parseResizes(Stream.fromIterable(found.map(({ bytes }) => bytes))))
      const size = found.reduce((sum, { bytes }) => sum + bytes.length, 0)
      return size > input.length ? yield* finding(`${size} bytes came out of ${input.length}`, input) : input
    }).pipe(
      Effect.scoped,
      Effect.catchTag("ClientGone", (error) => Effect.fail(finding(error.message, Buffer.alloc(0))))
    )

  const attempt = Effect.fnUntraced(function*(dice: Dice) {
    const forward = dice.chance(0.35)
    const protocol = dice.oneOf(forward ? [...portForwardSubprotocols, tunnelled] : remoteCommandSubprotocols)
    const base64 = protocol.includes("base64")
    const input = spoiled(dice, base64)
    const wire = makeWire()
    const tty = dice.chance(0.3)
    const options = { stdin: dice.chance(0.8), stdout: true, stderr: !tty, tty }
    const asked = {
      method: "GET",
      headers: {
        connection: "Upgrade",
        upgrade: "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
        "sec-websocket-protocol": protocol
      }
    } as unknown as IncomingMessage
    const server = Effect.gen(function*() {
      const socket = yield* Socket.fromWebSocket(Effect.acquireRelease(
        Effect.callback<NodeWS.WebSocket, Socket.SocketError>((resume) => {
          const gone = new Socket.SocketError({
            reason: new Socket.SocketOpenError({ kind: "Unknown", cause: new Error("closed before the upgrade") })
          })
          if (wire.far.destroyed) return resume(Effect.fail(gone))
          wire.far.once("close", () => resume(Effect.fail(gone)))
          doorman.handleUpgrade(asked, wire.far, Buffer.alloc(0), (made) => resume(Effect.succeed(made)))
        }),
        (made) => Effect.sync(() => made.terminate())
      ))
      yield* overWebSocket(forward ? forwarding : executing(options), protocol, socket, wire.far)
      return "served"
    }).pipe(Effect.provideService(StreamCreationTimeout, "200 millis"))
    count(yield* serve(dice, input, wire, server))
    return input
  })
  return { name: "websocket" as const, ends, glance, attempt }
})

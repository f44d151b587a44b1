/** SPDY: conversations of exec and port-forward as kubectl has them, spoiled, at the server's end of a connection. */
import { NodeSocket } from "@effect/platform-node"
import { Effect } from "effect"
import { constants, createDeflate } from "node:zlib"
import { portForwardProtocol } from "../../adapters/kubelet/spdy/forwardClient.ts"
import { FrameReader } from "../../adapters/kubelet/spdy/frames.ts"
import { headerDictionary } from "../../adapters/kubelet/spdy/headerDictionary.ts"
import { remoteCommandProtocols } from "../../adapters/kubelet/spdy/processClient.ts"
import { SpdyError } from "../../adapters/kubelet/spdy/SpdyError.ts"
import { StreamCreationTimeout } from "../../adapters/kubelet/spdy/StreamCreationTimeout.ts"
import { overSpdy, type Upgrading } from "../../adapters/kubelet/upgrade.ts"
import { control, data, headerBlock } from "../adapters/kubelet/SpdyPeer.ts"
import { type Dice, makeDice } from "./Dice.ts"
import { executing, forwarding } from "./echo.ts"
import { finding, type FuzzedLayer, makeEnds } from "./FuzzedLayer.ts"
import { cut, mutate, shuffle } from "./mutate.ts"
import { serve } from "./serve.ts"
import { makeWire } from "./wire.ts"

interface Conversation {
  readonly protocol: string
  readonly options: {
    readonly stdin: boolean
    readonly stdout: boolean
    readonly stderr: boolean
    readonly tty: boolean
  }
  readonly frames: ReadonlyArray<Buffer>
}

const number = (value: number) => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

/** One context of compression for all headers of a conversation, as the protocol has it. */
const makeBlocks = () => {
  const deflate = createDeflate({ dictionary: headerDictionary })
  const compress = (raw: Buffer) =>
    Effect.callback<Buffer>((resume) => {
      const parts: Array<Buffer> = []
      const take = (part: Buffer) => void parts.push(part)
      deflate.on("data", take)
      deflate.write(raw)
      deflate.flush(constants.Z_SYNC_FLUSH, () => {
        deflate.off("data", take)
        resume(Effect.succeed(Buffer.concat(parts)))
      })
    })
  return { compress, end: () => deflate.destroy() }
}

const sizes = [`{"Width":80,"Height":24}\n`, `{"Width":0,"Height":0}\n`, `{"Width":`, "}}{{", "x".repeat(3000)]

const converse = Effect.fnUntraced(function*(dice: Dice) {
  const blocks = makeBlocks()
  let next = 1
  const frames: Array<Buffer> = []
  const open = Effect.fnUntraced(function*(headers: Readonly<Record<string, string>> | Buffer, fin = false) {
    const id = next
    next += 2
    const block = yield* blocks.compress(Buffer.isBuffer(headers) ? headers : headerBlock(headers))
    frames.push(control(1, Buffer.concat([number(id), number(0), Buffer.from([0, 0]), block]), fin ? 1 : 0))
    return id
  })
  const forward = dice.chance(0.4)
  const tty = dice.chance(0.3)
  const options = { stdin: dice.chance(0.8), stdout: true, stderr: !tty && dice.chance(0.7), tty }
  const streams: Array<number> = []
  if (forward) {
    for (let pair = dice.below(4); pair >= 0; pair--) {
      const headers = { port: String(dice.oneOf([80, 8080, 0, 70_000])), requestid: String(pair) }
      streams.push(yield* open({ ...headers, streamtype: "error" }, dice.chance(0.8)))
      streams.push(yield* open({ ...headers, streamtype: "data" }))
    }
  } else {
    streams.push(yield* open({ streamtype: "error" }))
    for (const name of ["stdin", "stdout", "stderr"] as const) {
      if (options[name]) streams.push(yield* open({ streamtype: name }))
    }
    if (tty) streams.push(yield* open({ streamtype: "resize" }))
  }
  // Headers that claim too much, or inflate to more than their share.
  if (dice.chance(0.1)) {
    yield* open(Buffer.concat([number(dice.oneOf([1, 1000, 0xffffffff])), number(0x7fffffff), dice.bytes(20)]))
  }
  if (dice.chance(0.1)) yield* open({ streamtype: "x".repeat(dice.oneOf([1_000, 20_000, 200_000])) })
  for (let times = dice.below(6); times > 0; times--) {
    const stream = dice.oneOf(streams)
    switch (dice.below(5)) {
      case 0:
        frames.push(control(6, number(dice.below(4))))
        break
      case 1:
        frames.push(control(3, Buffer.concat([number(stream), number(5)])))
        break
      case 2:
        frames.push(control(8, Buffer.concat([number(stream), yield* blocks.compress(headerBlock({ a: "b" }))])))
        break
      case 3:
        frames.push(data(stream, dice.oneOf(sizes)))
        break
      default:
        frames.push(data(stream, dice.bytes(dice.below(40)), dice.chance(0.3)))
    }
  }
  for (const stream of streams) if (dice.chance(0.6)) frames.push(data(stream, "", true))
  if (dice.chance(0.5)) frames.push(control(7, Buffer.concat([number(next), number(0)])))
  blocks.end()
  const protocol = forward ? portForwardProtocol : dice.oneOf(remoteCommandProtocols)
  return { protocol, options, frames } satisfies Conversation
})

/** Said as they are they would be a valid session each; compressing them takes longer than reading them. */
const conversations = 400

export const spdyLayer: Effect.Effect<FuzzedLayer> = Effect.gen(function*() {
  const known: Array<Conversation> = []
  for (let index = 0; index < conversations; index++) known.push(yield* converse(makeDice(1, index)))
  const { count, ends } = makeEnds()

  const spoiled = (dice: Dice, frames: ReadonlyArray<Buffer>) =>
    mutate(dice, Buffer.concat(shuffle(dice, frames)), () => Buffer.concat(dice.oneOf(known).frames))

  const glance = (dice: Dice) =>
    Effect.suspend(() => {
      const input = dice.chance(0.1) ? dice.bytes(dice.below(200)) : spoiled(dice, dice.oneOf(known).frames)
      const reader = new FrameReader()
      let size = 0
      try {
        for (const piece of cut(dice, input)) {
          for (const frame of reader.read(piece)) {
            if (frame._tag === "Data") size += frame.bytes.length
            if ("block" in frame) size += frame.block.length
          }
        }
      } catch (error) {
        if (!(error instanceof SpdyError)) return Effect.fail(finding(`it threw ${String(error)}`, input))
      }
      return size > input.length
        ? Effect.fail(finding(`${size} bytes came out of ${input.length}`, input))
        : Effect.succeed(input)
    })

  const attempt = Effect.fnUntraced(function*(dice: Dice) {
    const { frames, options, protocol } = dice.oneOf(known)
    const input = spoiled(dice, frames)
    const wire = makeWire()
    const answer: Upgrading = protocol === portForwardProtocol ? forwarding : executing(options)
    const server = Effect.gen(function*() {
      const socket = yield* NodeSocket.fromDuplex(Effect.succeed(wire.far))
      yield* overSpdy(answer, protocol, socket, wire.far)
      return "served"
    }).pipe(Effect.provideService(StreamCreationTimeout, "200 millis"))
    count(yield* serve(dice, input, wire, server))
    return input
  })
  return { name: "spdy" as const, ends, glance, attempt }
})

/** What a broker can do to a client that trusts it with nothing but its bytes: end the connection. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Queue, Stream } from "effect"
import { Writable } from "node:stream"
import { openBrokerStream } from "../../../adapters/mqtt/brokerStream.ts"
import { type BrokerState, makeMqttAcceptor } from "../../../adapters/mqtt/MqttAcceptor.ts"
import type { BrokerOptions } from "../../../adapters/mqtt/MqttBroker.ts"
import { serverOn } from "./serverOn.ts"

const at = (port: number, version: "3.1.1" | "5"): BrokerOptions => ({
  host: "127.0.0.1",
  port,
  transport: "tcp",
  version,
  clientId: "operator"
})

const subscribe = 8

/** Lets everybody in; says `words`, all at once, to who subscribes. */
const saying = (version: "3.1.1" | "5", words: Buffer) =>
  serverOn((socket) => {
    socket.on("data", (chunk) => {
      const connack = version === "5" ? Buffer.of(0x20, 3, 0, 0, 0) : Buffer.of(0x20, 2, 0, 0)
      socket.write((chunk as Buffer)[0]! >>> 4 === subscribe ? words : connack)
    })
  })

/** A QoS 0 PUBLISH of so many bytes: more than the client reads before it lets the rest wait. */
const large = Buffer.concat([
  Buffer.of(0x30, 0xB4, 0x9C, 0x01, 0, 1, 0x61),
  Buffer.alloc(0x34 + 0x1C * 128 + 128 ** 2 - 3)
])

/** Packets that follow a large one, and what is said of them. */
const words: ReadonlyArray<readonly [what: string, packet: Buffer, told: RegExp]> = [
  ["a PUBREL without an id", Buffer.of(0x62, 0), /a packet of type 6, which we do not ask for/u],
  ["a PUBLISH without an id", Buffer.of(0x32, 3, 0, 1, 0x61), /ends within its topic or before its id/u],
  ["a PUBACK without an id", Buffer.of(0x40, 0), /a packet of type 4 that is too short/u],
  ["a PUBLISH of QoS 2", Buffer.of(0x34, 6, 0, 1, 0x61, 0, 1, 0), /a PUBLISH beyond QoS 1/u],
  ["another CONNACK", Buffer.of(0x20, 3, 0, 0, 0), /0x82|the broker/u],
  ["an AUTH", Buffer.of(0xF0, 2, 0x18, 0), /a packet of type 15, which we do not ask for/u]
]

/** Errors that nobody caught, by which a process ends. */
const uncaught = Effect.gen(function*() {
  const errors: Array<Error> = []
  const caught = (error: Error) => void errors.push(error)
  yield* Effect.acquireRelease(
    Effect.sync(() => process.on("uncaughtException", caught)),
    () => Effect.sync(() => process.off("uncaughtException", caught))
  )
  return errors
})

describe("a broker that says what is no MQTT, or what nobody asked for", () => {
  for (const version of ["3.1.1", "5"] as const) {
    for (const [what, packet, told] of words) {
      it.live(`is left: ${what} in MQTT ${version}`, () =>
        Effect.gen(function*() {
          const errors = yield* uncaught
          const { port } = yield* saying(version, Buffer.concat([large, packet]))
          const states = yield* Queue.unbounded<BrokerState>()
          yield* Effect.forkScoped(
            makeMqttAcceptor({
              broker: at(port, version),
              topicNamespaces: Stream.make(["edge/lamp"]),
              onState: (state) => Effect.asVoid(Queue.offer(states, state))
            }).run(() => Effect.never)
          )
          const state = yield* Queue.take(states)
          assert.match(state.status === "Disconnected" ? state.error.detail : state.status, told)
          assert.deepStrictEqual(errors, [])
        }).pipe(Effect.scoped, Effect.timeout("10 seconds")))
    }
  }

  it.live("is left, too, where whoever reads throws at it once it gets round to that", () =>
    Effect.gen(function*() {
      const errors = yield* uncaught
      const { port } = yield* serverOn((socket) => void socket.write(Buffer.concat([large, Buffer.of(0xD0, 0)])))
      const stream = yield* Effect.acquireRelease(
        Effect.sync(() => openBrokerStream(at(port, "3.1.1"))),
        (stream) => Effect.sync(() => void stream.destroy())
      )
      const error = yield* Effect.callback<Error>((resume) => {
        stream.on("error", (error) => resume(Effect.succeed(error)))
        stream.pipe(
          new Writable({
            highWaterMark: 1,
            write: (piece: Buffer, _, done) => {
              if (piece[0] === 0xD0) throw new Error("what nobody thought of")
              setImmediate(done)
            }
          })
        )
      })
      assert.strictEqual(error.message, "what nobody thought of")
      assert.deepStrictEqual(errors, [])
    }).pipe(Effect.scoped, Effect.timeout("10 seconds")))
})

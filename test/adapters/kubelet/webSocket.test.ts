/** exec and port-forward of clients that speak WebSockets, over TLS, through the listener. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Stream } from "effect"
import { WebSocket } from "ws"
import * as KubeletServer from "../../../adapters/kubelet/KubeletServer.ts"
import { RuntimeError } from "../../../core/pod/ContainerRuntime.ts"
import { FakeKubeletBackend, podWith } from "../../fakes/FakeKubeletBackend.ts"
import { FakeReviews } from "../../fakes/FakeReviews.ts"
import { apiserver, door, servers } from "./door.ts"

const world = door()

const bytes = (words: string) => new TextEncoder().encode(words)

/** Until the server closes it: its messages, and with which code. */
const dial = Effect.fnUntraced(function*(path: string, protocols: ReadonlyArray<string>) {
  const { port } = yield* KubeletServer.KubeletServer
  const messages: Array<Buffer> = []
  const closed = yield* Deferred.make<number>()
  const waiting = new Set<() => void>()
  const socket = yield* Effect.acquireRelease(
    Effect.callback<WebSocket, Error>((resume) => {
      const socket = new WebSocket(`wss://127.0.0.1:${port}${path}`, [...protocols], {
        ca: servers.cert,
        cert: apiserver.cert,
        key: apiserver.key,
        checkServerIdentity: () => false
      })
      socket.on("open", () => resume(Effect.succeed(socket)))
      socket.on("message", (message: Buffer) => {
        messages.push(message)
        for (const look of [...waiting]) look()
      })
      socket.on("close", (code) => Deferred.doneUnsafe(closed, Effect.succeed(code)))
      socket.on("error", (error) => resume(Effect.fail(error)))
    }),
    (socket) => Effect.sync(() => socket.terminate())
  )
  return {
    socket,
    messages,
    closed: Deferred.await(closed),
    until: (look: () => boolean) =>
      Effect.callback<void>((resume) => {
        const attempt = () => {
          if (!look()) return
          waiting.delete(attempt)
          resume(Effect.void)
        }
        waiting.add(attempt)
        attempt()
      })
  }
})

const prepared = Effect.gen(function*() {
  const reviews = yield* FakeReviews
  const backend = yield* FakeKubeletBackend
  yield* reviews.allow("kube-apiserver create proxy")
  yield* backend.add("edge-1", podWith("web", { running: {} }))
  return backend
})

/** Says back what it hears, and ends when its input does, or at `exit`. */
const cat = (backend: FakeKubeletBackend["Service"], code: number) =>
  backend.exec(() =>
    Effect.gen(function*() {
      const heard: Array<string> = []
      const over = yield* Deferred.make<void>()
      return {
        stdin: (piece) =>
          Effect.suspend(() => {
            heard.push(new TextDecoder().decode(piece))
            return heard.join("").endsWith("exit") ? Deferred.succeed(over, undefined) : Effect.void
          }),
        endStdin: Effect.asVoid(Deferred.succeed(over, undefined)),
        resize: () => Effect.void,
        output: Stream.fromEffect(
          Effect.map(Deferred.await(over), () => ({ stream: "stdout" as const, bytes: bytes(heard.join("")) }))
        ),
        exitCode: Effect.succeed(code)
      }
    })
  )

const path = "/exec/shop/web/main?command=cat&input=1&output=1&error=1"
const message = (channel: number, text: string) => Buffer.concat([Buffer.from([channel]), Buffer.from(text)])

describe("exec over WebSockets", () => {
  it.live("speaks v4: channels by the first byte, the outcome as a status", () =>
    Effect.gen(function*() {
      yield* cat(yield* prepared, 3)
      const { closed, messages, socket } = yield* dial(path, ["v4.channel.k8s.io"])
      assert.strictEqual(socket.protocol, "v4.channel.k8s.io")
      socket.send(message(0, "hello "))
      socket.send(message(0, "exit"))
      assert.strictEqual(yield* closed, 1000)
      const [first, output, outcome] = messages
      assert.deepStrictEqual([...first ?? []], [1], "an empty message says that it is connected")
      assert.strictEqual(output?.toString(), "\u0001hello exit")
      assert.strictEqual(outcome?.[0], 3)
      assert.include(JSON.parse(outcome?.subarray(1).toString() ?? ""), { reason: "NonZeroExitCode" })
    }).pipe(Effect.scoped, Effect.provide(world)))

  it.live("speaks v5, whose clients end their input, and is asked for the best that both know", () =>
    Effect.gen(function*() {
      yield* cat(yield* prepared, 0)
      const { closed, messages, socket } = yield* dial(path, [
        "v9.channel.k8s.io",
        "v5.channel.k8s.io",
        "channel.k8s.io"
      ])
      assert.strictEqual(socket.protocol, "v5.channel.k8s.io")
      socket.send(message(0, "all"))
      socket.send(Buffer.from([255, 0]))
      assert.strictEqual(yield* closed, 1000)
      assert.strictEqual(messages[1]?.toString(), "\u0001all")
      assert.include(JSON.parse(messages[2]?.subarray(1).toString() ?? ""), { status: "Success" })
    }).pipe(Effect.scoped, Effect.provide(world)))

  it.live("speaks base64, and plain words where no protocol is named", () =>
    Effect.gen(function*() {
      yield* cat(yield* prepared, 1)
      const one = yield* dial(path, ["base64.channel.k8s.io"])
      one.socket.send(`0${Buffer.from("exit").toString("base64")}`)
      yield* one.closed
      assert.deepStrictEqual(one.messages.map(String), [
        "1",
        `1${Buffer.from("exit").toString("base64")}`,
        `3${Buffer.from("command terminated with non-zero exit code: exit status 1").toString("base64")}`
      ])
      const other = yield* dial(path, [])
      other.socket.send(message(0, "exit"))
      yield* other.closed
      assert.strictEqual(
        other.messages.at(-1)?.toString(),
        "\u0003command terminated with non-zero exit code: exit status 1"
      )
    }).pipe(Effect.scoped, Effect.provide(world)))

  it.live("refuses protocols that it does not know before it upgrades", () =>
    Effect.gen(function*() {
      yield* prepared
      const error = yield* Effect.flip(dial(path, ["v9.channel.k8s.io"]))
      assert.match(error.message, /400/)
    }).pipe(Effect.scoped, Effect.provide(world)))
})

describe("port-forward over WebSockets", () => {
  it.live("says channels in base64 by one letter, also those from 10 on", () =>
    Effect.gen(function*() {
      const backend = yield* prepared
      yield* backend.dial(() =>
        Effect.gen(function*() {
          const heard = yield* Deferred.make<Uint8Array>()
          return {
            write: (piece) => Effect.asVoid(Deferred.succeed(heard, piece)),
            end: Effect.void,
            read: Stream.fromEffect(Deferred.await(heard))
          }
        })
      )
      const { closed, messages, socket } = yield* dial("/portForward/shop/web?port=1,2,3,4,5,6", [
        "v4.base64.channel.k8s.io"
      ])
      const letter = (channel: number) => String.fromCharCode(0x30 + channel)
      for (let channel = 0; channel < 12; channel += 2) {
        socket.send(`${letter(channel)}${Buffer.from(`to ${channel}`).toString("base64")}`)
      }
      assert.strictEqual(yield* closed, 1000)
      const said = messages.map(String).map((each) => [each[0], Buffer.from(each.slice(1), "base64")] as const)
      assert.deepStrictEqual(
        said.slice(0, 12).map(([channel, port]) => [channel, port[0]]),
        Array.from({ length: 12 }, (_, channel) => [letter(channel), Math.floor(channel / 2) + 1])
      )
      assert.deepStrictEqual(
        said.slice(12).map(([channel, echo]) => `${channel} ${echo}`).sort(),
        [0, 2, 4, 6, 8, 10].map((channel) => `${letter(channel)} to ${channel}`)
      )
    }).pipe(Effect.scoped, Effect.provide(world)))

  it.live("has two channels for each port, which begin with the port's number", () =>
    Effect.gen(function*() {
      const backend = yield* prepared
      yield* backend.dial((_, port) =>
        port === 81
          ? Effect.fail(new RuntimeError({ reason: "Unavailable", detail: "nobody answers" }))
          : Effect.succeed({
            write: () => Effect.void,
            end: Effect.void,
            read: Stream.make(bytes("page"))
          })
      )
      const { closed, messages } = yield* dial("/portForward/shop/web?port=8080,81", ["v4.channel.k8s.io"])
      assert.strictEqual(yield* closed, 1000)
      assert.deepStrictEqual(messages.slice(0, 4).map((each) => [...each]), [
        [0, 0x90, 0x1f],
        [1, 0x90, 0x1f],
        [2, 81, 0],
        [3, 81, 0]
      ])
      const said = messages.slice(4).map(String).sort()
      assert.deepStrictEqual(said, [
        "\u0000page",
        "\u0003error forwarding port 81 to pod web, uid uid-web: nobody answers"
      ])
      const error = yield* Effect.flip(dial("/portForward/shop/web", ["v4.channel.k8s.io"]))
      assert.match(error.message, /400/)
    }).pipe(Effect.scoped, Effect.provide(world)))

  it.live("go on while the pod takes its time", () =>
    Effect.gen(function*() {
      const backend = yield* prepared
      const asked = yield* Deferred.make<Uint8Array>()
      yield* backend.dial(() =>
        Effect.succeed({
          write: (question) => Effect.asVoid(Deferred.succeed(asked, question)),
          end: Effect.void,
          read: Stream.fromEffect(Effect.delay(Deferred.await(asked), "50 millis"))
        })
      )
      const { closed, messages, socket } = yield* dial("/portForward/shop/web?port=8080", ["v4.channel.k8s.io"])
      socket.send(Buffer.from("\u0000what?"))
      assert.strictEqual(yield* closed, 1000)
      assert.deepStrictEqual(messages.slice(2).map(String), ["\u0000what?"])
    }).pipe(Effect.scoped, Effect.provide(world)))
})

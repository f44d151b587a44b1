import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Random, type Scope, Stream } from "effect"
import { deflateSync } from "node:zlib"
import { spdyForwardClient } from "../../../adapters/kubelet/spdy/forwardClient.ts"
import { headerDictionary } from "../../../adapters/kubelet/spdy/headerDictionary.ts"
import { spdyProcessClient } from "../../../adapters/kubelet/spdy/processClient.ts"
import { makeSpdyConnection } from "../../../adapters/kubelet/spdy/SpdyConnection.ts"
import { SpdyError } from "../../../adapters/kubelet/spdy/SpdyError.ts"
import { StreamCreationTimeout } from "../../../adapters/kubelet/spdy/StreamCreationTimeout.ts"
import { serveForward } from "../../../core/kubelet/serveForward.ts"
import { serveProcess } from "../../../core/kubelet/serveProcess.ts"
import { type Duplex, type ProcessStreams, RuntimeError } from "../../../core/pod/ContainerRuntime.ts"
import { control, data, headerBlock, makeSpdyPeer, readAll } from "./SpdyPeer.ts"

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)
const bytes = (words: string) => new TextEncoder().encode(words)

/** Says its input back on stdout, ends with it, and tells the terminal's sizes on stderr. */
const echoing = (code: number, sizes: Array<string> = []): Effect.Effect<ProcessStreams> =>
  Effect.gen(function*() {
    const heard: Array<Uint8Array> = []
    const over = yield* Deferred.make<void>()
    return {
      stdin: (piece) => Effect.sync(() => void heard.push(piece)),
      endStdin: Effect.asVoid(Deferred.succeed(over, undefined)),
      resize: ({ height, width }) => Effect.sync(() => void sizes.push(`${width}x${height}`)),
      output: Stream.unwrap(Effect.map(Deferred.await(over), () =>
        Stream.fromIterable([
          { stream: "stdout" as const, bytes: bytes(heard.map(text).join("")) },
          { stream: "stderr" as const, bytes: bytes("bye") }
        ]))),
      exitCode: Effect.succeed(code)
    }
  })

const all = { stdin: true, stdout: true, stderr: true, tty: false }

/** A peer, and the server's side of an exec with it. */
const execWith = Effect.fnUntraced(function*(
  protocol: string,
  open: Parameters<typeof serveProcess>[1],
  options = all
) {
  const peer = yield* makeSpdyPeer
  const connection = yield* makeSpdyConnection(peer.socket)
  const fiber = yield* Effect.forkScoped(
    Effect.flatMap(
      spdyProcessClient(connection, protocol, options),
      (client) => serveProcess("exec", open, options, client)
    )
  )
  return { peer, connection, fiber }
})

describe("exec over SPDY", () => {
  it.live("carries input, both outputs and the exit code", () =>
    Effect.gen(function*() {
      const { fiber, peer } = yield* execWith("v4.channel.k8s.io", echoing(3))
      const error = yield* peer.open({ streamtype: "error" })
      const stdin = yield* peer.open({ streamType: "stdin" })
      const stdout = yield* peer.open({ streamtype: "stdout" })
      const stderr = yield* peer.open({ streamtype: "stderr" })
      yield* peer.write(data(stdin, "hel"))
      yield* peer.write(data(stdin, "lo", true))
      for (const stream of [stdout, stderr, stdin, error]) yield* peer.finished(stream)
      assert.strictEqual(peer.text(stdout), "hello")
      assert.strictEqual(peer.text(stderr), "bye")
      assert.deepStrictEqual(JSON.parse(peer.text(error)), {
        kind: "Status",
        apiVersion: "v1",
        metadata: {},
        status: "Failure",
        reason: "NonZeroExitCode",
        message: "command terminated with non-zero exit code: exit status 3",
        details: { causes: [{ reason: "ExitCode", message: "3" }] }
      })
      yield* Fiber.join(fiber)
      assert.strictEqual(peer.seen.findLast((each) => each.fin)?.stream, error, "the outcome comes last")
    }).pipe(Effect.scoped))

  it.live("tells older protocols in words, and nothing where all went well", () =>
    Effect.gen(function*() {
      for (
        const [code, words] of [[0, ""], [7, "command terminated with non-zero exit code: exit status 7"]] as const
      ) {
        const options = { ...all, stderr: false }
        const { peer } = yield* execWith("v2.channel.k8s.io", echoing(code), options)
        const error = yield* peer.open({ streamtype: "error" })
        const stdin = yield* peer.open({ streamtype: "stdin" }, true)
        const stdout = yield* peer.open({ streamtype: "stdout" })
        yield* peer.finished(error)
        assert.strictEqual(peer.text(error), words)
        assert.isAbove(stdout, stdin)
      }
    }).pipe(Effect.scoped))

  it.live("tells why a process could not be had", () =>
    Effect.gen(function*() {
      const refusal = new RuntimeError({ reason: "Unavailable", detail: "device edge-1 is not connected" })
      const { peer } = yield* execWith("v4.channel.k8s.io", Effect.fail(refusal), {
        ...all,
        stdin: false,
        stderr: false
      })
      const error = yield* peer.open({ streamtype: "error" })
      yield* peer.open({ streamtype: "stdout" })
      yield* peer.finished(error)
      assert.include(JSON.parse(peer.text(error)), { status: "Failure", message: "device edge-1 is not connected" })
    }).pipe(Effect.scoped))

  it.live("hands over the terminal's sizes, and skips what is none", () =>
    Effect.gen(function*() {
      const sizes: Array<string> = []
      const options = { ...all, stderr: false, tty: true }
      const { fiber, peer } = yield* execWith("v4.channel.k8s.io", echoing(0, sizes), options)
      const error = yield* peer.open({ streamtype: "error" })
      const stdin = yield* peer.open({ streamtype: "stdin" })
      yield* peer.open({ streamtype: "stdout" })
      const resize = yield* peer.open({ streamtype: "resize" })
      yield* peer.write(data(resize, `{"Width":0,"Height":0}\n`))
      yield* peer.write(data(resize, `{"Width":80,`))
      yield* peer.write(data(resize, `"Height":24}\n`))
      while (sizes.length < 1) yield* Effect.sleep("5 millis")
      yield* peer.write(data(resize, `nonsense}{"Width":-1,"Height":2}{"Width":120,"Height":40}`))
      while (sizes.length < 2) yield* Effect.sleep("5 millis")
      yield* peer.write(data(stdin, "", true))
      yield* peer.finished(error)
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(sizes, ["80x24", "120x40"])
    }).pipe(Effect.scoped))

  it.live("ends the process of a client that hangs up", () =>
    Effect.gen(function*() {
      const ended = yield* Deferred.make<void>()
      const running = yield* Deferred.make<void>()
      const process = Effect.gen(function*() {
        yield* Effect.addFinalizer(() => Deferred.succeed(ended, undefined))
        yield* Deferred.succeed(running, undefined)
        return { ...(yield* echoing(0)), output: Stream.never }
      })
      const peer = yield* makeSpdyPeer
      const serving = yield* Effect.forkScoped(Effect.scoped(Effect.gen(function*() {
        const connection = yield* makeSpdyConnection(peer.socket)
        const client = yield* spdyProcessClient(connection, "v4.channel.k8s.io", all)
        yield* Effect.raceFirst(serveProcess("exec", process, all, client), connection.closed)
      })))
      for (const streamtype of ["error", "stdin", "stdout", "stderr"]) yield* peer.open({ streamtype })
      yield* Deferred.await(running)
      yield* peer.hangUp
      yield* Deferred.await(ended)
      yield* Fiber.join(serving)
    }).pipe(Effect.scoped))

  it.live("ends a client whose streams do not all come within the configured time, and names those", () =>
    Effect.gen(function*() {
      const peer = yield* makeSpdyPeer
      const connection = yield* makeSpdyConnection(peer.socket)
      for (const streamtype of ["error", "stdout", "stderr"]) yield* peer.open({ streamtype })
      const gone = yield* Effect.flip(spdyProcessClient(connection, "v4.channel.k8s.io", { ...all, tty: false })).pipe(
        Effect.provideService(StreamCreationTimeout, "100 millis")
      )
      assert.match(gone.message, /did not come within 100ms: stdin/u)
    }).pipe(Effect.scoped))

  it.live("makes a process wait whose client does not read", () =>
    Effect.gen(function*() {
      let written = 0
      const flood: Effect.Effect<ProcessStreams> = Effect.map(echoing(0), (streams) => ({
        ...streams,
        output: Stream.fromEffectRepeat(Effect.sync(() => {
          written += 32_768
          return { stream: "stdout" as const, bytes: new Uint8Array(32_768) }
        })).pipe(Stream.take(2000))
      }))
      const { peer } = yield* execWith("v4.channel.k8s.io", flood, { ...all, stdin: false, stderr: false })
      const error = yield* peer.open({ streamtype: "error" })
      const stdout = yield* peer.open({ streamtype: "stdout" })
      yield* peer.pause
      let before = -1
      while (before !== written) {
        before = written
        yield* Effect.sleep("100 millis")
      }
      assert.isBelow(written, 2_000_000)
      yield* peer.resume
      yield* peer.finished(error)
      assert.strictEqual(peer.text(stdout).length, 2000 * 32_768)
    }).pipe(Effect.scoped))
})

describe("port-forward over SPDY", () => {
  const upper = (): Effect.Effect<Duplex> =>
    Effect.gen(function*() {
      const heard: Array<string> = []
      const over = yield* Deferred.make<void>()
      return {
        write: (piece) => Effect.sync(() => void heard.push(text(piece).toUpperCase())),
        end: Effect.asVoid(Deferred.succeed(over, undefined)),
        read: Stream.unwrap(Effect.map(Deferred.await(over), () => Stream.make(bytes(heard.join("")))))
      }
    })

  const forwarding = Effect.fnUntraced(function*(answers: () => Effect.Effect<Duplex, never, Scope.Scope> = upper) {
    const peer = yield* makeSpdyPeer
    const connection = yield* makeSpdyConnection(peer.socket)
    const dialled: Array<number> = []
    const dial = (port: number) =>
      Effect.suspend(() => {
        dialled.push(port)
        return port === 81
          ? Effect.fail(new RuntimeError({ reason: "Unavailable", detail: "nobody answers at port 81" }))
          : answers()
      })
    yield* Effect.forkScoped(serveForward("pod web, uid 1", dial, spdyForwardClient(connection)))
    return { peer, dialled }
  })

  it.live("joins pairs of streams with ports, many at once, whatever the order of their halves", () =>
    Effect.gen(function*() {
      const { dialled, peer } = yield* forwarding()
      const pairs: Array<readonly [error: number, data: number]> = []
      for (let request = 0; request < 20; request++) {
        const headers = { port: "80", requestid: String(request) }
        const first = yield* peer.open(
          { ...headers, streamtype: request % 2 === 0 ? "error" : "data" },
          request % 2 === 0
        )
        const second = yield* peer.open(
          { ...headers, streamtype: request % 2 === 0 ? "data" : "error" },
          request % 2 === 1
        )
        pairs.push(request % 2 === 0 ? [first, second] : [second, first])
      }
      for (const [, stream] of pairs) yield* peer.write(data(stream, `from ${stream}`, true))
      for (const [error, stream] of pairs) {
        yield* peer.finished(stream)
        yield* peer.finished(error)
        assert.strictEqual(peer.text(stream), `FROM ${stream}`)
        assert.strictEqual(peer.text(error), "")
      }
      assert.strictEqual(dialled.length, 20)
    }).pipe(Effect.scoped))

  it.live("takes pairs of old clients, which number no requests", () =>
    Effect.gen(function*() {
      const { peer } = yield* forwarding()
      yield* peer.open({ port: "80", streamtype: "error" }, true)
      const stream = yield* peer.open({ port: "80", streamtype: "data" })
      yield* peer.write(data(stream, "old", true))
      yield* peer.finished(stream)
      assert.strictEqual(peer.text(stream), "OLD")
    }).pipe(Effect.scoped))

  it.live.each<readonly [what: string, read: Duplex["read"]]>([
    ["is silent", Stream.never],
    ["still sends", Stream.fromEffectRepeat(Effect.delay(Effect.sync(() => bytes("more")), "1 millis"))]
  ])(
    "ends each connection whose client resets it while the pod %s, and takes the next",
    ([, read]) =>
      Effect.gen(function*() {
        let open = 0
        const { peer } = yield* forwarding(() =>
          Effect.acquireRelease(
            Effect.sync(() => {
              open++
              return { write: () => Effect.void, end: Effect.void, read }
            }),
            () => Effect.sync(() => void open--)
          )
        )
        // More than a connection may have of streams.
        for (let request = 0; request < 1100; request++) {
          const headers = { port: "80", requestid: String(request) }
          const error = yield* peer.open({ ...headers, streamtype: "error" }, true)
          const stream = yield* peer.open({ ...headers, streamtype: "data" })
          yield* peer.write(control(3, Buffer.from([0, 0, stream >> 8, stream & 255, 0, 0, 0, 5])))
          yield* peer.finished(error)
        }
        assert.strictEqual(open, 0)
      }).pipe(Effect.scoped)
  )

  it.live("tells on the error stream why a port could not be had", () =>
    Effect.gen(function*() {
      const { peer } = yield* forwarding()
      const error = yield* peer.open({ port: "81", streamtype: "error", requestid: "1" }, true)
      const stream = yield* peer.open({ port: "81", streamtype: "data", requestid: "1" })
      yield* peer.finished(error)
      assert.strictEqual(peer.text(error), "error forwarding port 81 to pod web, uid 1: nobody answers at port 81")
      yield* peer.until(() => peer.seen.some((each) => each.type === "reset" && each.stream === stream))
    }).pipe(Effect.scoped))
})

describe("a SPDY connection", () => {
  it.live("answers pings of the client's", () =>
    Effect.gen(function*() {
      const peer = yield* makeSpdyPeer
      yield* makeSpdyConnection(peer.socket)
      yield* peer.write(control(6, Buffer.from([0, 0, 0, 2])))
      yield* peer.write(control(6, Buffer.from([0, 0, 0, 5])))
      yield* peer.until(() => peer.seen.some(({ type }) => type === "ping"))
      assert.deepStrictEqual(peer.seen.map(({ stream, type }) => [type, stream]), [["ping", 5]])
    }).pipe(Effect.scoped))

  const block = (raw: Uint8Array) => deflateSync(raw, { dictionary: headerDictionary })
  const syn = (id: number, compressed: Uint8Array) =>
    control(1, Buffer.concat([Buffer.from([0, 0, 0, id, 0, 0, 0, 0, 0, 0]), compressed]))

  it.live.each<readonly [what: string, bytes: Uint8Array, detail: RegExp]>([
    ["another version", control(1, Buffer.alloc(20), 0, 2), /another version/],
    ["HTTP", bytes("GET / HTTP/1.1\r\n\r\n........"), /SPDY/],
    ["a control frame beyond the limit", control(1, Buffer.alloc(70_000)), /70000 bytes/],
    ["a stream with an even number", syn(2, block(headerBlock({}))), /stream 2 was opened after stream 0/],
    ["headers that cannot be inflated", syn(1, Buffer.from("junk junk junk")), /headers/],
    ["headers that inflate without end", syn(1, block(Buffer.alloc(10_000_000))), /more than 32768 bytes/],
    ["headers that end in the middle", syn(1, block(Buffer.from([0, 0, 0, 9, 0, 0, 0, 200]))), /in the middle/],
    ["too many headers", syn(1, block(Buffer.from([0, 1, 0, 0]))), /65536 headers/],
    ["a reply", control(2, Buffer.alloc(8)), /never opened/],
    ["data for stream 0", data(0, "x"), /stream 0/],
    ["a reset without a reason", control(3, Buffer.alloc(4)), /type 3 with 4 bytes/]
  ])("ends at %s", ([, junk, detail]) =>
    Effect.gen(function*() {
      const peer = yield* makeSpdyPeer
      const connection = yield* makeSpdyConnection(peer.socket)
      // HTTP looks like data for a stream that nobody knows, of a length that never comes: it ends with its client.
      yield* peer.write(junk)
      if (junk[0] === 0x47) yield* peer.hangUp
      assert.match((yield* connection.closed).message, detail)
      assert.isTrue(Exit.isFailure(yield* Effect.exit(connection.accept)))
    }).pipe(Effect.scoped))

  it.live("passes over what asks nothing of a server", () =>
    Effect.gen(function*() {
      const peer = yield* makeSpdyPeer
      yield* makeSpdyConnection(peer.socket)
      for (const type of [4, 9, 5, 77]) yield* peer.write(control(type, Buffer.alloc(16)))
      yield* peer.write(data(99, "for a stream that is over"))
      yield* peer.write(control(7, Buffer.alloc(8)))
      yield* peer.open({ streamtype: "error" })
    }).pipe(Effect.scoped))

  it.effect("takes any bytes, in any pieces: frames, or an error of its own", () =>
    Effect.gen(function*() {
      const times = Number(process.env["FUZZ_TIMES"] ?? 20_000)
      for (let time = 0; time < times; time++) {
        const size = yield* Random.nextIntBetween(0, 64)
        const junk = Buffer.alloc(size)
        for (let at = 0; at < size; at++) junk[at] = yield* Random.nextIntBetween(0, 256)
        // Often what looks like a frame.
        if (size > 8 && (yield* Random.nextBoolean)) {
          junk.set([0x80, 3, 0, yield* Random.nextIntBetween(0, 10), 0, 0, 0])
        }
        try {
          readAll(junk)
        } catch (cause) {
          assert.instanceOf(cause, SpdyError, `of ${junk.toString("hex")}`)
        }
      }
    }).pipe(Random.withSeed("frames")))
})

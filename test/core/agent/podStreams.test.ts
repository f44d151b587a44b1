/** The device's end of an exec: what comes on its channel, and what the process gets of it. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Stream } from "effect"
import { TestClock } from "effect/testing"
import { HostAccess, nothingAllowed } from "../../../core/agent/host/HostAccess.ts"
import { podStreams } from "../../../core/agent/podStreams.ts"
import { type ProcessStreams, RuntimeError } from "../../../core/pod/ContainerRuntime.ts"
import { PodRuntime } from "../../../core/pod/PodRuntime.ts"
import type { ProcessMessage } from "../../../core/wire/ProcessMessage.ts"
import { encodeStreamOpening } from "../../../core/wire/StreamOpening.ts"
import { fakeHostAccess } from "../../fakes/FakeHostAccess.ts"
import { toldChannel } from "../wire/toldChannel.ts"

const utf8 = new TextEncoder()
const typed = (text: string): ProcessMessage => ({ _tag: "Stdin", bytes: utf8.encode(text) })
const resize: ProcessMessage = { _tag: "Resize", width: 80, height: 24 }
const refused = Effect.fail(new RuntimeError({ reason: "Unavailable", detail: "no" }))

/** What a process hears that never ends, of these messages. */
const heardOf = Effect.fnUntraced(function*(
  told: ReadonlyArray<ProcessMessage | Uint8Array>,
  broken: Partial<ProcessStreams>
) {
  const heard: Array<string> = []
  const hears = (words: string) => Effect.sync(() => void heard.push(words))
  const process: ProcessStreams = {
    stdin: (bytes) => hears(new TextDecoder().decode(bytes)),
    endStdin: hears("the end"),
    resize: ({ height, width }) => hears(`${width} x ${height}`),
    output: Stream.never,
    exitCode: Effect.never,
    ...broken
  }
  const channel = yield* toldChannel(told)
  const runtime = yield* Layer.build(Layer.mock(PodRuntime, { exec: () => Effect.succeed(process) }))
  const context = Context.add(runtime, HostAccess, fakeHostAccess(nothingAllowed).access)
  const onOpen = yield* Effect.provideContext(podStreams, context)
  const opening = yield* encodeStreamOpening({
    _tag: "Exec",
    uid: "0b9a6f5e-4b1d-4c7e-9a53-5d0c6f1e2a3b",
    container: "app",
    spec: { command: ["sh"], stdin: true, stdout: true, stderr: false, tty: true }
  })
  yield* Effect.forkScoped(onOpen(opening, channel))
  yield* TestClock.adjust("1 second")
  return heard
})

describe("the input of a command", () => {
  it.effect("goes on where its terminal could not be given a size", () =>
    Effect.gen(function*() {
      const heard = yield* heardOf([resize, typed("ls\r"), { _tag: "EndStdin" }], { resize: () => refused })
      assert.deepStrictEqual(heard, ["ls\r", "the end"])
    }))

  it.effect("goes on after what only a newer operator can say", () =>
    Effect.gen(function*() {
      // A field with number 100.
      const heard = yield* heardOf([Uint8Array.of(0xa2, 0x06, 0), typed("ls\r"), resize], {})
      assert.deepStrictEqual(heard, ["ls\r", "80 x 24"])
    }))

  it.effect("ends with what the process does not take, and with what cannot be read", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* heardOf([typed("ls\r"), { _tag: "EndStdin" }], { stdin: () => refused }), [])
      assert.deepStrictEqual(yield* heardOf([Uint8Array.of(255, 255), typed("ls\r")], {}), [])
    }))
})

import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { LinkError } from "../../../core/link/Session.ts"
import { remoteProcess } from "../../../core/operator/remoteProcess.ts"
import { PodStreamError } from "../../../core/pod/PodRuntime.ts"
import type { ProcessMessage } from "../../../core/wire/ProcessMessage.ts"
import { toldChannel } from "../wire/toldChannel.ts"

/** How the command ends of which the device tells this, and then nothing more because of that. */
const endOf = Effect.fnUntraced(function*(told: ReadonlyArray<ProcessMessage | Uint8Array>, error: LinkError) {
  const channel = yield* toldChannel(told, Stream.fail(error))
  const process = yield* remoteProcess(channel, ({ detail }) => new PodStreamError({ reason: "Refused", detail }))
  return (yield* Effect.flip(Stream.runDrain(process.output))).reason
})

describe("a command on a device", () => {
  const refused = new LinkError({ reason: "Refused", detail: "there is no such container" })

  it.effect("has failed where the device refused to begin it", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* endOf([], refused), "Unavailable")
    }))

  it.effect("may have been done once it had begun, whatever ends it", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* endOf([{ _tag: "Started" }], refused), "OutcomeUnknown")
    }))

  it.effect("may have been done where what the device says of it cannot be read", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* endOf([new Uint8Array([255, 255])], refused), "OutcomeUnknown")
    }))
})

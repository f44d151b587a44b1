import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { type Channel, LinkError } from "../../../core/link/Session.ts"
import { remoteProcess } from "../../../core/operator/remoteProcess.ts"
import { PodStreamError } from "../../../core/pod/PodRuntime.ts"
import { encodeProcessMessage, type ProcessMessage } from "../../../core/wire/ProcessMessage.ts"

/** How the command ends of which the device tells this, and then nothing more because of that. */
const endOf = Effect.fnUntraced(function*(told: ReadonlyArray<ProcessMessage>, error: LinkError) {
  const messages = yield* Effect.forEach(told, encodeProcessMessage)
  const channel: Channel = {
    send: () => Effect.void,
    end: Effect.void,
    fail: () => Effect.void,
    messages: Stream.concat(Stream.fromIterable(messages), Stream.fail(error))
  }
  const process = yield* remoteProcess(channel, ({ detail }) => new PodStreamError({ reason: "Refused", detail }))
  return (yield* Effect.flip(Stream.runDrain(process.output))).reason
})

describe("a command on a device", () => {
  const overBudget = new LinkError({ reason: "OverBudget", detail: "the budget is used up" })

  it.effect("has failed where it never began", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* endOf([], overBudget), "Unavailable")
    }))

  it.effect("may have been done once it had begun, whatever ends it", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* endOf([{ _tag: "Started" }], overBudget), "OutcomeUnknown")
    }))
})

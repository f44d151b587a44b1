import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { defaultLimits } from "../../../core/link/LinkLimits.ts"
import { messageCost } from "../../../core/link/session/LinkStream.ts"
import { decodeCommand, encodeCommand } from "../../../core/wire/Command.ts"
import { decodeEvent, encodeEvent } from "../../../core/wire/Event.ts"
import { limits } from "../../../core/wire/limits.ts"
import { done, encodeReply } from "../../../core/wire/Reply.ts"
import { assignment, crashed, events, report, uid } from "./samples.ts"

describe("the size of what is spoken", () => {
  it.effect("a status change of a running pod takes at most 250 bytes", () =>
    Effect.gen(function*() {
      const bytes = yield* encodeEvent({ _tag: "PodReport", report })
      assert.isAtMost(bytes.length, 250)
    }))

  it.effect("the life of a pod with two ConfigMaps of 1 KB takes at most 3 KB beside them", () =>
    Effect.gen(function*() {
      const assign = yield* encodeCommand({ _tag: "AssignPod", assignment })
      const remove = yield* encodeCommand({ _tag: "RemovePod", uid, graceSeconds: 30 })
      const forget = yield* encodeCommand({ _tag: "ForgetPod", uid })
      const change = yield* encodeEvent({ _tag: "PodReport", report })
      const happened = yield* encodeEvent({ _tag: "PodEvents", events })
      const replies = 8 * done.length
      // Pending, running, ready, ending, finished.
      const total = assign.length - 2048 + remove.length + forget.length + 5 * change.length + 2 * happened.length +
        replies
      assert.isAtMost(total, 3072)
      assert.isAtMost(remove.length, 26)
      assert.strictEqual(done.length, 2)
    }))

  it.effect("a crash loop with its back-off message stays below 480 bytes", () =>
    Effect.gen(function*() {
      assert.isAtMost((yield* encodeEvent({ _tag: "PodReport", report: crashed })).length, 480)
    }))

  it.effect("a message beyond its limit is not written", () =>
    Effect.gen(function*() {
      const files = [{ path: "big", mode: 0o644, content: new Uint8Array(limits.command) }]
      const error = yield* Effect.flip(encodeCommand({ _tag: "Tokens", uid, volume: "v", files }))
      assert.strictEqual(error.reason, "TooLarge")
      const pods = Array.from({ length: 9000 }, (_, i) => ({ uid: `pod-${i}`, hash: "00".repeat(32), reportNumber: 1 }))
      assert.strictEqual((yield* Effect.flip(encodeReply({ _tag: "Held", pods }))).reason, "TooLarge")
    }))

  it("a command that is written fits what an agent's link takes as one message", () => {
    assert.strictEqual(limits.command + messageCost, defaultLimits.agentPool * defaultLimits.messageShare)
  })

  it.effect("a message beyond its limit is not read", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* Effect.flip(decodeCommand(new Uint8Array(limits.command + 1)))).reason, "TooLarge")
      assert.strictEqual((yield* Effect.flip(decodeEvent(new Uint8Array(limits.event + 1)))).reason, "TooLarge")
    }))
})

import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit } from "effect"
import { decodeAssignment } from "../../../core/wire/assignment.ts"
import { decodeCommand, encodeCommand } from "../../../core/wire/Command.ts"
import { decodeEvent, encodeEvent } from "../../../core/wire/Event.ts"
import { decodePodReport } from "../../../core/wire/podReport.ts"
import { decodeProcessMessage, encodeProcessMessage } from "../../../core/wire/ProcessMessage.ts"
import { decodeReply, encodeReply, failureOf } from "../../../core/wire/Reply.ts"
import { decodeStreamOpening, encodeStreamOpening } from "../../../core/wire/StreamOpening.ts"
import type { WireError } from "../../../core/wire/WireError.ts"
import { uniform } from "../../simulation/uniform.ts"
import { assignment, crashed, events, nodeReport, uid } from "./samples.ts"

const decoders: ReadonlyArray<(bytes: Uint8Array) => Effect.Effect<unknown, WireError>> = [
  decodeCommand,
  decodeEvent,
  decodeReply,
  decodeStreamOpening,
  decodeProcessMessage,
  decodeAssignment,
  decodePodReport
]

/** Succeeds or fails with a WireError; anything else is a defect of ours. */
const survives = (decode: (typeof decoders)[number], bytes: Uint8Array) => {
  const exit = Effect.runSyncExit(decode(bytes))
  if (Exit.isSuccess(exit)) return
  const [reason] = exit.cause.reasons
  assert.isTrue(
    reason?._tag === "Fail" && reason.error._tag === "WireError" && reason.error.message.length < 2000,
    `${Buffer.from(bytes).toString("hex")} gave ${exit.cause}`
  )
}

const unknownKind = Uint8Array.of(0xfa, 0x7f, 0x02, 0x08, 0x01)

describe("bytes from outside", () => {
  it.effect("name no pod by more than Kubernetes lets it be called", () =>
    Effect.gen(function*() {
      const [event] = events
      const places = [
        { namespace: "n".repeat(63), name: "p".repeat(253), right: true },
        { namespace: "n".repeat(64), name: "p", right: false },
        { namespace: "n", name: "p".repeat(254), right: false }
      ]
      for (const { right, ...place } of places) {
        const said = [
          yield* encodeEvent({ _tag: "PodReport", report: { ...crashed, ...place } }),
          yield* encodeEvent({ _tag: "PodEvents", events: [{ ...event!, ...place }] })
        ]
        for (const bytes of said) {
          assert.strictEqual(yield* Effect.isSuccess(decodeEvent(bytes)), right, JSON.stringify(place))
        }
      }
    }))

  it.effect("end in a value or a WireError, 100,000 times", () =>
    Effect.gen(function*() {
      const next = uniform(20261121)
      const below = (limit: number) => Math.floor(next() * limit)
      const samples = yield* Effect.all([
        encodeCommand({ _tag: "AssignPod", assignment }),
        encodeCommand({ _tag: "RemovePod", uid, graceSeconds: 30 }),
        encodeEvent({ _tag: "PodReport", report: crashed }),
        encodeEvent({ _tag: "PodEvents", events }),
        encodeEvent({ _tag: "NodeReport", report: nodeReport }),
        encodeReply({ _tag: "Held", pods: [{ uid, hash: "00ff", reportNumber: 3 }] }),
        encodeStreamOpening({
          _tag: "Exec",
          uid,
          container: "web",
          spec: { command: ["sh"], stdin: true, stdout: true, stderr: true, tty: false }
        }),
        encodeProcessMessage({ _tag: "Stdout", bytes: new Uint8Array(40) })
      ])
      for (let i = 0; i < 100_000; i++) {
        let bytes: Uint8Array
        if (i % 4 === 0) bytes = Uint8Array.from({ length: below(64) }, () => below(256))
        else {
          bytes = samples[below(samples.length)]!.slice()
          for (let change = below(4); change >= 0; change--) bytes[below(bytes.length)] = below(256)
          if (i % 4 === 2) bytes = bytes.subarray(0, below(bytes.length))
          if (i % 4 === 3) {
            const cut = below(bytes.length)
            bytes = Uint8Array.from([...bytes.subarray(cut, cut + below(200)), ...bytes.subarray(0, 300)])
          }
        }
        survives(decoders[below(decoders.length)]!, bytes)
      }
    }), 60_000)

  it.effect("of an unknown kind are Unsupported, and the answer says so", () =>
    Effect.gen(function*() {
      for (const decode of decoders.slice(0, 5)) {
        for (const bytes of [unknownKind, new Uint8Array()]) {
          assert.strictEqual((yield* Effect.flip(decode(bytes))).reason, "Unsupported")
        }
      }
      const error = yield* Effect.flip(decodeCommand(unknownKind))
      assert.deepStrictEqual(failureOf(error), {
        _tag: "Failure",
        code: "Unsupported",
        detail: "Command: a command that this version does not know"
      })
    }))

  it.effect("with a field that this version does not know are read without it", () =>
    Effect.gen(function*() {
      const remove = yield* encodeCommand({ _tag: "RemovePod", uid, graceSeconds: 30 })
      const inner = Uint8Array.from([...remove.subarray(2), ...unknownKind])
      assert.deepStrictEqual(yield* decodeCommand(Uint8Array.of(remove[0]!, inner.length, ...inner)), {
        _tag: "RemovePod",
        uid,
        graceSeconds: 30
      })
    }))

  it.effect("never lead a file out of its volume", () =>
    Effect.gen(function*() {
      for (const path of ["../etc/passwd", "/etc/passwd", "a/../../b", "", "a//b", "a\0b"]) {
        const bytes = yield* encodeCommand({
          _tag: "Tokens",
          uid,
          volume: "v",
          files: [{ path, mode: 0o644, content: new Uint8Array() }]
        })
        const error = yield* Effect.flip(decodeCommand(bytes))
        assert.strictEqual(error.reason, "Invalid", path)
      }
    }))

  it.effect("nested without end are refused", () =>
    Effect.gen(function*() {
      // Groups within groups, which a careless parser follows down the stack.
      const error = yield* Effect.flip(decodeCommand(new Uint8Array(200_000).fill(0x4b)))
      assert.strictEqual(error.reason, "Malformed")
    }))
})

import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { assignmentContent } from "../../../core/wire/assignment.ts"
import { type Command, decodeCommand, encodeCommand } from "../../../core/wire/Command.ts"
import { decodeEvent, encodeEvent, type Event } from "../../../core/wire/Event.ts"
import { decodeProcessMessage, encodeProcessMessage, type ProcessMessage } from "../../../core/wire/ProcessMessage.ts"
import { decodeReply, encodeReply, type Reply } from "../../../core/wire/Reply.ts"
import {
  decodeLogFileFound,
  decodeStreamOpening,
  encodeLogFileFound,
  encodeStreamOpening,
  type StreamOpening
} from "../../../core/wire/StreamOpening.ts"
import { usageFigures } from "../../../core/wire/usage.ts"
import { vocabulary } from "../../../core/wire/vocabulary.ts"
import type { WireError } from "../../../core/wire/WireError.ts"
import { assignment, crashed, deviceUsage, events, nodeReport, report, uid } from "./samples.ts"

/**
 * Bytes that other versions have written and other implementations may be tested with. A new vector is recorded by running
 * this test once without its file; an existing file is never changed.
 */
const frozen = (name: string, bytes: Uint8Array) => {
  const file = new URL(`vectors/${name}.hex`, import.meta.url)
  const hex = Buffer.from(bytes).toString("hex").replaceAll(/.{1,100}/g, "$&\n")
  if (!existsSync(file) && process.env["CI"] === undefined) writeFileSync(file, hex)
  assert.strictEqual(hex, readFileSync(file, "utf8"))
}

const vectors = <A>(
  values: Readonly<Record<string, A>>,
  encode: (value: A) => Effect.Effect<Uint8Array, WireError>,
  decode: (bytes: Uint8Array) => Effect.Effect<A, WireError>
) => {
  for (const [name, value] of Object.entries(values)) {
    it.effect(`${name} is spoken as it always was`, () =>
      Effect.gen(function*() {
        const bytes = yield* encode(value)
        frozen(name, bytes)
        assert.deepStrictEqual(yield* decode(bytes), value)
      }))
  }
}

describe("frozen bytes", () => {
  vectors<Command>(
    {
      "command-assign-pod": { _tag: "AssignPod", assignment },
      "command-remove-pod": { _tag: "RemovePod", uid, graceSeconds: 30 },
      "command-forget-pod": { _tag: "ForgetPod", uid: "no-uuid" },
      "command-list-held": { _tag: "ListHeld" },
      "command-configure": {
        _tag: "Configure",
        settings: { hostIPs: ["10.0.0.7"], clusterDNS: ["10.96.0.10"], clusterDomain: "cluster.local" }
      },
      "command-wipe": { _tag: "Wipe", reason: "the EdgeDevice was deleted" },
      "command-tokens": {
        _tag: "Tokens",
        uid,
        volume: "kube-api-access",
        files: [{ path: "token", mode: 0o600, content: new TextEncoder().encode("second-token"), token: true }]
      },
      "command-measure": { _tag: "Measure", base: deviceUsage.at },
      "command-tell-node": { _tag: "TellNode" }
    },
    encodeCommand,
    decodeCommand
  )
  vectors<Event>(
    {
      "event-node-report": { _tag: "NodeReport", report: nodeReport },
      "event-pod-report-running": { _tag: "PodReport", report },
      "event-pod-report-crashed": { _tag: "PodReport", report: crashed },
      "event-pod-events": { _tag: "PodEvents", events }
    },
    encodeEvent,
    decodeEvent
  )
  vectors<Reply>(
    {
      "reply-done": { _tag: "Done" },
      "reply-held": { _tag: "Held", pods: [{ uid, hash: "00ff", reportNumber: 3 }] },
      "reply-usage": { _tag: "Usage", figures: usageFigures(deviceUsage) },
      "reply-failure": { _tag: "Failure", code: "NotFound", detail: "no such volume" }
    },
    encodeReply,
    decodeReply
  )
  vectors<StreamOpening>(
    {
      "opening-logs": {
        _tag: "Logs",
        uid,
        query: { container: "web", follow: true, previous: false, timestamps: true, tailLines: 0 }
      },
      "opening-exec": {
        _tag: "Exec",
        uid,
        container: "web",
        spec: { command: ["sh", "-c", "true"], stdin: true, stdout: true, stderr: false, tty: true }
      },
      "opening-attach": {
        _tag: "Attach",
        uid,
        container: "web",
        spec: { stdin: false, stdout: true, stderr: true, tty: false }
      },
      "opening-forward": { _tag: "Forward", uid, port: 8080 },
      "opening-log-file": { _tag: "LogFile", path: "pods/web.log" }
    },
    encodeStreamOpening,
    decodeStreamOpening
  )
  vectors(
    { "log-file-found-file": { directory: false }, "log-file-found-directory": { directory: true } },
    encodeLogFileFound,
    decodeLogFileFound
  )
  vectors<ProcessMessage>(
    {
      "process-stdin": { _tag: "Stdin", bytes: Uint8Array.of(104, 105) },
      "process-end-stdin": { _tag: "EndStdin" },
      "process-resize": { _tag: "Resize", width: 80, height: 24 },
      "process-started": { _tag: "Started" },
      "process-stdout": { _tag: "Stdout", bytes: new Uint8Array() },
      "process-stderr": { _tag: "Stderr", bytes: Uint8Array.of(0, 255) },
      "process-exit": { _tag: "Exit", code: 137 },
      "process-failed": { _tag: "Failed", reason: "NotReady", detail: "container web is not running" }
    },
    encodeProcessMessage,
    decodeProcessMessage
  )

  it.effect("under a content hash stay what they were, or every pod of a fleet would be assigned anew", () =>
    Effect.map(assignmentContent(assignment), (bytes) => frozen("assignment-content", bytes)))

  it("number the words of reports as they always did", () => {
    frozen("vocabulary", new TextEncoder().encode(vocabulary.join("\n")))
  })
})

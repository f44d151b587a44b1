import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { cpuQuota, cpuShares, isName, nameOf } from "../../../adapters/docker/containerBody.ts"
import { pullError, withTag } from "../../../adapters/docker/images.ts"
import { Complaint, makeDemultiplexer, makeLogReader, Malformed } from "../../../adapters/docker/multiplex.ts"

const frame = (stream: 1 | 2 | 3, bytes: Uint8Array): Uint8Array => {
  const head = Buffer.alloc(8)
  head[0] = stream
  head.writeUInt32BE(bytes.length, 4)
  return Buffer.concat([head, bytes])
}

/** The bytes in pieces of the given lengths, over and over. */
const cut = function*(bytes: Uint8Array, lengths: ReadonlyArray<number>) {
  let at = 0
  for (let turn = 0; at < bytes.length; turn++) {
    const length = lengths[turn % Math.max(1, lengths.length)] ?? 1000
    yield bytes.subarray(at, at + length)
    at += length
  }
}

const Lengths = Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 50 })))
const Pieces = Schema.Array(Schema.Struct({ error: Schema.Boolean, bytes: Schema.Uint8Array }))
const text = (bytes: Uint8Array) => Buffer.from(bytes).toString("latin1")
const stamp = "2026-11-21T02:47:01.123456789Z"

describe("docker's framed output", () => {
  it.prop(
    "comes out as it went in, wherever it is cut",
    { pieces: Pieces, lengths: Lengths },
    ({ lengths, pieces }) => {
      const wire = Buffer.concat(pieces.map(({ bytes, error }) => frame(error ? 2 : 1, bytes)))
      const demultiplex = makeDemultiplexer()
      const found = [...cut(wire, lengths)].flatMap((piece) => demultiplex(piece))
      for (const stream of ["stdout", "stderr"] as const) {
        assert.strictEqual(
          found.filter((piece) => piece.stream === stream).map(({ bytes }) => text(bytes)).join(""),
          pieces.filter(({ error }) => error === (stream === "stderr")).map(({ bytes }) => text(bytes)).join("")
        )
      }
    }
  )

  it.prop("that is garbage is refused in words and nothing else", { bytes: Schema.Uint8Array }, ({ bytes }) => {
    for (const read of [makeDemultiplexer(), makeLogReader(false), makeLogReader(true)]) {
      try {
        read(bytes)
      } catch (error) {
        assert.isTrue(error instanceof Malformed || error instanceof Complaint)
      }
    }
  })

  it("holds no memory for a frame that claims to be huge", () => {
    const demultiplex = makeDemultiplexer()
    const head = Uint8Array.of(1, 0, 0, 0, 255, 255, 255, 255)
    assert.deepStrictEqual(demultiplex(head), [])
    assert.deepStrictEqual(demultiplex(Uint8Array.of(7)), [{ stream: "stdout", bytes: Uint8Array.of(7) }])
  })
})

describe("docker's log", () => {
  const other = "2026-11-21T02:47:02.000000001Z"

  /** Docker cuts a line after 16384 bytes as they were written; what is no text then becomes U+FFFD. */
  it.each<readonly [string, ReadonlyArray<readonly [time: string, text: string]>]>([
    [
      "lines of any length",
      [[stamp, "one\n"], [stamp, "x".repeat(16_384)], [stamp, "rest\n"], [other, "\n"], [other, "cut"]]
    ],
    [
      "lines cut within a character",
      [
        [stamp, `${"x".repeat(16_383)}\ufffd`],
        [stamp, "\ufffdrest\n"],
        [other, `${"x".repeat(16_381)}\ufffd\ufffd\ufffd`],
        [other, `\ufffd${"x".repeat(16_380)}\ufffd\ufffd\ufffd`],
        [other, "\ufffd\n"],
        [stamp, "\n"]
      ]
    ],
    [
      "lines that are no text",
      [
        [stamp, `${"\ufffd".repeat(8000)}\n`],
        [stamp, `${"\ufffd".repeat(16_383)}\n`],
        [other, "\ufffd".repeat(16_384)],
        [other, "\n"],
        [stamp, "\ufffd".repeat(16_384)],
        [stamp, "\ufffd".repeat(10_000)]
      ]
    ],
    ["a line that tells a time", [[stamp, `${"\ufffd".repeat(8000)}${other} it was\n`], [other, "two\n"]]],
    [
      "a line that goes on after docker was started again",
      [[stamp, "x".repeat(16_384)], [other, "x".repeat(16_384)], [other, "x".repeat(16_384)], [other, "x\n"]]
    ]
  ])("gives each message with its time, framed or not, wherever it is cut: %s", (_, messages) => {
    const stamped = messages.map(([time, text]) => Buffer.from(`${time} ${text}`))
    for (const tty of [true, false]) {
      const wire = Buffer.concat(tty ? stamped : stamped.map((message) => frame(2, message)))
      for (const lengths of [[1_000_000], [16_384], [1000], [1, 31, 4999, 8], [257, 3]]) {
        const read = makeLogReader(tty)
        const found = [...[...cut(wire, lengths)].flatMap((piece) => read(piece)), ...read(undefined)]
        assert.deepStrictEqual(found.map(({ bytes, time }) => [time, Buffer.from(bytes).toString()] as const), messages)
        assert.deepStrictEqual([...new Set(found.map(({ stream }) => stream))], [tty ? "stdout" : "stderr"])
      }
    }
  })

  it("ends with docker's own words where docker cannot read it, after what it could", () => {
    const words = "Error grabbing logs: input/output error"
    const line = Buffer.from(`${stamp} one\n`)
    for (const tty of [true, false]) {
      const complaint = Buffer.from(`${words}\n`)
      const wire = Buffer.concat(tty ? [line, complaint] : [frame(1, line), frame(3, complaint)])
      for (const at of [wire.length, 9, line.length + 3, line.length + 40, wire.length - 1]) {
        const read = makeLogReader(tty)
        const found: Array<string> = []
        let said = ""
        try {
          for (const bytes of [wire.subarray(0, at), wire.subarray(at), undefined]) {
            found.push(...read(bytes).map(({ bytes }) => text(bytes)))
          }
        } catch (error) {
          said = String(error)
        }
        assert.deepStrictEqual(found, ["one\n"])
        assert.include(said, words)
      }
    }
    assert.throws(() => makeDemultiplexer()(frame(3, Buffer.from(`${words}\n`))), Complaint, words)
    const short = makeLogReader(true)
    assert.deepStrictEqual(short(Buffer.from("Error grabbing logs: EOF\n")), [])
    assert.throws(() => short(undefined), /logs: EOF$/)
  })

  it("is not gathered without end", () => {
    const endless = Buffer.from(`${stamp} ${"x".repeat(50_000)}`)
    assert.throws(() => makeLogReader(true)(endless), /longer than it can be/)
    assert.throws(() => makeLogReader(false)(frame(1, endless)), /longer than it can be/)
    assert.throws(() => makeLogReader(false)(frame(3, Buffer.alloc(100_000, "y"))), /^y{4096}$/)
  })
})

describe("what docker is told", () => {
  it("follows the kubelet's formulas for CPU", () => {
    const resources = { cpuRequest: 0, cpuLimit: 0, memoryRequest: 0, memoryLimit: 0 }
    assert.strictEqual(cpuShares(resources), 2)
    assert.strictEqual(cpuShares({ ...resources, cpuRequest: 1 }), 2)
    assert.strictEqual(cpuShares({ ...resources, cpuRequest: 500, cpuLimit: 2000 }), 512)
    assert.strictEqual(cpuShares({ ...resources, cpuLimit: 2000 }), 2048)
    assert.strictEqual(cpuShares({ ...resources, cpuRequest: 10_000_000 }), 262_144)
    assert.strictEqual(cpuQuota(5), 1000)
    assert.strictEqual(cpuQuota(1500), 150_000)
  })

  it("uses names docker takes", () => {
    assert.isTrue(isName(nameOf("0b5f2a66-63a4-4ae1-a4a5-6a3ed2b5fd42", "app", 12)))
    assert.isFalse(isName(nameOf("../..", "app", 0)))
  })

  it("asks for one tag and never for all of them", () => {
    assert.strictEqual(withTag("busybox"), "busybox:latest")
    assert.strictEqual(withTag("localhost:5000/a/b"), "localhost:5000/a/b:latest")
    assert.strictEqual(withTag("localhost:5000/a/b:1"), "localhost:5000/a/b:1")
    assert.strictEqual(withTag("a@sha256:00"), "a@sha256:00")
  })

  it("understands why a registry refused", () => {
    const reason = (words: string) => pullError("a", words).reason
    assert.strictEqual(
      reason("pull access denied for a, repository does not exist or may require login"),
      "ImageDenied"
    )
    assert.strictEqual(reason("unauthorized: authentication required"), "ImageDenied")
    assert.strictEqual(reason("invalid reference format: repository name must be lowercase"), "InvalidImageName")
    assert.strictEqual(reason("manifest for a:1 not found: manifest unknown"), "ImageUnavailable")
    assert.strictEqual(reason("dial tcp: lookup registry.test: no such host"), "ImageUnavailable")
  })
})

it("the beginning of a log message is kept without the chunk that it came in", () => {
  const reader = makeLogReader(true)
  const chunk = Buffer.from(`${stamp} one\n${stamp} tw`)
  assert.deepStrictEqual(reader(chunk).map(({ bytes }) => text(bytes)), ["one\n"])
  chunk.fill("x")
  assert.deepStrictEqual(reader(Buffer.from("o\n")).map(({ bytes }) => text(bytes)), ["two\n"])
})

import { create } from "@bufbuild/protobuf"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import { NodeCryptography } from "../../../adapters/crypto/NodeCryptography.ts"
import {
  DeviceHelloSchema,
  Kind,
  OperatorHelloSchema,
  PacketSchema,
  Priority,
  SegmentSchema
} from "../../../core/gen/aranya/link/v1/link_pb.ts"
import { Cryptography } from "../../../core/link/Cryptography.ts"
import { encodeFrame, encodeIntroduction, encodeRefusal } from "../../../core/link/frames.ts"
import { prologue, refusalKey } from "../../../core/link/handshake.ts"
import { initiate, respond } from "../../../core/link/noise/ikPsk2.ts"
import { Sealing } from "../../../core/link/Sealing.ts"

const document = readFileSync(new URL("../../../docs/protocol.md", import.meta.url), "utf8")

/** Lines `name = hex` of the document; long values go on in indented lines. */
const documented = new Map(
  [...document.matchAll(/^([a-z][a-z ]*[a-z]) = ([0-9a-f]+(?:\n {2}[0-9a-f]+)*)$/gm)].map((found) => [
    found[1] ?? "",
    (found[2] ?? "").replaceAll(/\s/g, "")
  ])
)

const given = (name: string) => new Uint8Array(Buffer.from(documented.get(name) ?? assert.fail(`no ${name}`), "hex"))

const computed = Effect.gen(function*() {
  const cryptography = yield* Cryptography
  const initiation = initiate(cryptography, {
    prologue,
    ephemeral: given("device ephemeral"),
    privateKey: given("device private"),
    responderPublic: cryptography.x25519Public(given("operator private")),
    payload: encodeIntroduction({ namespace: "default", device: "edge-1" })
  })
  const response = initiation && respond(cryptography, {
    prologue,
    ephemeral: given("operator ephemeral"),
    privateKey: given("operator private"),
    message: initiation.message
  })
  const answer = response?.write(given("enrolment key"), new Uint8Array(0))
  const refusal = response?.write(
    refusalKey(cryptography),
    encodeRefusal({ code: "UnknownDevice", detail: "no such EdgeDevice" })
  )
  if (initiation === undefined || response === undefined || answer === undefined || refusal === undefined) {
    return assert.fail("the handshake does not work")
  }
  assert.isDefined(initiation.read(refusal.message, refusalKey(cryptography)))
  const keys = initiation.read(answer.message, given("enrolment key"))?.keys ?? assert.fail("the answer does not open")
  const device = new Sealing(cryptography, keys)
  const operator = new Sealing(cryptography, answer.keys)
  const hello = create(PacketSchema, {
    hello: create(DeviceHelloSchema, {
      namespace: "default",
      device: "edge-1",
      protocolMin: 1,
      protocolMax: 1,
      agentVersion: "0.1.0",
      journalId: "journal",
      bootId: "boot",
      instance: "instance",
      epoch: 3n,
      lineage: Uint8Array.of(1, 2, 3),
      method: "grpc",
      digest: Uint8Array.of(4, 5, 6)
    })
  })
  const welcome = create(PacketSchema, {
    welcome: create(OperatorHelloSchema, {
      protocol: 1,
      epoch: 4n,
      lineage: Uint8Array.of(7, 8, 9),
      operatorVersion: "0.1.0",
      beatMillis: 90_000,
      sessionTimeoutMillis: 300_000,
      now: 1_767_225_600_000n,
      session: new Uint8Array(16).fill(0xaa)
    })
  })
  const ready = create(PacketSchema, {})
  const request = create(PacketSchema, {
    sequence: 1n,
    segments: [create(SegmentSchema, {
      stream: 2,
      kind: Kind.REQUEST,
      data: new TextEncoder().encode("ping"),
      priority: Priority.COMMAND
    })]
  })
  const reply = create(PacketSchema, {
    ack: 1n,
    sequence: 1n,
    segments: [create(SegmentSchema, { stream: 2, data: new TextEncoder().encode("pong") })]
  })
  return {
    "operator public": cryptography.x25519Public(given("operator private")),
    "initiation frame": encodeFrame({ initiation: initiation.message }),
    "answer frame": encodeFrame({ answer: answer.message }),
    "refusal frame": encodeFrame({ refusal: refusal.message }),
    "handshake hash": keys.hash,
    "key to operator": keys.send,
    "key to device": keys.receive,
    "hello frame": device.seal(hello),
    "welcome frame": operator.seal(welcome),
    "ready frame": device.seal(ready),
    "request frame": operator.seal(request),
    "reply frame": device.seal(reply)
  }
})

describe("docs/protocol.md", () => {
  it.effect("gives vectors that this implementation speaks byte for byte", () =>
    Effect.gen(function*() {
      for (const [name, bytes] of Object.entries(yield* computed)) {
        assert.strictEqual(documented.get(name), Buffer.from(bytes).toString("hex"), name)
      }
    }).pipe(Effect.provide(NodeCryptography.layer)))
})

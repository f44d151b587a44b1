import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import { NodeCryptography } from "../../../adapters/crypto/NodeCryptography.ts"
import { Cryptography } from "../../../core/link/Cryptography.ts"
import type { PodReport } from "../../../core/pod/PodReport.ts"
import { encodeEvent } from "../../../core/wire/Event.ts"
import { toHex } from "../../../core/wire/identity.ts"
import { frozenReport, ReportBases } from "../../../core/wire/ReportBases.ts"

const uid = "0b9a6f5e-4b1d-4c7e-9a53-5d0c6f1e2a3b"

const report = (number: number, reason: string, of = uid): PodReport => ({
  uid: of,
  namespace: "edge",
  name: "web-7d4b9c6f5-x2x7k",
  number,
  finished: false,
  status: {
    phase: "Running",
    startTime: "2026-11-21T08:00:00Z",
    conditions: ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"].map((
      type
    ) => ({
      type,
      status: "True",
      lastTransitionTime: "2026-11-21T08:00:03Z"
    })),
    containerStatuses: [{
      name: "web",
      image: "registry.example.com/shop/web:1.27",
      imageID: "docker-pullable://registry.example.com/shop/web@sha256:" + "5f".repeat(32),
      containerID: `docker://${"0123456789abcdef".repeat(4)}`,
      ready: true,
      started: true,
      restartCount: number,
      state: { waiting: { reason } }
    }]
  }
})
const encoded = (of: PodReport) => encodeEvent({ _tag: "PodReport", report: of })

/** Both ends of a session. */
const ends = Effect.gen(function*() {
  const cryptography = yield* Cryptography
  return { device: new ReportBases(cryptography), operator: new ReportBases(cryptography) }
})

const told = Effect.fnUntraced(function*({ device, operator }: Effect.Success<typeof ends>, of: PodReport) {
  const message = yield* encoded(of)
  const delta = device.pack(of.uid, message)
  if (delta === undefined) return undefined
  const read = yield* operator.unpack({ _tag: "ReportDelta", uid: of.uid, ...delta })
  assert.deepStrictEqual(Uint8Array.from(read.message), message)
  operator.agree(of, Uint8Array.from(read.message))
  device.agree(of, message)
  return { whole: message.length, delta: delta.delta.length, base: delta.base }
})

const refusal = (effect: Effect.Effect<unknown, { readonly message: string }>) =>
  Effect.map(Effect.flip(effect), ({ message }) => message)

describe("reports as what differs", () => {
  it.effect("are a fifth of the whole, the first one a good part less", () =>
    Effect.gen(function*() {
      const both = yield* ends
      const first = yield* told(both, report(1, "ContainerCreating"))
      assert.strictEqual(first?.base, 0)
      assert.isBelow(first?.delta ?? 0, 0.75 * (first?.whole ?? 0))
      const second = yield* told(both, report(2, "CrashLoopBackOff"))
      assert.strictEqual(second?.base, 1)
      assert.isBelow(second?.delta ?? 0, 0.2 * (second?.whole ?? 0))
    }).pipe(Effect.provide(NodeCryptography.layer)))

  it.effect("build on nothing that the other side has not confirmed", () =>
    Effect.gen(function*() {
      const { device, operator } = yield* ends
      const one = report(1, "ContainerCreating")
      device.agree(one, yield* encoded(one))
      const delta = device.pack(uid, yield* encoded(report(2, "x")))
      assert.isDefined(delta)
      if (delta === undefined) return
      assert.match(
        yield* refusal(operator.unpack({ _tag: "ReportDelta", uid, ...delta })),
        /the report it builds on is not known: tell the whole/u
      )
      device.forget(uid)
      assert.strictEqual(device.pack(uid, yield* encoded(report(2, "x")))?.base, 0)
    }).pipe(Effect.provide(NodeCryptography.layer)))

  it.effect("are refused where they grow beyond what they said or are of another pod, before anything is allocated", () =>
    Effect.gen(function*() {
      const { device, operator } = yield* ends
      const cryptography = yield* Cryptography
      const bomb = cryptography.deflate(new Uint8Array(60 * 1024 * 1024), frozenReport)
      const unpack = (length: number, delta: Uint8Array) =>
        refusal(operator.unpack({ _tag: "ReportDelta", uid, base: 0, length, delta }))
      assert.match(yield* unpack(60 * 1024 * 1024, bomb), /at most 4096 are allowed/u)
      assert.match(yield* unpack(4096, bomb), /does not inflate to what it said/u)
      const other = device.pack(uid, yield* encoded(report(1, "x", "1b9a6f5e-4b1d-4c7e-9a53-5d0c6f1e2a3b")))
      assert.match(yield* unpack(other?.length ?? 0, other?.delta ?? new Uint8Array()), /no report of that pod/u)
    }).pipe(Effect.provide(NodeCryptography.layer)))

  it.effect("keep no more than 64 KiB of a session, the newest", () =>
    Effect.gen(function*() {
      const { device } = yield* ends
      const names = Array.from({ length: 400 }, (_, n) => uid.replace(/^.{4}/u, String(1000 + n)))
      for (const name of names) {
        const each = report(1, "ContainerCreating", name)
        device.agree(each, yield* encoded(each))
      }
      const based = yield* Effect.forEach(names, (name) =>
        Effect.map(encoded(report(2, "x", name)), (message) => device.pack(name, message)?.base === 1))
      assert.isTrue(based.at(-1))
      assert.isFalse(based[0])
      const size = (yield* encoded(report(1, "ContainerCreating"))).length
      assert.isAtMost(
        based.filter((each) =>
          each
        ).length * size,
        64 * 1024
      )
    }).pipe(Effect.provide(NodeCryptography.layer)))

  it("begin with the dictionary that the protocol has frozen", () => {
    const protocol = readFileSync(new URL("../../../docs/protocol.md", import.meta.url), "utf8")
    assert.include(protocol.replaceAll(/\s/gu, ""), toHex(frozenReport))
  })
})

import { assert, describe, it } from "@effect/vitest"
import { generate, parser as makeParser } from "mqtt-packet"
import { makePacketLimit } from "../../../adapters/mqtt/packetLimit.ts"

const most = 1000

const publish = (length: number, version: "3.1.1" | "5", qos: 0 | 1 = 1) =>
  generate({
    cmd: "publish",
    topic: "edge/lamp/cmd",
    payload: Buffer.alloc(length, 7),
    qos,
    dup: false,
    retain: false,
    ...(qos === 1 ? { messageId: 513 } : {}),
    ...(version === "5" ? { properties: { messageExpiryInterval: 5 } } : {})
  }, { protocolVersion: version === "5" ? 5 : 4 })

const ping = Buffer.of(0xD0, 0)

/** What a client makes of it, in pieces of any size. */
const read = (bytes: Buffer, version: "3.1.1" | "5", piece: number) => {
  const limit = makePacketLimit(most, version)
  const parser = makeParser({ protocolVersion: version === "5" ? 5 : 4 })
  const seen: Array<string> = []
  parser.on("packet", (packet) =>
    seen.push(
      packet.cmd === "publish" ? `${packet.topic} ${packet.messageId ?? 0} ${packet.payload.length}` : packet.cmd
    ))
  parser.on("error", (error: Error) => seen.push(error.message))
  let passed = 0
  for (let at = 0; at < bytes.length; at += piece) {
    for (const chunk of limit.pass(bytes.subarray(at, at + piece))) {
      passed += chunk.length
      parser.parse(chunk)
    }
  }
  return { seen, passed }
}

describe("the limit of a broker's packets", () => {
  for (const version of ["3.1.1", "5"] as const) {
    it(`lets what is too large through without its payload, however it is cut, in MQTT ${version}`, () => {
      const bytes = Buffer.concat([
        ping,
        publish(900, version),
        publish(70_000, version),
        publish(2_500_000, version, 0),
        publish(0, version),
        publish(1001, version),
        ping
      ])
      const sizes = [1, 2, 3, 7, 64, 1000, 65_536, bytes.length]
      for (const size of sizes) {
        const { passed, seen } = read(bytes, version, size)
        assert.deepStrictEqual(seen, [
          "pingresp",
          "edge/lamp/cmd 513 900",
          "edge/lamp/cmd 513 0",
          "edge/lamp/cmd 0 0",
          "edge/lamp/cmd 513 0",
          "edge/lamp/cmd 513 0",
          "pingresp"
        ])
        assert.isBelow(passed, 1200)
      }
    })
  }

  it("ends with whoever sends other packets of that size, or lengths that are none", () => {
    const pass = (...bytes: ReadonlyArray<number>) => () => makePacketLimit(most, "5").pass(Buffer.from(bytes))
    assert.throws(pass(0x90, 0xFF, 0x7F), /a packet of 16383 bytes/u)
    assert.throws(pass(0x30, 0x80, 0x80, 0x80, 0x80), /without a length/u)
    // Its topic would be longer than the packet.
    assert.throws(pass(0x32, 0xFF, 0x7F, 0xFF, 0xFF, 1, 2, 3), /ends within its topic|PUBLISH/u)
  })

  it("never throws anything else, and never lets more through than came", () => {
    let seed = 1
    const next = () => (seed = (seed * 48_271) % 2_147_483_647)
    for (let round = 0; round < 3000; round++) {
      const bytes = Buffer.from(Array.from({ length: next() % 60 }, () => next() % 256))
      const limit = makePacketLimit(20, round % 2 === 0 ? "5" : "3.1.1")
      try {
        const passed = limit.pass(bytes).reduce((sum, chunk) => sum + chunk.length, 0)
        assert.isAtMost(passed, bytes.length + 8)
      } catch (error) {
        assert.match((error as Error).message, /^the broker sent/u)
      }
    }
  })
})

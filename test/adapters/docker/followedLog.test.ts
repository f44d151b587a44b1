import { assert, describe, it } from "@effect/vitest"
import { makeFollowedLog } from "../../../adapters/docker/followedLog.ts"

/** Of `12.5` this is half a second after the twelfth. */
const time = (second: number) => new Date(second * 1000).toISOString().replace("Z", "000000Z")

/** What is left of messages at these seconds. */
const told = (seconds: ReadonlyArray<number>, stream: "stdout" | "stderr" = "stdout") => {
  const { isRepeat } = makeFollowedLog()
  return seconds.filter((second) => !isRepeat({ stream, time: time(second), bytes: new Uint8Array() }))
}

describe("a followed log", () => {
  it("loses what docker tells again when it turns to another file", () => {
    assert.deepStrictEqual(told([1, 2, 3, 4, 3, 4, 5, 6, 2, 3, 4, 5, 6, 7]), [1, 2, 3, 4, 5, 6, 7])
  })
  it("keeps the pieces of a long line, which have one time, and loses them when they come again", () => {
    assert.deepStrictEqual(told([1, 2, 2, 2, 1, 2, 2, 2, 3]), [1, 2, 2, 2, 3])
  })
  it("keeps what is written after the clock was set back", () => {
    assert.deepStrictEqual(told([1, 2, 3, 0.25, 0.5, 1.5, 4]), [1, 2, 3, 0.25, 0.5, 1.5, 4])
  })
  it("keeps what the other stream has at the same time", () => {
    const { isRepeat } = makeFollowedLog()
    const chunk = { time: time(5), bytes: new Uint8Array() }
    assert.deepStrictEqual([isRepeat({ ...chunk, stream: "stdout" }), isRepeat({ ...chunk, stream: "stderr" })], [
      false,
      false
    ])
  })
  it("remembers far enough back, and not for ever", () => {
    const many = Array.from({ length: 20_000 }, (_, index) => index)
    assert.strictEqual(told([...many, ...many.slice(10_000), 20_000]).length, 20_001)
    assert.strictEqual(told([...many, ...many.slice(0, 100), 20_000]).length, 20_101)
  })
  it("is asked for again from where the stream that is behind has ended, and for nothing that was told", () => {
    const log = makeFollowedLog()
    assert.isUndefined(log.since())
    const at = (second: number, stream: "stdout" | "stderr" = "stdout") => ({
      stream,
      time: time(second),
      bytes: new Uint8Array()
    })
    for (const chunk of [at(7.5), at(8, "stderr"), at(9)]) log.isRepeat(chunk)
    assert.strictEqual(log.since(), "8.000000000")
    const again = [at(8, "stderr"), at(9), at(8.5, "stderr"), at(9.5)]
    assert.deepStrictEqual(again.filter(log.isMissing), [at(8.5, "stderr"), at(9.5)])
  })
})

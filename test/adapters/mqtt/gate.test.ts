import { assert, describe, it } from "@effect/vitest"
import { Gate } from "../../../adapters/mqtt/Gate.ts"

const limits = { count: 100, bytes: 10_000, urgent: 10 }

describe("the gate to a broker", () => {
  it("lets through only so many at a time, and the rest later", () => {
    const later: Array<() => void> = []
    const gone: Array<number> = []
    const gate = new Gate({ ...limits, pace: { count: 3, millis: 100, later: (_, work) => void later.push(work) } })
    for (let n = 0; n < 8; n++) gate.enter(1, () => void gone.push(n), () => {})
    assert.deepStrictEqual(gone, [0, 1, 2])
    later.shift()?.()
    assert.deepStrictEqual(gone, [0, 1, 2, 3, 4, 5])
    later.shift()?.()
    assert.lengthOf(gone, 8)
    assert.lengthOf(later, 1)
  })

  it("gives what is urgent every other turn, however much of it there is", () => {
    const gone: Array<string> = []
    const gate = new Gate({ ...limits, count: 1 })
    gate.enter(1, () => void gone.push("first"), () => {})
    for (let n = 0; n < 3; n++) gate.hurry(1, () => void gone.push("urgent"))
    for (let n = 0; n < 3; n++) gate.enter(1, () => void gone.push("other"), () => {})
    for (let n = 0; n < 6; n++) gate.leave(1)
    assert.deepStrictEqual(gone, ["first", "urgent", "other", "urgent", "other", "urgent", "other"])
  })

  it("lets any number through that leave at once, without going deeper for each", () => {
    const gate = new Gate({ ...limits, count: 1 })
    let gone = 0
    gate.enter(1, () => {}, () => {})
    const go = () => {
      gone += 1
      gate.leave(1)
    }
    for (let n = 0; n < 10_000; n++) gate.enter(1, go, () => {})
    gate.leave(1)
    assert.strictEqual(gone, 10_000)
  })
})

import { assert, describe, it } from "@effect/vitest"
import { barOf, type Count, makeProgress } from "./progress.ts"

const half: Count = { total: 200, done: 100, failed: 1, deviceSeconds: 7200, cpuMillis: 5000, seconds: 50 }

describe("the progress of storms", () => {
  it("is a bar that fits the terminal, with what is left", () => {
    const bar = barOf(half, 120)
    assert.match(bar, /^\[█+░+\] 100\/200 seeds, 1 failed, 2\.0 a second, 2\.0 device-hours, 50 s left$/)
    for (const columns of [1, 20, 40, 80, 200]) assert.isBelow(barOf(half, columns).length, Math.max(columns, 2))
    assert.include(barOf({ ...half, done: 0, seconds: 0 }, 120), "? left")
  })

  it("is a line every five seconds where there is no terminal, and the bar makes room for what is said", () => {
    const written: Array<string> = []
    let now = 0
    const write = (text: string) => written.push(text)
    const plain = makeProgress({ write }, () => now)
    plain.show(half)
    assert.deepStrictEqual(written, [])
    now = 6
    plain.show(half)
    plain.show(half)
    assert.strictEqual(written.length, 1)
    assert.match(written[0] ?? "", /^100\/200 seeds.*\n$/)

    written.length = 0
    const terminal = makeProgress({ write, isTTY: true, columns: 100 }, () => now)
    terminal.show(half)
    terminal.show(half)
    terminal.say("something")
    assert.strictEqual(written.length, 3)
    assert.match(written[0] ?? "", /^\r\u001b\[2K\[/)
    assert.deepStrictEqual(written.slice(1), ["\r\u001b[2K", "something\n"])

    written.length = 0
    makeProgress({ write, isTTY: true, columns: 0 }, () => now).show(half)
    assert.include(written[0], "100/200")
  })
})

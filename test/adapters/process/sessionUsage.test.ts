import { assert, describe, it } from "@effect/vitest"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { sessionUsage } from "../../../adapters/process/sessionUsage.ts"

/** stat(5) as proc writes it: session is field 6, times are fields 14 to 17, resident pages field 24. */
const stat = (pid: number, session: number, times: ReadonlyArray<number>, pages: number, name = "sh") =>
  `${pid} (${name}) S 1 ${pid} ${session} 0 -1 4194560 1 2 3 4 ${times.join(" ")} 20 0 1 0 12345 1000000 ${pages} 99\n`

describe("what a session uses", () => {
  it("is the sum over its processes and the children they have waited for, whatever a process calls itself", () => {
    const proc = mkdtempSync(join(tmpdir(), "aranya-proc-"))
    try {
      const lines = {
        100: stat(100, 100, [10, 5, 30, 5], 200),
        101: stat(101, 100, [7, 3, 0, 0], 50, "a) R 1 (b"),
        200: stat(200, 200, [1, 0, 0, 0], 10)
      }
      for (const [pid, line] of Object.entries(lines)) {
        mkdirSync(join(proc, pid))
        writeFileSync(join(proc, pid, "stat"), line)
      }
      mkdirSync(join(proc, "300")) // ended between the list and the look
      mkdirSync(join(proc, "sys"))
      const usage = sessionUsage(proc)
      assert.deepStrictEqual([...usage.keys()], [100, 200])
      const rss = 250 * 4096
      assert.deepStrictEqual(usage.get(100), {
        cpuNanoseconds: 60 * 10_000_000,
        memoryUsedBytes: rss,
        memoryWorkingSetBytes: rss,
        memoryRssBytes: rss
      })
    } finally {
      rmSync(proc, { recursive: true })
    }
  })
})

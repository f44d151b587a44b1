/** What containers use where there are no control groups: each runs in a session of its own, whose processes /proc tells. */
import { readdirSync } from "node:fs"
import type { Usage } from "../../core/pod/ContainerRuntime.ts"
import { readIfThere } from "./disk.ts"

/** 100 ticks a second and 4 KiB pages are what Linux devices have. */
const nanosecondsPerTick = 10_000_000
const pageBytes = 4096

type SessionUsage = Omit<Usage, "containerId" | "at">

/** By the id of the session, which is the pid of its first process. Memory that processes share is counted for each of them. */
export const sessionUsage = (proc = "/proc"): ReadonlyMap<number, SessionUsage> => {
  const sessions = new Map<number, SessionUsage>()
  for (const name of readdirSync(proc)) {
    if (!/^[1-9][0-9]*$/.test(name)) continue
    const stat = readIfThere(`${proc}/${name}/stat`)
    if (stat === undefined) continue
    // The name in parentheses may hold anything; what follows its last one begins with field 3, the state.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ").map(Number)
    const session = fields[3] ?? 0
    const before = sessions.get(session)
    // User and system time, and that of children which were waited for.
    const ticks = [11, 12, 13, 14].reduce((sum, place) => sum + (fields[place] ?? 0), 0)
    const rss = (before?.memoryRssBytes ?? 0) + (fields[21] ?? 0) * pageBytes
    sessions.set(session, {
      cpuNanoseconds: (before?.cpuNanoseconds ?? 0) + ticks * nanosecondsPerTick,
      memoryUsedBytes: rss,
      memoryWorkingSetBytes: rss,
      memoryRssBytes: rss
    })
  }
  return sessions
}

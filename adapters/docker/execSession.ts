/** Ends a command that was run in a container, with all of its session: docker has no call for it. */
import { Effect } from "effect"
import { readdirSync, readFileSync } from "node:fs"

const LOOKS = 50
const LOOK_EVERY = "20 millis"

/** `undefined` where there is none, or an engine lives where its processes cannot be seen. */
const read = (path: string): string | undefined => {
  try {
    return readFileSync(path, "utf8")
  } catch {
    return undefined
  }
}

/** A command in a container leads a session. Its members count only where the kernel says that they belong to this container. */
const membersOf = (leader: number, containerId: string): ReadonlyArray<number> =>
  readdirSync("/proc").filter((name) => /^[1-9][0-9]*$/.test(name)).map(Number).filter((pid) => {
    const stat = read(`/proc/${pid}/stat`)
    const [state, , , session] = stat?.slice(stat.lastIndexOf(")") + 2).split(" ") ?? []
    return session === `${leader}` && state !== "Z" && state !== "X" &&
      (read(`/proc/${pid}/cgroup`)?.includes(containerId) ?? false)
  })

/** `leader` is a number of this host. */
export const endExecSession = (leader: number, containerId: string): Effect.Effect<void> =>
  Effect.gen(function*() {
    // A process may fork while it is looked for.
    for (let look = 0; look < LOOKS; look++) {
      const members = membersOf(leader, containerId)
      if (members.length === 0) return
      for (const pid of members) {
        try {
          process.kill(pid, "SIGKILL")
        } catch {
          // It ended between the look and the signal.
        }
      }
      yield* Effect.sleep(LOOK_EVERY)
    }
  })

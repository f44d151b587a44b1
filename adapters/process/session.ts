/** The processes of a session, which a command begins with a terminal or without: found in /proc, hung up, ended. */
import { Effect } from "effect"
import { readdirSync } from "node:fs"
import { readIfThere } from "./disk.ts"

export interface SessionLeader {
  readonly pid: number
  /** Clock ticks after boot: the number alone may be somebody else's by now. */
  readonly start: string
}

interface Member {
  readonly pid: number
  readonly group: number
  readonly start: string
}

/** Fields 3 and on of /proc/PID/stat. */
const statOf = (pid: number | string): ReadonlyArray<string> | undefined => {
  const stat = readIfThere(`/proc/${pid}/stat`)
  return stat?.slice(stat.lastIndexOf(")") + 2).split(" ")
}

export const leaderOf = (pid: number): SessionLeader | undefined => {
  const start = statOf(pid)?.[19]
  return start === undefined ? undefined : { pid, start }
}

/** Nobody's where the number of the session has gone to another one. */
const membersOf = (leader: SessionLeader): ReadonlyArray<Member> => {
  const members = readdirSync("/proc").filter((name) => /^[1-9][0-9]*$/.test(name)).flatMap((pid) => {
    const fields = statOf(pid)
    // A zombie is gone already.
    return fields === undefined || Number(fields[3]) !== leader.pid || fields[0] === "Z" || fields[0] === "X"
      ? []
      : [{ pid: Number(pid), group: Number(fields[2]), start: fields[19] ?? "" }]
  })
  return members.some(({ pid, start }) => pid === leader.pid && start !== leader.start) ? [] : members
}

const signalAll = (members: ReadonlyArray<Member>, names: ReadonlyArray<NodeJS.Signals>) => {
  for (const { pid } of members) {
    for (const name of names) {
      try {
        process.kill(pid, name)
      } catch {
        // It ended between the look and the signal.
      }
    }
  }
}

/** A second, then five. */
const GRACE_LOOKS = 20
const KILL_LOOKS = 100
const LOOK_EVERY = "50 millis"

/** Ends all of a session. A process may fork while it is looked for. */
export const endSession = (leader: SessionLeader): Effect.Effect<void> =>
  Effect.gen(function*() {
    for (let look = 0; look < KILL_LOOKS; look++) {
      const left = membersOf(leader)
      if (left.length === 0) return
      signalAll(left, ["SIGKILL"])
      yield* Effect.sleep(LOOK_EVERY)
    }
  })

/** Tells a session that its terminal is gone, and ends what has not ended a second later. */
export const hangUp = (leader: SessionLeader): Effect.Effect<void> =>
  Effect.gen(function*() {
    signalAll(membersOf(leader), ["SIGHUP", "SIGCONT"])
    for (let look = 0; look < GRACE_LOOKS && membersOf(leader).length > 0; look++) yield* Effect.sleep(LOOK_EVERY)
    yield* endSession(leader)
  })

/** After the leader has ended by itself: its own process group goes with it, as a container's does. */
export const endGroup = (leader: SessionLeader): void =>
  signalAll(membersOf(leader).filter(({ group }) => group === leader.pid), ["SIGKILL"])

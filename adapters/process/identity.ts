/** Which process is meant: a pid alone may be somebody else's by now, so start time and boot belong to it. */
import { readIfThere } from "./disk.ts"

export interface ProcessIdentity {
  readonly pid: number
  /** Clock ticks after boot, field 22 of /proc/PID/stat. */
  readonly start: string
  readonly boot: string
}

export const parseIdentity = (text: string | undefined): ProcessIdentity | undefined => {
  const [pid, start, boot] = (text ?? "").trim().split(" ")
  return pid === undefined || start === undefined || boot === undefined || !/^[1-9][0-9]*$/.test(pid)
    ? undefined
    : { pid: Number(pid), start, boot }
}

export const bootId = (): string => (readIfThere("/proc/sys/kernel/random/boot_id") ?? "unknown").trim()

/** A zombie has ended: only its parent has not looked yet. */
export const isAlive = ({ boot, pid, start }: ProcessIdentity, currentBoot: string): boolean => {
  if (boot !== currentBoot) return false
  const stat = readIfThere(`/proc/${pid}/stat`)
  if (stat === undefined) return false
  // The name in parentheses may hold anything; what follows its last one begins with field 3, the state.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
  return fields[19] === start && fields[0] !== "Z" && fields[0] !== "X"
}

/** Signals a process, or its group (`group`), if it still is the one meant. */
export const signal = (
  identity: ProcessIdentity,
  currentBoot: string,
  name: "SIGTERM" | "SIGKILL" | "SIGUSR1",
  group: boolean
): void => {
  if (!isAlive(identity, currentBoot)) return
  try {
    process.kill(group ? -identity.pid : identity.pid, name)
  } catch {
    // It ended between the look and the signal.
  }
}

/** What is known of a device's usage: its last sample in the operator's time, and the one before, which makes a rate of it. Pure. */
import type { ContainerUsage, DeviceUsage } from "./DeviceUsage.ts"

interface Run {
  readonly name: string
  readonly cpuNanoseconds: number
  /** By the device's clock, and by ours. */
  readonly started: readonly [there: number, here: number]
}

export interface NodeSample {
  /** With times by the operator's clock. */
  readonly usage: DeviceUsage
  /** Nanoseconds of each pod by uid: of all runs of its containers that were seen, so that it grows for as long as the pod is there. */
  readonly podCpu: ReadonlyMap<string, number>
  /** Of runs that another one of their container has followed. */
  readonly endedCpu: ReadonlyMap<string, number>
  /** The last run seen of each container, by uid of its pod: one that a sample does not tell of may go on in the next. */
  readonly lastRuns: ReadonlyMap<string, ReadonlyArray<Run>>
  readonly before: Omit<NodeSample, "before"> | undefined
}

const inOurTime = (usage: DeviceUsage, offset: number): DeviceUsage => ({
  ...usage,
  at: usage.at + offset,
  host: { ...usage.host, bootedAt: usage.host.bootedAt === 0 ? 0 : usage.host.bootedAt + offset },
  pods: usage.pods.map((pod) => ({
    ...pod,
    containers: pod.containers.map((container) => ({ ...container, startedAt: container.startedAt + offset }))
  }))
})

const runsOf = (containers: ReadonlyArray<ContainerUsage>, offset: number): ReadonlyArray<Run> =>
  containers.map(({ cpuNanoseconds, name, startedAt }) => ({
    name,
    cpuNanoseconds,
    started: [startedAt, startedAt + offset]
  }))

const sum = (runs: ReadonlyArray<Run>): number => runs.reduce((total, { cpuNanoseconds }) => total + cpuNanoseconds, 0)

/** Less is the device's clock, not another run: a container that was restarted starts later, and from less. */
const sameStartMillis = 3000

/** A clock that is set moves the start by one of the two clocks; another start is another by both. */
const isAnother = (run: Run, before: Run): boolean =>
  run.cpuNanoseconds < before.cpuNanoseconds ||
  run.started.every((start, clock) => Math.abs(start - before.started[clock]!) > sameStartMillis)

export const nextSample = (
  previous: NodeSample | undefined,
  usage: DeviceUsage,
  options: {
    /** From the device's time to ours. */
    readonly offset: number
    /** Whether the pod of this uid still exists. */
    readonly exists: (uid: string) => boolean
  }
): NodeSample => {
  const ours = inOurTime(usage, options.offset)
  const lastRuns = new Map(usage.pods.map((pod) => [pod.uid, runsOf(pod.containers, options.offset)]))
  const endedCpu = new Map([...previous?.endedCpu ?? []].filter(([uid]) => lastRuns.has(uid) || options.exists(uid)))
  for (const [uid, runs] of previous?.lastRuns ?? []) {
    const now = lastRuns.get(uid)
    if (now === undefined && !options.exists(uid)) continue
    const absent: Array<Run> = []
    for (const run of runs) {
      const next = now?.find(({ name }) => name === run.name)
      if (next === undefined) absent.push(run)
      else if (isAnother(next, run)) endedCpu.set(uid, (endedCpu.get(uid) ?? 0) + run.cpuNanoseconds)
    }
    lastRuns.set(uid, [...now ?? [], ...absent])
  }
  const { before: _, ...last } = previous ?? { before: undefined }
  return {
    usage: ours,
    podCpu: new Map(ours.pods.map((pod) => [pod.uid, (endedCpu.get(pod.uid) ?? 0) + sum(lastRuns.get(pod.uid) ?? [])])),
    endedCpu,
    lastRuns,
    // Where a clock was put back nobody knows how much time lies between the two: there is no rate until the next.
    before: previous === undefined || ours.at <= previous.usage.at ? undefined : last as Omit<NodeSample, "before">
  }
}

/** Billionths of a core between two readings of a counter; undefined where it began anew or no time has passed. */
export const rate = (
  now: { readonly at: number; readonly cpuNanoseconds: number },
  before: { readonly at: number; readonly cpuNanoseconds: number } | undefined
): number | undefined =>
  before === undefined || now.at <= before.at || now.cpuNanoseconds < before.cpuNanoseconds
    ? undefined
    : Math.round((now.cpuNanoseconds - before.cpuNanoseconds) / (now.at - before.at) * 1000)

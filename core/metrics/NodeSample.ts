/** What is known of a device's usage: its last sample in the operator's time, and the one before, which makes a rate of it. Pure. */
import type { DeviceUsage, PodUsage } from "./DeviceUsage.ts"

export interface NodeSample {
  /** With times by the operator's clock. */
  readonly usage: DeviceUsage
  /** Nanoseconds of each pod by uid: of all runs of its containers that were seen, so that it grows for as long as the pod is there. */
  readonly podCpu: ReadonlyMap<string, number>
  /** Of runs that are over, and of pods of which nothing ran at that moment. */
  readonly endedCpu: ReadonlyMap<string, number>
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

const sum = (pod: PodUsage): number => pod.containers.reduce((total, { cpuNanoseconds }) => total + cpuNanoseconds, 0)

/** Less is the device's clock, not another run: a container that was restarted starts later, and from less. */
const sameStartMillis = 3000

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
  const pods = new Map(ours.pods.map((pod) => [pod.uid, pod]))
  const endedCpu = new Map([...previous?.endedCpu ?? []].filter(([uid]) => pods.has(uid) || options.exists(uid)))
  for (const pod of previous?.usage.pods ?? []) {
    const now = pods.get(pod.uid)
    if (now === undefined && !options.exists(pod.uid)) continue
    const over = pod.containers.filter((container) => {
      const same = now?.containers.find(({ name }) => name === container.name)
      return same === undefined || same.cpuNanoseconds < container.cpuNanoseconds ||
        Math.abs(same.startedAt - container.startedAt) > sameStartMillis
    })
    const ended = sum({ ...pod, containers: over })
    if (ended > 0) endedCpu.set(pod.uid, (endedCpu.get(pod.uid) ?? 0) + ended)
  }
  const { before: _, ...last } = previous ?? { before: undefined }
  return {
    // The device's clock may have been put back: a sample is newer than the one before it all the same.
    usage: { ...ours, at: Math.max(ours.at, (previous?.usage.at ?? 0) + 1) },
    podCpu: new Map(ours.pods.map((pod) => [pod.uid, (endedCpu.get(pod.uid) ?? 0) + sum(pod)])),
    endedCpu,
    before: previous === undefined ? undefined : last as Omit<NodeSample, "before">
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

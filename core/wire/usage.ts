/**
 * A sample of usage as whole numbers in frozen places, and what differs from the sample before: most of a sample is as it was.
 * New figures are appended; who does not know them reads those it knows.
 */
import { Schema } from "effect"
import type { Usage as Message } from "../gen/aranya/wire/v1/message_pb.ts"
import type { ContainerUsage, DeviceUsage, HostUsage, PodUsage } from "../metrics/DeviceUsage.ts"
import { uidFields, uidOf } from "./identity.ts"
import { limits } from "./limits.ts"
import { bounded, count, long, number } from "./message.ts"

/** The capability of an agent that answers `Measure`; the operator does not repeat it. */
export const measure = "measure"

const Figures = Schema.Array(Schema.Number)

export const UsageFigures = Schema.Struct({
  /** Milliseconds since the epoch by the device's clock; names the sample. */
  at: Schema.Number,
  /** The sample that these figures are differences to; 0 where they are the figures themselves. Then `pods` are those of that one. */
  base: Schema.Number,
  pods: Schema.Array(Schema.Struct({
    uid: Schema.String,
    /** `startedAt` in seconds since the epoch. */
    containers: Schema.Array(Schema.Struct({ name: Schema.String, startedAt: Schema.Number }))
  })),
  /** CPU in microseconds, memory and storage in KiB, network in bytes, in the order of `hostFigures`. */
  host: Figures,
  /** For each pod, and for each container of each pod, equally many. */
  ofPods: Figures,
  ofContainers: Figures
})
export type UsageFigures = typeof UsageFigures.Type

const micros = (nanoseconds: number): number => Math.floor(nanoseconds / 1000)
const kibibytes = (bytes: number): number => Math.floor(bytes / 1024)
const seconds = (millis: number): number => Math.floor(millis / 1000)

const hostFigures = (host: HostUsage): ReadonlyArray<number> => [
  micros(host.cpuNanoseconds),
  kibibytes(host.memoryUsedBytes),
  kibibytes(host.memoryWorkingSetBytes),
  kibibytes(host.memoryRssBytes),
  seconds(host.bootedAt),
  kibibytes(host.storageAvailableBytes),
  kibibytes(host.storageUsedBytes),
  host.inodes,
  host.inodesFree,
  host.network.receivedBytes,
  host.network.sentBytes,
  host.processes
]

/** Bytes both ways; -1 where there is nothing to tell. */
const podFigures = ({ network }: PodUsage): ReadonlyArray<number> => [
  network?.receivedBytes ?? -1,
  network?.sentBytes ?? -1
]

const containerFigures = (container: ContainerUsage): ReadonlyArray<number> => [
  micros(container.cpuNanoseconds),
  kibibytes(container.memoryUsedBytes),
  kibibytes(container.memoryWorkingSetBytes),
  kibibytes(container.memoryRssBytes)
]

export const usageFigures = ({ at, host, pods }: DeviceUsage): UsageFigures => ({
  at,
  base: 0,
  pods: pods.map(({ containers, uid }) => ({
    uid,
    containers: containers.map(({ name, startedAt }) => ({ name, startedAt: seconds(startedAt) }))
  })),
  host: hostFigures(host),
  ofPods: pods.flatMap(podFigures),
  ofContainers: pods.flatMap(({ containers }) => containers.flatMap(containerFigures))
})

const sameShape = (one: UsageFigures, other: UsageFigures): boolean =>
  JSON.stringify(one.pods) === JSON.stringify(other.pods) && one.host.length === other.host.length &&
  one.ofPods.length === other.ofPods.length && one.ofContainers.length === other.ofContainers.length

const combine = (
  one: ReadonlyArray<number>,
  other: ReadonlyArray<number>,
  sign: 1 | -1
): ReadonlyArray<number> => one.map((figure, index) => figure + sign * (other[index] ?? 0))

/** The figures as differences to those of `base`, where pods and containers are the same; else as they are. */
export const shortened = (figures: UsageFigures, base: UsageFigures): UsageFigures =>
  base.at === 0 || !sameShape(figures, base) ? figures : {
    at: figures.at,
    base: base.at,
    pods: [],
    host: combine(figures.host, base.host, -1),
    ofPods: combine(figures.ofPods, base.ofPods, -1),
    ofContainers: combine(figures.ofContainers, base.ofContainers, -1)
  }

/** Undefined where the figures are differences to another sample than `base`. */
export const restored = (said: UsageFigures, base: UsageFigures | undefined): UsageFigures | undefined => {
  if (said.base === 0) return said
  if (
    base === undefined || said.base !== base.at || said.host.length !== base.host.length ||
    said.ofPods.length !== base.ofPods.length || said.ofContainers.length !== base.ofContainers.length
  ) return undefined
  return {
    at: said.at,
    base: 0,
    pods: base.pods,
    host: combine(said.host, base.host, 1),
    ofPods: combine(said.ofPods, base.ofPods, 1),
    ofContainers: combine(said.ofContainers, base.ofContainers, 1)
  }
}

/** Of figures that are no differences. What an older device does not tell is 0. */
export const usageOf = (figures: UsageFigures): DeviceUsage => {
  const of = (list: ReadonlyArray<number>, start: number) => (place: number): number =>
    Math.max(0, list[start + place] ?? 0)
  const containers = figures.pods.reduce((sum, pod) => sum + pod.containers.length, 0)
  const podWidth = figures.pods.length === 0 ? 0 : Math.floor(figures.ofPods.length / figures.pods.length)
  const containerWidth = containers === 0 ? 0 : Math.floor(figures.ofContainers.length / containers)
  const host = of(figures.host, 0)
  let container = 0
  return {
    at: figures.at,
    host: {
      cpuNanoseconds: host(0) * 1000,
      memoryUsedBytes: host(1) * 1024,
      memoryWorkingSetBytes: host(2) * 1024,
      memoryRssBytes: host(3) * 1024,
      bootedAt: host(4) * 1000,
      storageAvailableBytes: host(5) * 1024,
      storageUsedBytes: host(6) * 1024,
      inodes: host(7),
      inodesFree: host(8),
      network: { receivedBytes: host(9), sentBytes: host(10) },
      processes: host(11)
    },
    pods: figures.pods.map((pod, index) => {
      const [received = -1, sent = -1] = podWidth === 0 ? [] : figures.ofPods.slice(index * podWidth)
      return {
        uid: pod.uid,
        containers: pod.containers.map(({ name, startedAt }) => {
          const figure = of(containerWidth === 0 ? [] : figures.ofContainers, container++ * containerWidth)
          return {
            name,
            startedAt: startedAt * 1000,
            cpuNanoseconds: figure(0) * 1000,
            memoryUsedBytes: figure(1) * 1024,
            memoryWorkingSetBytes: figure(2) * 1024,
            memoryRssBytes: figure(3) * 1024
          }
        }),
        network: received < 0 || sent < 0 ? undefined : { receivedBytes: received, sentBytes: sent }
      }
    })
  }
}

export const figuresMessage = ({ at, base, host, ofContainers, ofPods, pods }: UsageFigures) => ({
  at: long(at),
  base: long(base),
  pods: pods.map(({ containers, uid }) => ({
    ...uidFields(uid),
    containers: containers.map(({ name, startedAt }) => ({ name, startedAt: long(startedAt) }))
  })),
  host: host.map(long),
  ofPods: ofPods.map(long),
  ofContainers: ofContainers.map(long)
})

/** Figures of one pod or container that anybody may add in time. */
const mostFigures = 64

export const figuresValue = (message: Message): UsageFigures => {
  const pods = bounded(message.pods, limits.parts).map((pod) => ({
    uid: uidOf(pod),
    containers: bounded(pod.containers, limits.parts).map(({ name, startedAt }) => ({
      name,
      startedAt: number(startedAt)
    }))
  }))
  const figures = (list: ReadonlyArray<bigint>) => bounded(list, limits.parts * mostFigures).map(number)
  return {
    at: count(message.at),
    base: count(message.base),
    pods,
    host: figures(message.host),
    ofPods: figures(message.ofPods),
    ofContainers: figures(message.ofContainers)
  }
}

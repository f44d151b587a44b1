/** What a device and its pods have used by one moment. Counters grow from the start of what they count. */

export interface NetworkUsage {
  readonly receivedBytes: number
  readonly sentBytes: number
}

/** What cannot be read is 0, and is not shown. */
export interface HostUsage {
  /** Of all cores together, since boot. */
  readonly cpuNanoseconds: number
  /** What is not free; the page cache is in it. */
  readonly memoryUsedBytes: number
  /** Without what the kernel would give up first: file pages that nobody has touched lately. */
  readonly memoryWorkingSetBytes: number
  readonly memoryRssBytes: number
  /** Milliseconds since the epoch by the device's clock, to the second. */
  readonly bootedAt: number
  /** Of the file system that pods' files lie on. */
  readonly storageAvailableBytes: number
  readonly storageUsedBytes: number
  readonly inodes: number
  readonly inodesFree: number
  /** Of the interfaces that lead out of the device. */
  readonly network: NetworkUsage
  readonly processes: number
}

/** Of the run of a container that began at `startedAt`. */
export interface ContainerUsage {
  readonly name: string
  /** Milliseconds since the epoch by the device's clock, to the second. */
  readonly startedAt: number
  readonly cpuNanoseconds: number
  readonly memoryUsedBytes: number
  readonly memoryWorkingSetBytes: number
  /** 0 where the runtime does not tell. */
  readonly memoryRssBytes: number
}

export interface PodUsage {
  readonly uid: string
  /** Those that run. */
  readonly containers: ReadonlyArray<ContainerUsage>
  /** Absent where the pod has no network of its own, or the runtime does not tell. */
  readonly network: NetworkUsage | undefined
}

export interface DeviceUsage {
  /** Milliseconds since the epoch by the device's clock. */
  readonly at: number
  readonly host: HostUsage
  readonly pods: ReadonlyArray<PodUsage>
}

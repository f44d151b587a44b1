/** A device's facts in memory; rebooting gives it another boot id. One core of it is busy a tenth of the time. */
import { Clock, Context, Effect, Layer } from "effect"
import { HostFacts, type HostInfo, type HostPressure } from "../../core/agent/HostFacts.ts"
import type { HostUsage } from "../../core/metrics/DeviceUsage.ts"

export class MemoryHost extends Context.Service<MemoryHost, {
  readonly reboot: Effect.Effect<void>
  readonly set: (change: Partial<HostInfo>) => Effect.Effect<void>
  readonly press: (change: Partial<HostPressure>) => Effect.Effect<void>
  readonly use: (change: Partial<HostUsage>) => Effect.Effect<void>
  /** How often somebody wanted to know what it uses. */
  readonly measured: Effect.Effect<number>
  /** From now on the machine is going down, until it is booted again. */
  readonly end: Effect.Effect<void>
}>()("test/MemoryHost") {
  static readonly layer: Layer.Layer<HostFacts | MemoryHost> = Layer.effectContext(Effect.sync(() => {
    let boots = 1
    let ending = false
    let pressure: HostPressure = { memory: false, disk: false, pids: false }
    let info: HostInfo = {
      machineId: "4c4c45440051",
      systemUuid: "4c4c4544-0051",
      bootId: "boot-1",
      kernelVersion: "6.12.0",
      osImage: "Debian GNU/Linux 12 (bookworm)",
      operatingSystem: "linux",
      architecture: "arm64",
      hostname: "edge-1",
      cpuMillis: 4000,
      memoryBytes: 4 * 1024 ** 3,
      storageBytes: 32 * 1024 ** 3,
      addresses: ["192.168.7.9"]
    }
    let used: Partial<HostUsage> = {}
    let measured = 0
    const usageAt = (nanos: bigint): HostUsage => ({
      cpuNanoseconds: Math.floor(Number(nanos) / 10),
      memoryUsedBytes: 1024 ** 3,
      memoryWorkingSetBytes: 600 * 1024 ** 2,
      memoryRssBytes: 400 * 1024 ** 2,
      bootedAt: 0,
      storageAvailableBytes: 20 * 1024 ** 3,
      storageUsedBytes: 12 * 1024 ** 3,
      inodes: 2_000_000,
      inodesFree: 1_900_000,
      network: { receivedBytes: Math.floor(Number(nanos) / 1e7), sentBytes: Math.floor(Number(nanos) / 2e7) },
      processes: 120,
      ...used
    })
    const usage = Effect.map(Clock.monotonicTimeNanos, (nanos) => {
      measured += 1
      return usageAt(nanos)
    })
    return Context.make(HostFacts, {
      info: Effect.sync(() => info),
      pressure: Effect.sync(() => pressure),
      usage,
      ending: Effect.sync(() => ending)
    }).pipe(
      Context.add(MemoryHost, {
        reboot: Effect.sync(() => {
          boots += 1
          ending = false
          info = { ...info, bootId: `boot-${boots}` }
        }),
        set: (change) =>
          Effect.sync(() => {
            info = { ...info, ...change }
          }),
        press: (change) =>
          Effect.sync(() => {
            pressure = { ...pressure, ...change }
          }),
        measured: Effect.sync(() => measured),
        end: Effect.sync(() => {
          ending = true
        }),
        use: (change) =>
          Effect.sync(() => {
            used = { ...used, ...change }
          })
      })
    )
  }))
}

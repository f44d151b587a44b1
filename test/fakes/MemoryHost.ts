/** A device's facts in memory; rebooting gives it another boot id. */
import { Context, Effect, Layer } from "effect"
import { HostFacts, type HostInfo, type HostPressure } from "../../core/agent/HostFacts.ts"

export class MemoryHost extends Context.Service<MemoryHost, {
  readonly reboot: Effect.Effect<void>
  readonly set: (change: Partial<HostInfo>) => Effect.Effect<void>
  readonly press: (change: Partial<HostPressure>) => Effect.Effect<void>
}>()("test/MemoryHost") {
  static readonly layer: Layer.Layer<HostFacts | MemoryHost> = Layer.effectContext(Effect.sync(() => {
    let boots = 1
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
    return Context.make(HostFacts, { info: Effect.sync(() => info), pressure: Effect.sync(() => pressure) }).pipe(
      Context.add(MemoryHost, {
        reboot: Effect.sync(() => {
          boots += 1
          info = { ...info, bootId: `boot-${boots}` }
        }),
        set: (change) =>
          Effect.sync(() => {
            info = { ...info, ...change }
          }),
        press: (change) =>
          Effect.sync(() => {
            pressure = { ...pressure, ...change }
          })
      })
    )
  }))
}

/** The port to what the device knows of itself. */
import { Context, type Effect, Schema } from "effect"
import type { HostUsage } from "../metrics/DeviceUsage.ts"

export const HostInfo = Schema.Struct({
  machineId: Schema.String,
  systemUuid: Schema.String,
  bootId: Schema.String,
  kernelVersion: Schema.String,
  osImage: Schema.String,
  /** GOOS and GOARCH words: `linux`, `arm64`. */
  operatingSystem: Schema.String,
  architecture: Schema.String,
  hostname: Schema.String,
  /** Thousandths of a core. */
  cpuMillis: Schema.Number,
  memoryBytes: Schema.Number,
  storageBytes: Schema.Number,
  /** Addresses of the device's own network. */
  addresses: Schema.Array(Schema.String)
})
export type HostInfo = typeof HostInfo.Type

export const HostPressure = Schema.Struct({
  memory: Schema.Boolean,
  disk: Schema.Boolean,
  pids: Schema.Boolean
})
export type HostPressure = typeof HostPressure.Type

export class HostFacts extends Context.Service<HostFacts, {
  readonly info: Effect.Effect<HostInfo>
  readonly pressure: Effect.Effect<HostPressure>
  /** Read anew each time it is asked for. */
  readonly usage: Effect.Effect<HostUsage>
  /** Whether the machine is going down: asked as the agent is told to stop, and answered within half a second. */
  readonly ending: Effect.Effect<boolean>
}>()("aranya/agent/HostFacts") {}

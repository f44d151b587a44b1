/** What calls of a device's engine meet while faults go on; the newest says. */
import { Effect } from "effect"
import type { MemoryRuntime } from "../../fakes/MemoryRuntime.ts"
import { overlapping } from "./overlapping.ts"

type Draw = Parameters<MemoryRuntime["Service"]["weather"]>[0]

const fair: Draw = () => Effect.undefined

export const inEngineWeather = overlapping<MemoryRuntime["Service"], Draw>((runtime, going) =>
  runtime.weather(going.at(-1) ?? fair)
)

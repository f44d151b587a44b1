/** What may never grow without end, looked at again and again while the world goes on. */
import { Effect } from "effect"
import { ringSize } from "../../core/agent/EventRing.ts"
import type { Count } from "./coverage.ts"
import type { SimulatedDevice } from "./World.ts"

/** Bytes of all rows of a journal: some for the device itself, and for each pod that it holds. */
const journalBytes = { device: 16 * 1024, pod: 64 * 1024 }
/** A device dials one connection at a time; the one before may not know yet that it is dead. */
const mostConnections = 8

const tables = ["assignments", "pods", "attempts", "reports", "link"] as const

/** One look at each device. A disk that cannot be read just now is looked at later. */
export const overBounds = Effect.fnUntraced(function*(devices: ReadonlyArray<SimulatedDevice>, count: Count) {
  const found: Array<string> = []
  for (const device of devices) {
    const rows = (table: Parameters<typeof device.rows>[0]) =>
      Effect.catchCause(device.rows(table), () => Effect.succeed([] as Effect.Success<ReturnType<typeof device.rows>>))
    const { length: events } = yield* rows("events")
    if (events > 0) count("rule: the event ring is bounded")
    if (events > ringSize) found.push(`${device.name} keeps ${events} events, over ${ringSize}`)

    let bytes = 0
    for (const table of tables) for (const { value } of yield* rows(table)) bytes += value.length
    const { length: pods } = yield* rows("pods")
    const most = journalBytes.device + pods * journalBytes.pod
    if (pods > 0) count("rule: the journal is bounded")
    if (bytes > most) found.push(`the journal of ${device.name} has ${bytes} bytes for ${pods} pods, over ${most}`)

    const connections = yield* device.transport.open
    if (connections > 0) count("rule: connections are bounded")
    if (connections > mostConnections) {
      found.push(`${device.name} has ${connections} connections, over ${mostConnections}`)
    }
  }
  return found
})

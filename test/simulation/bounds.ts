/** What may never grow without end, looked at again and again while the world goes on. */
import { Effect } from "effect"
import { ringSize } from "../../core/agent/EventRing.ts"
import type { Count } from "./coverage.ts"
import type { Known } from "./known.ts"
import type { Program, SimulatedDevice } from "./World.ts"

/** Bytes of all rows of a journal: some for the device itself, and for each pod that it holds. */
const journalBytes = { device: 16 * 1024, pod: 64 * 1024 }
/** A device dials one connection at a time; the one before may not know yet that it is dead. */
const mostConnections = 8

const tables = ["assignments", "pods", "attempts", "reports", "link"] as const

/** Fibers of an agent, of which each pod has some of its own, and of an operator for each device and pod that it may serve. */
const mostFibers = { agent: 60, agentPod: 8, operator: 80, operatorDevice: 40, operatorPod: 10 }

/** What a program that runs holds. */
const tooMuch = (who: string, { footprint }: Program, most: number, count: Count): ReadonlyArray<string> => {
  const fibers = footprint.fibers()
  if (fibers > 0) count("rule: fibers are bounded")
  const { over, sessions } = footprint.links()
  if (sessions > 0) count("rule: the memory of links is bounded")
  return [
    ...footprint.defects().map((why) => `a fiber of ${who} ended by a defect: ${why}`),
    ...(fibers > most ? [`${who} has ${fibers} fibers, over ${most}`] : []),
    ...over.map((words) => `a link of ${who} holds ${words}`)
  ]
}

/** And of programs that have nothing to do: what a reconnect, a call or a request leaves behind shows here. */
const idleFibers = { agent: 45, operator: 52, device: 46, pod: 3, crashing: 4, stream: 6, references: 14 }

export const idlersFibers = (
  devices: ReadonlyArray<SimulatedDevice>,
  operators: ReadonlyArray<Program>,
  living: ReadonlyArray<Known>,
  /** Streams of a device that go on. */
  openOf: (device: string) => number,
  count: Count
): ReadonlyArray<string> => {
  const { agent, crashing, device, operator, pod, references, stream } = idleFibers
  /** One that crashes by itself may be telling of it just now. */
  const ofPods = (pods: ReadonlyArray<Known>) =>
    pods.reduce((sum, { outcome }) => sum + pod + (outcome === "crashes" ? crashing : 0), 0)
  /** All pods that refer to something refer to the same. */
  const watched = living.some(({ recipe }) => recipe.name === "configured") ? references : 0
  const streams = devices.reduce((sum, { name }) => sum + openOf(name), 0)
  const over = (who: string, { footprint }: Program, most: number) => {
    const fibers = footprint.fibers()
    count("rule: who is idle has few fibers")
    return fibers > most ? [`${who} is idle and has ${fibers} fibers, over ${most}`] : []
  }
  return [
    ...devices.flatMap((each) => {
      const pods = living.filter((known) => known.device === each)
      return over(each.name, each.agent, agent + ofPods(pods) + stream * openOf(each.name))
    }),
    ...operators.flatMap((each) =>
      over("an operator", each, operator + device * devices.length + ofPods(living) + watched + stream * streams)
    )
  ]
}

/** Changes of the API that a fleet makes each minute in which nobody does anything: Leases, of which a device renews six. */
const mostWritten = { device: 8, crashing: 6 }
/** And beyond that, in the whole time: what was under way when it began. */
const underWayWrites = 12

export const muchWritten = (
  writes: number,
  millis: number,
  living: ReadonlyArray<Known>,
  devices: ReadonlyArray<SimulatedDevice>,
  count: Count
): ReadonlyArray<string> => {
  count("rule: an idle fleet writes little")
  const crashing = living.filter(({ outcome }) => outcome === "crashes").length
  const most = underWayWrites +
    (millis / 60_000) * (mostWritten.device * devices.length + mostWritten.crashing * crashing)
  return writes > most
    ? [`in ${millis / 1000} s of quiet ${writes} changes were written, over ${Math.round(most)}`]
    : []
}

/** Commands and reports that may be under way at any moment, in one program. */
const underWay = 2

/** Once nothing happens any more: a stream that has ended holds nothing, on neither side. */
export const leftStreams = (
  programs: ReadonlyArray<readonly [name: string, program: Program]>,
  /** Streams that go on. */
  open: number,
  count: Count
): ReadonlyArray<string> =>
  programs.flatMap(([name, { footprint }]) => {
    const { sessions, streams } = footprint.links()
    if (sessions > 0) count("rule: streams that ended hold nothing")
    return streams > open + underWay ? [`${name} holds ${streams} streams, and ${open} go on`] : []
  })

/** One look at each device. A disk that cannot be read just now is looked at later. */
export const overBounds = Effect.fnUntraced(function*(
  devices: ReadonlyArray<SimulatedDevice>,
  operators: ReadonlyArray<Program>,
  /** Pods that live at once in the whole world. */
  mostPods: number,
  count: Count
) {
  const found: Array<string> = []
  const held = new Map<string, number>()
  for (const device of devices) {
    const rows = (table: Parameters<typeof device.rows>[0]) =>
      Effect.catchCause(device.rows(table), () => Effect.succeed([] as Effect.Success<ReturnType<typeof device.rows>>))
    const { length: events } = yield* rows("events")
    if (events > 0) count("rule: the event ring is bounded")
    if (events > ringSize) found.push(`${device.name} keeps ${events} events, over ${ringSize}`)

    let bytes = 0
    for (const table of tables) for (const { value } of yield* rows(table)) bytes += value.length
    const { length: pods } = yield* rows("pods")
    held.set(device.name, pods)
    const most = journalBytes.device + pods * journalBytes.pod
    if (pods > 0) count("rule: the journal is bounded")
    if (bytes > most) found.push(`the journal of ${device.name} has ${bytes} bytes for ${pods} pods, over ${most}`)

    const connections = yield* device.transport.open
    if (connections > 0) count("rule: connections are bounded")
    if (connections > mostConnections) {
      found.push(`${device.name} has ${connections} connections, over ${mostConnections}`)
    }
  }
  const most = mostFibers.operator + devices.length * mostFibers.operatorDevice + mostPods * mostFibers.operatorPod
  for (const [i, each] of operators.entries()) found.push(...tooMuch(`operator ${i + 1}`, each, most, count))
  for (const { agent, name } of devices) {
    // Apart from the cloud it keeps pods that were replaced there meanwhile.
    const pods = Math.max(mostPods, held.get(name) ?? 0)
    found.push(...tooMuch(name, agent, mostFibers.agent + pods * mostFibers.agentPod, count))
  }
  return found
})

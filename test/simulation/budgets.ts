/** Budgets of traffic in a storm: counters that only grow within a day, streams refused for a reason, control never. */
import { type Context, Effect } from "effect"
import type { ControlPlane } from "../../adapters/kube/plane/ControlPlane.ts"
import type { Change } from "../../adapters/kube/plane/store/Collection.ts"
import type { EdgeDeviceObject } from "../../core/device/EdgeDevice.ts"
import type { Count } from "./coverage.ts"
import type { SimulatedDevice } from "./World.ts"

export const budgetRules = [
  "counters never go down within a day",
  "control goes on beyond its budget",
  "streams are refused only beyond a budget",
  "metrics are refused only beyond a budget",
  "counters agree with what was sent"
]

const classes = ["control", "streams", "metrics"] as const

/** Bytes from which on counters are compared: a few messages. */
const comparable = 2_000
/** Bytes from which on little enough is missing of what was sent before the last write, and what may: handshakes that came to nothing. */
const much = 10_000
const leastCounted = 0.6
/** Frames that were delivered twice are received twice. */
const mostReceived = 2

interface Spec {
  readonly connectivity?: { readonly budget?: Readonly<Partial<Record<(typeof classes)[number], number | string>>> }
}
const budgetsOf = ({ spec }: EdgeDeviceObject) => (spec as Spec | undefined)?.connectivity?.budget ?? {}
const trafficOf = ({ status }: EdgeDeviceObject) => status?.traffic

/** Looks at every change of an EdgeDevice, and is told of everything that was refused for a budget. */
export const watchBudgets = (
  plane: Context.Service.Shape<typeof ControlPlane>,
  /** Bytes that were sent to a device until now. */
  sentTo: (device: string) => number,
  count: Count,
  violated: (what: string) => void
) => {
  /** By class, devices that were ever granted only so much. */
  const limited = { control: new Set<string>(), streams: new Set<string>(), metrics: new Set<string>() }
  /** All that was ever added to a device's counters, over days and operators whose days differ. */
  const counted = new Map<string, { sent: number; received: number; sentByThen: number }>()
  plane.world.store.listen("edgedevices.aranya.arhat.dev", "all", ({ previous, revision }: Change) => {
    const object = revision.object as unknown as EdgeDeviceObject
    const before = previous?.object as unknown as EdgeDeviceObject | undefined
    const { name = "", uid } = object.metadata
    for (const each of classes) if (budgetsOf(object)[each] !== undefined) limited[each].add(name)
    const then = before?.metadata.uid === uid && before !== undefined ? trafficOf(before) : undefined
    const now = trafficOf(object)
    if (now !== undefined && JSON.stringify(now) !== JSON.stringify(then)) {
      const sums = counted.get(name) ?? { sent: 0, received: 0, sentByThen: 0 }
      counted.set(name, sums)
      sums.sentByThen = sentTo(name)
      const base = then?.day === now.day ? then : undefined
      for (const each of classes) {
        for (const direction of ["sent", "received"] as const) {
          sums[direction] += (now[each]?.[direction] ?? 0) - (base?.[each]?.[direction] ?? 0)
        }
      }
    }
    if (then === undefined || now?.day !== then.day || now === then) return
    for (const each of classes) {
      for (const direction of ["sent", "received"] as const) {
        const [was, is] = [then[each]?.[direction] ?? 0, now[each]?.[direction] ?? 0]
        if (is < was) violated(`${each} ${direction} of ${name} goes down from ${was} to ${is} on ${now.day}`)
      }
    }
    const control = (traffic: typeof now) => (traffic.control?.sent ?? 0) + (traffic.control?.received ?? 0)
    if (control(now) === control(then)) return
    count("rule: counters never go down within a day")
    if (control(then) >= Number(budgetsOf(object).control ?? Infinity)) count("rule: control goes on beyond its budget")
  })
  return {
    /** `steady`: one operator counted from beginning to end. */
    judge: (devices: ReadonlyArray<SimulatedDevice>, steady: boolean): void => {
      for (const { name, transport } of devices) {
        const { toDevice, toOperator } = Effect.runSync(transport.traffic)
        const { received, sent, sentByThen } = counted.get(name) ?? { sent: 0, received: 0, sentByThen: 0 }
        if (toDevice.bytes < comparable) continue
        count("rule: counters agree with what was sent")
        if (sent > toDevice.bytes) {
          violated(`${name} was sent ${toDevice.bytes} bytes, and ${sent} are counted`)
        }
        if (received > toOperator.bytes * mostReceived) {
          violated(`${name} sent ${toOperator.bytes} bytes, and ${received} are counted`)
        }
        if (toDevice.bytes >= much && sent === 0) {
          violated(`${name} was sent ${toDevice.bytes} bytes, and none are counted`)
        }
        if (steady && sentByThen >= much && sent < sentByThen * leastCounted) {
          violated(`${name} was sent ${sentByThen} bytes, and only ${sent} are counted`)
        }
      }
    },
    refused: (device: string, sentence: string): void => {
      const bulk = (["streams", "metrics"] as const).find((each) => sentence.includes(` on ${each} `))
      if (bulk === undefined) return violated(`what keeps ${device} going is refused: ${sentence}`)
      count(`rule: ${bulk} are refused only beyond a budget`)
      if (!limited[bulk].has(device)) violated(`${device} is refused a budget that it never had: ${sentence}`)
    },
    /** What the owner grants metrics now. */
    metricsOf: (device: string): number | undefined => {
      const object = plane.world.store.get("edgedevices.aranya.arhat.dev", "edge", device)?.object
      const granted = object && budgetsOf(object as unknown as EdgeDeviceObject).metrics
      return granted === undefined ? undefined : Number(granted)
    }
  }
}

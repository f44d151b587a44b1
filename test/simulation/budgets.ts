/** Budgets of traffic in a storm: counters that only grow within a day, streams refused for a reason, control never. */
import type { Context } from "effect"
import type { ControlPlane } from "../../adapters/kube/plane/ControlPlane.ts"
import type { Change } from "../../adapters/kube/plane/store/Collection.ts"
import type { EdgeDeviceObject } from "../../core/device/EdgeDevice.ts"
import type { Count } from "./coverage.ts"

export const budgetRules = [
  "counters never go down within a day",
  "control goes on beyond its budget",
  "streams are refused only beyond a budget"
]

const classes = ["control", "streams", "metrics"] as const

interface Spec {
  readonly connectivity?: { readonly budget?: Readonly<Partial<Record<(typeof classes)[number], number | string>>> }
}
const budgetOf = ({ spec }: EdgeDeviceObject) => (spec as Spec | undefined)?.connectivity?.budget ?? {}
const trafficOf = ({ status }: EdgeDeviceObject) => status?.traffic

/** Looks at every change of an EdgeDevice, and is told of every stream that ended for a budget. */
export const watchBudgets = (
  plane: Context.Service.Shape<typeof ControlPlane>,
  count: Count,
  violated: (what: string) => void
): { readonly refused: (device: string, sentence: string) => void } => {
  /** Devices that were ever granted only so much. */
  const limited = new Set<string>()
  plane.world.store.listen("edgedevices.aranya.arhat.dev", "all", ({ previous, revision }: Change) => {
    const object = revision.object as unknown as EdgeDeviceObject
    const before = previous?.object as unknown as EdgeDeviceObject | undefined
    const { name = "", uid } = object.metadata
    if (budgetOf(object).streams !== undefined) limited.add(name)
    const then = before?.metadata.uid === uid && before !== undefined ? trafficOf(before) : undefined
    const now = trafficOf(object)
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
    if (control(then) >= Number(budgetOf(object).control ?? Infinity)) count("rule: control goes on beyond its budget")
  })
  return {
    refused: (device, sentence) => {
      count("rule: streams are refused only beyond a budget")
      if (!limited.has(device)) violated(`a stream of ${device} is refused for a budget that it never had: ${sentence}`)
      if (!sentence.includes(" on streams ")) violated(`what is no stream is refused: ${sentence}`)
    }
  }
}

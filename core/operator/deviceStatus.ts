/** The status of an EdgeDevice: conditions with one writer, changed only when they say something new. */
import type { EdgeDeviceCondition, EdgeDeviceStatus } from "../device/EdgeDevice.ts"
import { timestamp } from "../kube/time.ts"

export interface ConditionDraft {
  readonly type: "Invalid" | "NameConflict" | "Enrolled" | "Connected" | "BrokerConnected" | "Ready"
  readonly status: "True" | "False"
  readonly reason: string
  readonly message: string
}

/** The conditions with these ones set, and those withdrawn left out; a transition is where the status flips. */
export const withConditions = (
  before: ReadonlyArray<EdgeDeviceCondition>,
  drafts: ReadonlyArray<ConditionDraft>,
  options: {
    readonly now: number
    readonly generation: number
    readonly withdrawn?: ReadonlyArray<ConditionDraft["type"]>
  }
): ReadonlyArray<EdgeDeviceCondition> => {
  const gone: ReadonlyArray<string> = options.withdrawn ?? []
  const kept = before.filter(({ type }) => !drafts.some((draft) => draft.type === type) && !gone.includes(type))
  return [
    ...kept,
    ...drafts.map((draft) => {
      const old = before.find(({ type }) => type === draft.type)
      return {
        ...draft,
        lastTransitionTime: old?.status === draft.status && old.lastTransitionTime !== undefined
          ? old.lastTransitionTime
          : timestamp(options.now),
        observedGeneration: options.generation
      }
    })
  ].sort((a, b) => a.type < b.type ? -1 : 1)
}

/** Whether a write would change anything but times and counters. */
export const saysTheSame = (a: EdgeDeviceStatus, b: EdgeDeviceStatus): boolean => plain(a) === plain(b)

const plain = ({ lastContact: _, traffic: __, ...status }: EdgeDeviceStatus) =>
  JSON.stringify(status, (_key, value: unknown) =>
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => a < b ? -1 : 1))
      : value)

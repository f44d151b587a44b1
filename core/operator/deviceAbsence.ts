/** How long a device has been away and why, as this process knows it. */
import { Clock, Effect } from "effect"
import type { EdgeDeviceCondition } from "../device/EdgeDevice.ts"
import type { Absence } from "../link/Session.ts"
import type { DisconnectReason } from "../node/nodeStatus.ts"
import { monotonicMillis } from "../pod/machine/Workbench.ts"

const reasons: Readonly<Record<Absence, DisconnectReason>> = {
  Link: "LinkDown",
  Program: "AgentDown",
  Machine: "DeviceDown"
}

export interface DeviceAbsence {
  /**
   * Monotonic milliseconds since it is known to be away; undefined while it is connected. A process that has just begun, or has
   * just taken the device, counts anew: what its predecessor heard last nobody can tell.
   */
  readonly since: () => number | undefined
  /** When this process found it gone, by the wall clock; undefined while it is connected, and where it has not been here. */
  readonly leftAt: () => number | undefined
  /** Undefined where neither this process has seen it go nor the one before has said why it did. */
  readonly reason: () => DisconnectReason | undefined
  readonly left: (why: Absence) => Effect.Effect<void>
  readonly back: Effect.Effect<void>
  /** This process has just begun to speak for the device. */
  readonly anew: Effect.Effect<void>
}

/** `told`: the EdgeDevice's condition `Connected`, as the process before this one has left it. */
export const deviceAbsence = Effect.fnUntraced(function*(told: EdgeDeviceCondition | undefined) {
  let since: number | undefined = yield* monotonicMillis
  let leftAt: number | undefined
  // Who was there then is away by no more than a link. The other reasons each process knows by itself, and when they hold no more.
  let reason = told?.status === "True" ? "LinkDown" : Object.values(reasons).find((each) => each === told?.reason)
  const absence: DeviceAbsence = {
    since: () => since,
    leftAt: () => leftAt,
    reason: () => reason,
    left: (why) =>
      Effect.map(Effect.all([monotonicMillis, Clock.currentTimeMillis]), ([now, wall]) => {
        since ??= now
        leftAt ??= wall
        // A farewell comes after the connection is known to be gone, or never.
        reason = why === "Link" && reason !== undefined ? reason : reasons[why]
      }),
    back: Effect.sync(() => {
      since = undefined
      leftAt = undefined
      reason = undefined
    }),
    anew: Effect.map(monotonicMillis, (now) => {
      if (since !== undefined) since = now
    })
  }
  return absence
})

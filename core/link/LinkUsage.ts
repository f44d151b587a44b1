/** What a session holds in memory, and who wants to know it. */
import { Context, Effect, type Scope } from "effect"
import type { LinkLimits } from "./LinkLimits.ts"

/** Bytes, but for the streams, those that are open or hold memory, and the answers. */
export interface LinkUsage {
  readonly streams: number
  /** Granted to what the peer may send. */
  readonly granted: number
  /** Sent and not acknowledged. */
  readonly underWay: number
  /** Credits, ends and refusals to be sent or acknowledged. */
  readonly answers: number
  /** To be sent. */
  readonly queued: number
  /** Received beyond a gap. */
  readonly beyondGap: number
}

/** What higher classes may put under way beyond the window that bulk has filled. */
export const headroomBytes = { assignment: 32 * 1024, interactive: 16 * 1024 } as const

/** What `limits` let each of them be, in a session of a device or an operator. */
export const mostUsage = (limits: LinkLimits, side: "device" | "operator"): LinkUsage => {
  const granted = side === "device" ? limits.agentPool : limits.operatorPool
  const streams = Math.floor(granted / limits.window)
  return {
    streams,
    granted,
    underWay: limits.commandsInFlight + limits.inFlight + headroomBytes.assignment + headroomBytes.interactive +
      2 * limits.packet,
    answers: limits.answers,
    // A channel takes its last message whole.
    queued: limits.requestQueue + streams * (limits.sendQueue + limits.packet),
    beyondGap: limits.heldBytes
  }
}

/** Is told of each session as it begins, and given what asks it; the scope is the session's. Nobody is, unless somebody asks to be. */
export const LinkWitness = Context.Reference<
  (side: "device" | "operator", usage: () => LinkUsage) => Effect.Effect<void, never, Scope.Scope>
>("aranya/link/LinkWitness", { defaultValue: () => () => Effect.void })

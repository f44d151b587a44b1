/** What may go wrong between a client and the in-memory API server; a test decides per request. */
import { Context, type Duration, Effect } from "effect"
import type { ApiRequest, ApiResponse } from "../request/ApiRequest.ts"

export interface Fault {
  /** Wait before anything happens. */
  readonly delay?: Duration.Input
  /** Answer this instead of asking the server, for instance `refuse(429, ...)`. */
  readonly answer?: ApiResponse
  /** Never answer; the request does not reach the server. */
  readonly silence?: boolean
  /** The connection fails before the request reaches the server. */
  readonly refuseConnection?: boolean
  /** The server does what it was asked, but the answer is lost. */
  readonly loseAnswer?: boolean
  /** End the watch after this many chunks (initial state and each later event are one each). */
  readonly cutWatchAfter?: number
  /** With `cutWatchAfter`: break with a transport error rather than end in order. */
  readonly cutAbruptly?: boolean
  /** A watch ends with this: in order where it succeeds, with a transport error where it fails. */
  readonly endWatchWhen?: Effect.Effect<void, unknown>
  /** What each piece of a watch waits for before it arrives. */
  readonly holdWatch?: Effect.Effect<void>
  /** Reads see the store as it was this many versions ago. A real server does so only for resourceVersion=0. */
  readonly staleBy?: number
}

export const noFault: Fault = {}

/** Decides the fault of each request; the default is a flawless network. */
export const Faults = Context.Reference<(request: ApiRequest) => Effect.Effect<Fault>>("aranya/plane/Faults", {
  defaultValue: () => () => Effect.succeed(noFault)
})

/** A Status answer as a fault. */
export const refuse = (code: number, reason: string, message: string, retryAfterSeconds?: number): ApiResponse => ({
  status: code,
  headers: {
    "content-type": "application/json",
    ...(retryAfterSeconds === undefined ? {} : { "retry-after": String(retryAfterSeconds) })
  },
  body: JSON.stringify({ kind: "Status", apiVersion: "v1", metadata: {}, status: "Failure", message, reason, code })
})

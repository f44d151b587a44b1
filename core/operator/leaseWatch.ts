/** Tells when nobody renews the Lease of a device's Node any more, by this process's own clock: those of others may differ. */
import { Effect } from "effect"
import { Leases } from "../kube/kinds.ts"
import { KubeApi } from "../kube/KubeApi.ts"
import { leaseNamespace } from "../node/lease.ts"
import { monotonicMillis } from "../pod/machine/Workbench.ts"

/** Between two looks at the Lease of a device that another process holds. */
export const standByMillis = 20_000
/** A Lease that says the same for so long is nobody's: more than the controllers' patience, many renewals. */
export const takeOverMillis = 60_000

/** At most so often is that time doubled. */
const mostDoublings = 4

export const leaseWatch = Effect.fnUntraced(function*(name: string) {
  const api = yield* KubeApi
  let seen: { readonly text: string; readonly at: number } | undefined
  const forget = Effect.sync(() => void (seen = undefined))
  let newest: string | undefined
  /**
   * How often in a row the device was taken, and nobody was seen to renew the Lease after that: two that may both not write it take
   * the device from each other, less and less often.
   */
  let inVain = 0

  /** Whether each look of so many milliseconds has found the same. */
  const unchangedFor = Effect.fnUntraced(
    function*(millis: number) {
      const text = yield* api.get(Leases, { namespace: leaseNamespace, name }).pipe(
        Effect.map(({ spec }) => spec?.renewTime ?? ""),
        Effect.catch((error) => error.reason === "NotFound" ? Effect.succeed("") : Effect.fail(error))
      )
      const now = yield* monotonicMillis
      if (seen?.text !== text) seen = { text, at: now }
      if (newest !== undefined && newest !== text) inVain = 0
      newest = text
      return now - seen.at > millis
    },
    // What could not be looked at could not be renewed either, perhaps: whoever holds the device has its time anew.
    Effect.tapError(() => forget)
  )
  return {
    unchangedFor,
    forget,
    /** Whether whoever holds the device seems to be gone. */
    isNobodys: Effect.suspend(() => unchangedFor(takeOverMillis * 2 ** Math.min(inVain, mostDoublings))),
    /** The device was taken for it. */
    taken: Effect.sync(() => {
      seen = undefined
      inVain += 1
    })
  }
})

/** Timings and limits of the pod machine, with the defaults the documentation states. */
import { Context } from "effect"

export const PodMachineOptions = Context.Reference<{
  /** Milliseconds a container may need between a start that was cut off and showing that it runs. */
  readonly settleMillis: number
  /** Milliseconds the engine may take to answer a call; a stop may take its grace on top, a pull as long as it needs. */
  readonly callMillis: number
  /** Milliseconds between tries after the engine, the disk or the journal failed. */
  readonly retry: { readonly first: number; readonly most: number }
  /** Milliseconds, per pod and image. */
  readonly imageBackOff: { readonly first: number; readonly most: number }
  /** Milliseconds, per container; a run of `resetAfter` starts it over. */
  readonly crashBackOff: { readonly first: number; readonly most: number; readonly resetAfter: number }
  /** Milliseconds between looks at a pod about which nothing is heard; up to half of it is added at random. */
  readonly resyncMillis: number
  /** Images pulled at the same time. */
  readonly parallelPulls: number
  /** Events kept for a slow reader. */
  readonly events: number
  /** Seconds granted to containers whose pod is not known any more. */
  readonly orphanGraceSeconds: number
}>("aranya/pod/PodMachineOptions", {
  defaultValue: () => ({
    settleMillis: 2_000,
    callMillis: 120_000,
    retry: { first: 1_000, most: 30_000 },
    imageBackOff: { first: 10_000, most: 300_000 },
    crashBackOff: { first: 10_000, most: 300_000, resetAfter: 600_000 },
    resyncMillis: 60_000,
    parallelPulls: 3,
    events: 512,
    orphanGraceSeconds: 30
  })
})
export type PodMachineOptions = typeof PodMachineOptions["Service"]

/** Limits and waits of the Kubernetes client, with the defaults the documentation states. */
import { Context, type Duration } from "effect"

export interface KubeClientLimits {
  /** From sending a request to the last byte of its answer; a watch has it until its headers. */
  readonly requestTimeout: Duration.Input
  /** Largest answer that is read, bytes. */
  readonly bodyLimit: number
  /** Longest line of a watch, bytes: an object in etcd is at most 1.5 MiB, its JSON a few times that. */
  readonly lineLimit: number
  /** Requests in flight; more wait for their turn. Watches are not counted. */
  readonly concurrency: number
  /** Objects asked for in one piece of a list. */
  readonly pageSize: number
  /** How often a request that the server answered with 429 is sent again, after the time the server named. */
  readonly throttledRetries: number
  /** A watch is asked to last this long, plus up to a third by chance, so that a thousand do not end together. */
  readonly watch: Duration.Input
  /** How much longer than asked a watch may stay silent before its connection is given up. */
  readonly watchGrace: Duration.Input
  /** Pauses between failures of a reflector: grow twofold from `first`, by chance anywhere below that, never above `most`. */
  readonly backoff: { readonly first: Duration.Input; readonly most: Duration.Input }
}

export const KubeClientLimits = Context.Reference<KubeClientLimits>("aranya/kube/KubeClientLimits", {
  defaultValue: () => ({
    requestTimeout: "30 seconds",
    bodyLimit: 64 * 1024 * 1024,
    lineLimit: 8 * 1024 * 1024,
    concurrency: 32,
    pageSize: 500,
    throttledRetries: 4,
    watch: "5 minutes",
    watchGrace: "30 seconds",
    backoff: { first: "1 second", most: "30 seconds" }
  })
})

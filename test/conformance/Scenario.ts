/** One upstream test told again: a program against the API, or the reason why this version cannot run it yet. */
import type { Effect } from "effect"
import type { HttpClient } from "effect/http"
import type { KubeApi } from "../../core/kube/KubeApi.ts"
import type { Cluster } from "./Cluster.ts"

export type Surroundings = KubeApi | HttpClient.HttpClient | Cluster

/** Fails, or dies of an assertion, where the product does not do what the upstream test asserts. */
export type Program = Effect.Effect<unknown, { readonly message: string }, Surroundings>

export interface Skipped {
  /** One sentence that names what is missing. */
  readonly skipped: string
}

export interface Scenario {
  /** `[sig-node] ConfigMap` */
  readonly suite: string
  /** In full, as upstream's own runner prints it. */
  readonly name: string
  readonly does: Program | Skipped
}

export const skipped = (reason: string): Skipped => ({ skipped: reason })

/** The tests of one upstream suite, by what follows the suite in their names. */
export const suite = (title: string, tests: Readonly<Record<string, Program | Skipped>>): ReadonlyArray<Scenario> =>
  Object.entries(tests).map(([name, does]) => ({ suite: title, name: `${title} ${name}`, does }))

/** Which API server the client speaks to, and as whom. */
import { Context, type Effect } from "effect"
import type { KubeApiError } from "../../../core/kube/KubeApi.ts"

export class KubeClientConfig extends Context.Service<KubeClientConfig, {
  /** Scheme, host, port and an optional path prefix, without a trailing slash: `https://10.0.0.1:6443`. */
  readonly server: string
  /**
   * Headers that identify the caller (`authorization`, `impersonate-user`), asked for before every request: the
   * implementation caches and renews. An identity that lies in the client certificate needs none.
   */
  readonly identity: Effect.Effect<Readonly<Record<string, string>>, KubeApiError>
  /** Told when the server answered 401 to these headers, so that a cached identity is not used again. */
  readonly identityRefused: (refused: Readonly<Record<string, string>>) => Effect.Effect<void>
}>()("aranya/kube/KubeClientConfig") {}

/** One HTTP exchange with the API, free of any server: what both doors hand in and get back. */
import { Context, Effect, Schema, type Stream } from "effect"
import type { Caller } from "./World.ts"

export interface ApiRequest {
  readonly method: string
  /** Path without query, percent-encoded as received. */
  readonly path: string
  readonly query: URLSearchParams
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
  /** Whom the door already knows, for instance from a client certificate; otherwise a bearer token decides. */
  readonly user?: Caller
}

export interface ApiResponse {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | Uint8Array | Stream.Stream<Uint8Array, KubeletUnreachable>
}

/** A request to the kubelet endpoint of one node. */
export interface KubeletTarget {
  readonly node: string
  readonly address: string
  readonly port: number
  readonly method: string
  /** Path and query. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
}

export class KubeletUnreachable extends Schema.TaggedError<KubeletUnreachable>()("KubeletUnreachable", {
  node: Schema.String,
  cause: Schema.Defect()
}) {
  override get message() {
    const why = this.cause instanceof Error ? this.cause.message : String(this.cause)
    return `error dialing the kubelet of node ${this.node}: ${why}`
  }
}

/** How the API server reaches kubelets; without one, logs and node proxy answer 500 with a sentence. */
export const KubeletConnection = Context.Reference<{
  readonly request: (target: KubeletTarget) => Effect.Effect<ApiResponse, KubeletUnreachable>
}>("aranya/plane/KubeletConnection", {
  defaultValue: () => ({
    request: ({ node }) =>
      Effect.fail(new KubeletUnreachable({ node, cause: new Error("this control plane has no way to kubelets") }))
  })
})

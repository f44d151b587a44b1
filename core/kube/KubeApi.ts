/** The port to a Kubernetes API server; adapters/kube supplies it over an HttpClient. */
import { Context, type Duration, type Effect, Schema, type Stream } from "effect"
import type { KubeResource } from "./KubeResource.ts"
import type { KubeObject } from "./ObjectMeta.ts"

/**
 * An answer of the API server that was not success, or no answer at all.
 * `Unavailable` covers 429, 5xx, timeouts and broken connections: try again later, not before `retryAfter`.
 */
export class KubeApiError extends Schema.TaggedError<KubeApiError>()("KubeApiError", {
  reason: Schema.Literals([
    "NotFound",
    "AlreadyExists",
    "Conflict",
    "Expired",
    "Invalid",
    "Forbidden",
    "Unauthorized",
    "BadRequest",
    "Unavailable",
    "Undecodable"
  ]),
  /** HTTP status, 0 when there was no answer. */
  status: Schema.Number,
  detail: Schema.String,
  /** Milliseconds, from a Retry-After header. */
  retryAfter: Schema.optionalKey(Schema.Number)
}) {
  override get message() {
    return `Kubernetes API: ${this.reason} (${this.status}): ${this.detail}`
  }
  /** Whether the same request may succeed later without anybody changing it. */
  get retryable(): boolean {
    return this.reason === "Unavailable" || this.reason === "Unauthorized"
  }
}

export interface Place {
  readonly namespace?: string | undefined
  readonly name: string
}

export interface Selection {
  readonly namespace?: string | undefined
  readonly labelSelector?: string | undefined
  readonly fieldSelector?: string | undefined
}

export type Patch =
  | { readonly type: "strategic" | "merge"; readonly body: unknown }
  | { readonly type: "json"; readonly body: ReadonlyArray<unknown> }
  | { readonly type: "apply"; readonly body: unknown; readonly fieldManager: string; readonly force?: boolean }

/**
 * What a reflector tells: `Synced` once after each complete list (all that is not in it has been told as `Deleted`),
 * `Set` for each new or changed object, `Deleted` with the last state known.
 */
export type Observation<A> =
  | { readonly _tag: "Set"; readonly object: A }
  | { readonly _tag: "Deleted"; readonly object: A }
  | { readonly _tag: "Synced" }

export class KubeApi extends Context.Service<KubeApi, {
  readonly get: <A extends KubeObject>(resource: KubeResource<A>, at: Place) => Effect.Effect<A, KubeApiError>
  readonly list: <A extends KubeObject>(
    resource: KubeResource<A>,
    selection?: Selection
  ) => Effect.Effect<ReadonlyArray<A>, KubeApiError>
  readonly create: <A extends KubeObject>(
    resource: KubeResource<A>,
    object: A,
    options?: { readonly subresource?: string }
  ) => Effect.Effect<A, KubeApiError>
  /** PUT: needs `metadata.resourceVersion` for optimistic locking. */
  readonly replace: <A extends KubeObject>(
    resource: KubeResource<A>,
    object: A,
    options?: { readonly subresource?: string }
  ) => Effect.Effect<A, KubeApiError>
  readonly patch: <A extends KubeObject>(
    resource: KubeResource<A>,
    at: Place & { readonly subresource?: string },
    patch: Patch
  ) => Effect.Effect<A, KubeApiError>
  readonly delete: <A extends KubeObject>(
    resource: KubeResource<A>,
    at: Place,
    options?: { readonly gracePeriodSeconds?: number; readonly uid?: string; readonly resourceVersion?: string }
  ) => Effect.Effect<void, KubeApiError>
  /**
   * Lists, watches, resumes, relists on 410, for ever; back-off between failures is the reflector's. Slow consumers
   * slow the watch down, nothing is dropped. `keep` is asked for each object before it is decoded: what it refuses costs no memory.
   * Where it is given, the watch's `Deleted` is told of objects too that were never `Set`: it may want now what it refused then.
   */
  readonly observe: <A extends KubeObject>(
    resource: KubeResource<A>,
    selection?: Selection,
    options?: { readonly keep?: (raw: KubeObject) => boolean; readonly resync?: Duration.Input }
  ) => Stream.Stream<Observation<A>>
}>()("aranya/kube/KubeApi") {}

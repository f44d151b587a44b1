/** Lists in pieces of bounded size, and starts over when the server has forgotten where the list was. */
import { Effect } from "effect"
import { KubeApiError, type Selection } from "../../../core/kube/KubeApi.ts"
import { type KubeResource, resourcePath } from "../../../core/kube/KubeResource.ts"
import type { KubeObject } from "../../../core/kube/ObjectMeta.ts"
import type { KubeClientLimits } from "./KubeClientLimits.ts"
import { decode } from "./preserving.ts"
import type { Requests } from "./Requests.ts"

/** One piece of a list. */
export interface Page {
  /** As JSON has them, each known to be an object with metadata and a name. */
  readonly items: ReadonlyArray<KubeObject>
  readonly resourceVersion: string
  /** Where the next piece begins; absent on the last. */
  readonly next: string | undefined
}

export interface Listing {
  /** `after` is a `next` of the page before. Fails with `Expired` when the server no longer knows it. */
  readonly page: <A extends KubeObject>(
    resource: KubeResource<A>,
    selection: Selection,
    options: { readonly after?: string | undefined; readonly whole?: boolean }
  ) => Effect.Effect<Page, KubeApiError>
  readonly all: <A extends KubeObject>(
    resource: KubeResource<A>,
    selection: Selection
  ) => Effect.Effect<ReadonlyArray<A>, KubeApiError>
}

export const collectionPath = (resource: KubeResource<never>, selection: Selection): string =>
  resourcePath(resource, { namespace: selection.namespace })

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null

/** Whether this can be told apart from other objects at all; the schema judges the rest. */
export const isObject = (value: unknown): value is KubeObject & { readonly metadata: { readonly name: string } } =>
  isRecord(value) && isRecord(value["metadata"]) && typeof value["metadata"]["name"] === "string"

/** `namespace/name`, for words and keys. */
export const keyOf = (object: KubeObject): string => `${object.metadata.namespace ?? ""}/${object.metadata.name ?? ""}`

export const makeListing = (requests: Requests, limits: KubeClientLimits): Listing => {
  const page: Listing["page"] = Effect.fnUntraced(function*(resource, selection, options) {
    const json = yield* requests.send({
      method: "GET",
      path: collectionPath(resource as unknown as KubeResource<never>, selection),
      query: {
        labelSelector: selection.labelSelector,
        fieldSelector: selection.fieldSelector,
        limit: options.whole === true ? undefined : String(limits.pageSize),
        continue: options.after
      }
    })
    const metadata = isRecord(json) ? json["metadata"] : undefined
    const items = isRecord(json) ? json["items"] : undefined
    const resourceVersion = isRecord(metadata) ? metadata["resourceVersion"] : undefined
    // Go writes an empty list as null.
    if (typeof resourceVersion !== "string" || (items !== null && !Array.isArray(items))) {
      return yield* new KubeApiError({
        reason: "Undecodable",
        status: 200,
        detail: `the answer is no list of ${resource.plural}`
      })
    }
    const objects: Array<KubeObject> = []
    for (const item of (items ?? []) as ReadonlyArray<unknown>) {
      if (isObject(item)) objects.push(item)
      else yield* Effect.logWarning(`a list of ${resource.plural} holds something without metadata.name: skipped`)
    }
    const next = isRecord(metadata) ? metadata["continue"] : undefined
    return { items: objects, resourceVersion, next: typeof next === "string" && next !== "" ? next : undefined }
  })

  const gather = Effect.fnUntraced(function*<A extends KubeObject>(
    resource: KubeResource<A>,
    selection: Selection,
    whole: boolean
  ) {
    const found: Array<A> = []
    let after: string | undefined
    do {
      const piece: Page = yield* page(resource, selection, { after, whole })
      for (const raw of piece.items) {
        const result = decode(resource, headed(resource, raw))
        if ("object" in result) found.push(result.object)
        else yield* Effect.logWarning(skipped(resource, raw, result.problem))
      }
      after = piece.next
    } while (after !== undefined)
    return found
  })

  return {
    page,
    // A continue token lives about five minutes. Once it expired the second try asks for all at once, which cannot expire.
    all: (resource, selection) =>
      gather(resource, selection, false).pipe(
        Effect.catchIf((error) => error.reason === "Expired", () => gather(resource, selection, true))
      )
  }
}

/** Items of a list come without kind and apiVersion. */
export const headed = <A extends KubeObject>(resource: KubeResource<A>, raw: KubeObject): KubeObject =>
  raw.kind === undefined
    ? {
      apiVersion: resource.group === "" ? resource.version : `${resource.group}/${resource.version}`,
      kind: resource.kind,
      ...raw
    }
    : raw

export const skipped = <A extends KubeObject>(resource: KubeResource<A>, raw: KubeObject, problem: string): string =>
  `${resource.kind} ${keyOf(raw)} is skipped: ${problem}`

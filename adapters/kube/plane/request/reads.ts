/** get, list and watch. */
import { Array as Arr, Cause, Clock, Duration, Effect, Queue, Random, Result, Stream } from "effect"
import { type IncludeObject, table } from "../discovery/table.ts"
import { type ApiFailure, badRequest, expired, notFound } from "../object/ApiFailure.ts"
import type { JsonObject } from "../object/json.ts"
import { moment } from "../object/Moment.ts"
import { shownAs } from "../registry/Registry.ts"
import { apiVersionOf, type ResourceType } from "../registry/ResourceType.ts"
import { everyField, parseFieldSelector } from "../store/fieldSelector.ts"
import { parseLabelSelector } from "../store/labelSelector.ts"
import { type Revision, watchLine } from "../store/Revision.ts"
import { type Seen, select, type Selection } from "../store/Selection.ts"
import { openWatch } from "../store/watch.ts"
import type { ApiRequest, ApiResponse } from "./ApiRequest.ts"
import { json, jsonText, revisionJson, type Shape, shapeOf } from "./respond.ts"
import type { ResourceRoute } from "./Route.ts"
import { StaleReads } from "./StaleReads.ts"
import type { World } from "./World.ts"

const includeOf = (request: ApiRequest): IncludeObject => {
  const include = request.query.get("includeObject")
  return include === "None" || include === "Object" ? include : "Metadata"
}

const partial = (object: JsonObject): JsonObject => ({
  kind: "PartialObjectMetadata",
  apiVersion: "meta.k8s.io/v1",
  metadata: object["metadata"] ?? {}
})

export const shaped = (
  request: ApiRequest,
  type: ResourceType,
  revision: Revision,
  now: number,
  status = 200,
  headers?: Readonly<Record<string, string>>
): ApiResponse => {
  const shape = shapeOf(request)
  if (shape === "object") return jsonText(status, revisionJson(type, revision), headers)
  const object = shownAs(type, revision.object)
  return json(
    status,
    shape === "metadata"
      ? partial(object)
      : table(type, [object], {}, now, { include: includeOf(request), headers: true }),
    headers
  )
}

export const getObject = Effect.fnUntraced(
  function*(world: World, type: ResourceType, route: ResourceRoute, request: ApiRequest) {
    const lag = yield* StaleReads
    const { now } = yield* moment
    const key = `${route.namespace}/${route.name}`
    const found = lag === 0
      ? world.store.get(type.collection, route.namespace, route.name)
      : world.store.collection(type.collection).asOf(world.store.version - lag).get(key)
    if (found === undefined) return yield* notFound(type, route.name)
    return shaped(request, type, found, now)
  }
)

export const selectionOf = (
  type: ResourceType,
  route: ResourceRoute,
  query: URLSearchParams
): Result.Result<Selection, ApiFailure> =>
  Result.gen(function*() {
    const labels = query.get("labelSelector")
    const fields = query.get("fieldSelector")
    const named = route.name === "" ? fields : `metadata.name=${route.name}`
    return {
      collection: type.collection,
      namespace: route.namespace,
      labels: labels === null || labels === "" ? undefined : yield* parseLabelSelector(labels),
      fields: named === null || named === "" ? everyField : yield* parseFieldSelector(named, type.fields)
    }
  })

const encodeContinue = (version: number, after: string) =>
  btoa(unescape(encodeURIComponent(JSON.stringify({ v: version, after }))))

const decodeContinue = (token: string): Result.Result<{ readonly v: number; readonly after: string }, ApiFailure> =>
  Result.try({
    try: () => {
      const value: unknown = JSON.parse(decodeURIComponent(escape(atob(token))))
      if (
        typeof value === "object" && value !== null && "v" in value && "after" in value &&
        typeof value.v === "number" && typeof value.after === "string"
      ) {
        return { v: value.v, after: value.after }
      }
      throw new Error("shape")
    },
    catch: () => badRequest("continue key is not valid")
  })

const listBody = (type: ResourceType, items: ReadonlyArray<Revision>, metadata: JsonObject): string =>
  `{"kind":"${type.kind}List","apiVersion":"${apiVersionOf(type)}","metadata":${JSON.stringify(metadata)},"items":[${
    items.map((item) => revisionJson(type, item)).join(",")
  }]}`

export const listObjects = Effect.fnUntraced(
  function*(world: World, type: ResourceType, route: ResourceRoute, request: ApiRequest) {
    const selection = yield* Effect.fromResult(selectionOf(type, route, request.query))
    const lag = yield* StaleReads
    const { now } = yield* moment
    const limit = Number(request.query.get("limit") ?? "0")
    const token = request.query.get("continue")
    const start = token === null || token === "" ? undefined : yield* Effect.fromResult(decodeContinue(token))
    const collection = world.store.collection(type.collection)
    if (start !== undefined && start.v < collection.forgotten) {
      return yield* expired(
        "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter."
      )
    }
    const version = start?.v ?? Math.max(world.store.version - lag, 1)
    const from = lag === 0 ? undefined : collection.asOf(version)
    const { items, next, remaining } = select(world.store, selection, {
      ...(start === undefined ? {} : { after: start.after }),
      ...(limit > 0 ? { limit } : {}),
      ...(from === undefined ? {} : { from })
    })
    const metadata: JsonObject = {
      resourceVersion: String(version),
      ...(next === undefined ? {} : { continue: encodeContinue(version, next), remainingItemCount: remaining })
    }
    const shape = shapeOf(request)
    if (shape === "object") return jsonText(200, listBody(type, items, metadata))
    const objects = items.map((item) => shownAs(type, item.object))
    if (shape === "table") {
      return json(200, table(type, objects, metadata, now, { include: includeOf(request), headers: true }))
    }
    return json(200, {
      kind: "PartialObjectMetadataList",
      apiVersion: "meta.k8s.io/v1",
      metadata,
      items: objects.map(partial)
    })
  }
)

/** Milliseconds. */
const bookmarkEvery = 60_000

const bookmark = (type: ResourceType, shape: Shape, version: number, initialEnd: boolean): Uint8Array => {
  const metadata = {
    resourceVersion: String(version),
    ...(initialEnd ? { annotations: { "k8s.io/initial-events-end": "true" } } : {}),
    ...(shape === "object" ? { creationTimestamp: null } : {})
  }
  const named = { kind: type.kind, apiVersion: apiVersionOf(type), metadata }
  const object = shape === "table"
    ? {
      kind: "Table",
      apiVersion: "meta.k8s.io/v1",
      metadata,
      columnDefinitions: [],
      rows: [{ cells: [], object: partial(named) }]
    }
    : shape === "metadata"
    ? partial(named)
    : named
  return watchLine("BOOKMARK", JSON.stringify(object))
}

const watchSince = (request: ApiRequest): Result.Result<number | undefined, ApiFailure> => {
  const version = request.query.get("resourceVersion") ?? ""
  // Initial events are the current state, which is never older than what was asked for.
  if (request.query.get("sendInitialEvents") === "true" || version === "" || version === "0") {
    return Result.succeed(undefined)
  }
  const number = Number(version)
  return Number.isSafeInteger(number) && number > 0
    ? Result.succeed(number)
    : Result.fail(badRequest(`Invalid value: ${JSON.stringify(version)}: resource version must be a number`))
}

export const watchObjects = Effect.fnUntraced(
  function*(
    world: World,
    type: ResourceType,
    route: ResourceRoute,
    request: ApiRequest
  ): Effect.fn.Return<ApiResponse, ApiFailure> {
    const selection = yield* Effect.fromResult(selectionOf(type, route, request.query))
    const since = yield* Effect.fromResult(watchSince(request))
    const shape = shapeOf(request)
    const include = includeOf(request)
    const asked = Number(request.query.get("timeoutSeconds") ?? "0")
    const lifetime = Duration.seconds(asked > 0 ? asked : 1800 + Math.floor((yield* Random.next) * 1800))
    const bookmarks = request.query.get("allowWatchBookmarks") === "true"
    const announce = request.query.get("sendInitialEvents") === "true"
    let headers = true

    const line = (now: number) => ({ type: event, revision }: Seen): Uint8Array => {
      if (shape === "object" && type.conversion === undefined) return revision.line(event)
      const object = shownAs(type, revision.object)
      if (shape === "object") return watchLine(event, JSON.stringify(object))
      if (shape === "metadata") return watchLine(event, JSON.stringify(partial(object)))
      const rows = table(type, [object], { resourceVersion: String(revision.version) }, now, { include, headers })
      headers = false
      return watchLine(event, JSON.stringify(rows))
    }

    const body = Stream.unwrap(Effect.gen(function*() {
      const clock = yield* Clock.Clock
      const opened = yield* Effect.result(openWatch(world.store, selection, since))
      if (Result.isFailure(opened)) return Stream.succeed(watchLine("ERROR", JSON.stringify(opened.failure.status)))
      const watch = opened.success
      const lines = (events: ReadonlyArray<Seen>) => events.map(line(clock.currentTimeMillisUnsafe()))
      const passed = () => Number(clock.monotonicTimeNanosUnsafe()) / 1e6
      const ends = passed() + Duration.toMillis(lifetime)
      let first = [...lines(watch.initial), ...announce ? [bookmark(type, shape, watch.version, true)] : []]
      let reported = watch.version

      /** Nothing changed for a while: where the store is, if it is not told yet. */
      const silent = Effect.sync((): ReadonlyArray<Uint8Array> => {
        if (passed() >= ends || Queue.sizeUnsafe(watch.changes) > 0 || world.store.version === reported) return []
        reported = world.store.version
        return [bookmark(type, shape, reported, false)]
      })
      // Takes what waits in the queue and the store's version in one step, so that a bookmark never runs ahead of an event.
      const changed = Effect.map(Queue.takeAll(watch.changes), lines)
      const next: Effect.Effect<Arr.NonEmptyReadonlyArray<Uint8Array>, Cause.Done> = Effect.suspend(() => {
        if (Arr.isArrayNonEmpty(first)) {
          const told = first
          first = []
          return Effect.succeed(told)
        }
        // Whole milliseconds: a timer that fires a fraction too early would turn on the spot.
        const left = Math.ceil(ends - passed())
        if (left <= 0) return Cause.done()
        return Effect.timeoutOrElse(changed, {
          duration: bookmarks ? Math.min(left, bookmarkEvery) : left,
          orElse: () => silent
        }).pipe(Effect.flatMap((told) => Arr.isReadonlyArrayNonEmpty(told) ? Effect.succeed(told) : next))
      })
      return Stream.fromPull(Effect.succeed(next))
    }))
    return {
      status: 200,
      headers: {
        "content-type": shape === "object" ? "application/json" : "application/json;stream=watch",
        "cache-control": "no-cache, private"
      },
      body
    }
  }
)

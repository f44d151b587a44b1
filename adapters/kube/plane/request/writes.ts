/** create, update, patch, delete and deletecollection. */
import { Effect, Result } from "effect"
import { type ApiFailure, badRequest, invalid, unsupportedMediaType } from "../object/ApiFailure.ts"
import { isObject, type Json, type JsonObject, stringAt, stringsAt } from "../object/json.ts"
import { type KubeObject, nameOf, namespaceOf, uidOf } from "../object/KubeObject.ts"
import { moment } from "../object/Moment.ts"
import { applyJsonPatch } from "../patch/jsonPatch.ts"
import { mergeObject } from "../patch/mergePatch.ts"
import { serverSideApply } from "../patch/serverSideApply.ts"
import { applyStrategicMergePatch } from "../patch/strategicMerge.ts"
import { apiVersionOf, type ResourceType } from "../registry/ResourceType.ts"
import { select } from "../store/Selection.ts"
import type { ApiRequest, ApiResponse } from "./ApiRequest.ts"
import { decodeBody, decodeDeleteOptions, decodePatch, mediaType } from "./bodies.ts"
import { createObject } from "./createObject.ts"
import { deleteObject } from "./deleteObject.ts"
import { selectionOf, shaped } from "./reads.ts"
import { json, warning } from "./respond.ts"
import type { ResourceRoute } from "./Route.ts"
import { type Part, updateObject } from "./updateObject.ts"
import type { Asking, Caller, World } from "./World.ts"

export const asking = Effect.fnUntraced(function*(request: ApiRequest, user: Caller): Effect.fn.Return<Asking> {
  return { user, moment: yield* moment, dryRun: request.query.getAll("dryRun").includes("All") }
})

/** Who deletes may ask for a dry run in the options as well: kubectl's drain does so there alone. */
export const deleting = (ask: Asking, options: JsonObject): Asking => ({
  ...ask,
  dryRun: ask.dryRun || stringsAt(options, "dryRun").includes("All")
})

/** Fields a schema does not know: refused, told, or dropped, as `fieldValidation` says. */
class UnknownFields {
  readonly paths: Array<string> = []
  readonly #mode: string
  constructor(request: ApiRequest) {
    this.#mode = request.query.get("fieldValidation") ?? "Warn"
  }
  readonly note = (path: string): void => {
    this.paths.push(path)
  }
  get strict(): boolean {
    return this.#mode === "Strict"
  }
  get refused(): ApiFailure | undefined {
    if (!this.strict || this.paths.length === 0) return undefined
    return badRequest(
      `strict decoding error: ${this.paths.map((path) => `unknown field ${JSON.stringify(path)}`).join(", ")}`
    )
  }
  get headers() {
    return this.#mode === "Warn" ? warning(this.paths.map((path) => `unknown field ${JSON.stringify(path)}`)) : {}
  }
}

/** Dry-runs first when unknown fields must refuse the request before anything is stored. */
const strictly = <A>(
  unknown: UnknownFields,
  ask: Asking,
  write: (ask: Asking) => Result.Result<A, ApiFailure>
): Result.Result<A, ApiFailure> => {
  const rehearsed = write({ ...ask, dryRun: true })
  if (unknown.refused !== undefined) return Result.fail(unknown.refused)
  if (ask.dryRun) return rehearsed
  unknown.paths.length = 0
  return write(ask)
}

const guarded = <A>(
  type: ResourceType,
  unknown: UnknownFields,
  ask: Asking,
  write: (ask: Asking) => Result.Result<A, ApiFailure>
) => type.schema === undefined || !unknown.strict ? write(ask) : strictly(unknown, ask, write)

export const create = Effect.fnUntraced(
  function*(world: World, type: ResourceType, route: ResourceRoute, request: ApiRequest, user: Caller) {
    const body = yield* decodeBody(request)
    const ask = yield* asking(request, user)
    const unknown = new UnknownFields(request)
    const made = yield* Effect.fromResult(
      guarded(
        type,
        unknown,
        ask,
        (each) => createObject(world, type, route.namespace, body, each, { onUnknownField: unknown.note })
      )
    )
    return shaped(request, type, made, ask.moment.now, 201, unknown.headers)
  }
)

export const update = Effect.fnUntraced(function*(
  world: World,
  type: ResourceType,
  route: ResourceRoute,
  request: ApiRequest,
  user: Caller,
  part: Part
) {
  const body = yield* decodeBody(request)
  const ask = yield* asking(request, user)
  const unknown = new UnknownFields(request)
  const change = () => Result.succeed(body)
  const stored = yield* Effect.fromResult(
    guarded(
      type,
      unknown,
      ask,
      (each) =>
        updateObject(world, type, route.namespace, route.name, { part, change, onUnknownField: unknown.note }, each)
    )
  )
  return shaped(request, type, stored, ask.moment.now, 200, unknown.headers)
})

/** How a patch changes an object of the type, by its media type. */
export const patchOf = (
  type: ResourceType,
  request: ApiRequest,
  patch: Json,
  part: Part,
  now: number
): Result.Result<(current: KubeObject) => Result.Result<KubeObject, ApiFailure>, ApiFailure> => {
  const media = mediaType(request)
  switch (media) {
    case "application/json-patch+json":
      return Result.succeed((current) => applyJsonPatch(current, patch))
    case "application/merge-patch+json":
      return isObject(patch)
        ? Result.succeed((current) => Result.succeed(mergeObject(current, patch)))
        : Result.fail(badRequest("a merge patch is an object"))
    case "application/strategic-merge-patch+json":
      return type.schema === undefined
        ? Result.succeed((current) => applyStrategicMergePatch(current, patch))
        : Result.fail(
          unsupportedMediaType(
            `the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml`
          )
        )
    case "application/apply-patch+yaml": {
      const manager = request.query.get("fieldManager")
      if (manager === null || manager === "") {
        return Result.fail(
          badRequest(
            `PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch`
          )
        )
      }
      if (!isObject(patch)) return Result.fail(badRequest("an applied configuration is an object"))
      const force = request.query.get("force") === "true"
      const applied = {
        manager,
        force,
        apiVersion: apiVersionOf(type),
        subresource: part === "status" ? "status" : "",
        now
      }
      return Result.succeed((current) => serverSideApply(current, patch, applied))
    }
    default:
      return Result.fail(
        unsupportedMediaType(
          `the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, application/apply-patch+yaml`
        )
      )
  }
}

/** A patch that names another uid is about another object. */
export const sameUid =
  (type: ResourceType, change: (current: KubeObject) => Result.Result<KubeObject, ApiFailure>) =>
  (current: KubeObject) =>
    Result.flatMap(change(current), (changed) => {
      const uid = stringAt(changed, "metadata", "uid")
      return uid === undefined || uid === "" || uid === uidOf(current)
        ? Result.succeed(changed)
        : Result.fail(
          invalid(type, nameOf(current), [{
            type: "Invalid",
            field: "metadata.uid",
            value: uid,
            detail: "field is immutable"
          }])
        )
    })

export const patch = Effect.fnUntraced(function*(
  world: World,
  type: ResourceType,
  route: ResourceRoute,
  request: ApiRequest,
  user: Caller,
  part: Part
) {
  const body = yield* decodePatch(request)
  const ask = yield* asking(request, user)
  const unknown = new UnknownFields(request)
  const change = yield* Effect.fromResult(patchOf(type, request, body, part, ask.moment.now))
  const applying = mediaType(request) === "application/apply-patch+yaml" && part === "main"
  if (applying && isObject(body) && world.store.get(type.collection, route.namespace, route.name) === undefined) {
    const manager = request.query.get("fieldManager") ?? ""
    const named = { ...body, metadata: { ...(isObject(body["metadata"]) ? body["metadata"] : {}), name: route.name } }
    const made = yield* Effect.fromResult(guarded(type, unknown, ask, (each) =>
      Result.flatMap(
        serverSideApply(undefined, named, {
          manager,
          force: true,
          apiVersion: apiVersionOf(type),
          subresource: "",
          now: ask.moment.now
        }),
        (object) => createObject(world, type, route.namespace, object, each, { onUnknownField: unknown.note })
      )))
    return shaped(request, type, made, ask.moment.now, 201, unknown.headers)
  }
  const stored = yield* Effect.fromResult(
    guarded(type, unknown, ask, (each) =>
      updateObject(world, type, route.namespace, route.name, {
        part,
        change: sameUid(type, change),
        onUnknownField: unknown.note
      }, each))
  )
  return shaped(request, type, stored, ask.moment.now, 200, unknown.headers)
})

const deletedStatus = (type: ResourceType, object: KubeObject): JsonObject => ({
  kind: "Status",
  apiVersion: "v1",
  metadata: {},
  status: "Success",
  details: {
    name: nameOf(object),
    ...(type.group === "" ? {} : { group: type.group }),
    kind: type.plural,
    uid: uidOf(object)
  }
})

export const remove = Effect.fnUntraced(
  function*(world: World, type: ResourceType, route: ResourceRoute, request: ApiRequest, user: Caller) {
    const options = yield* decodeDeleteOptions(request)
    const ask = deleting(yield* asking(request, user), options)
    const { gone, revision } = yield* Effect.fromResult(
      deleteObject(world, type, route.namespace, route.name, options, ask)
    )
    if (gone && type.collection !== "pods") return json(200, deletedStatus(type, revision.object))
    return shaped(request, type, revision, ask.moment.now)
  }
)

export const removeAll = Effect.fnUntraced(
  function*(
    world: World,
    type: ResourceType,
    route: ResourceRoute,
    request: ApiRequest,
    user: Caller
  ): Effect.fn.Return<ApiResponse, ApiFailure> {
    const options = yield* decodeDeleteOptions(request)
    const selection = yield* Effect.fromResult(selectionOf(type, route, request.query))
    const ask = deleting(yield* asking(request, user), options)
    const { items } = select(world.store, selection)
    for (const { object } of items) {
      const result = deleteObject(world, type, namespaceOf(object), nameOf(object), options, ask)
      if (Result.isFailure(result) && result.failure.code !== 404) return yield* result.failure
    }
    return json(200, {
      kind: `${type.kind}List`,
      apiVersion: apiVersionOf(type),
      metadata: { resourceVersion: String(world.store.version) },
      items: items.map(({ object }) => object)
    })
  }
)

/** How controllers write: as the controller manager's user, through the same admission as everybody. */
import { Effect, Result } from "effect"
import { ApiFailure } from "../object/ApiFailure.ts"
import { type JsonObject, stringAt } from "../object/json.ts"
import { type KubeObject, nameOf, namespaceOf, uidOf } from "../object/KubeObject.ts"
import { moment, suffix, timestamp } from "../object/Moment.ts"
import { createObject } from "../request/createObject.ts"
import { type Deleted, deleteObject } from "../request/deleteObject.ts"
import { type Part, updateObject } from "../request/updateObject.ts"
import { controllerUser, type World } from "../request/World.ts"
import type { Revision } from "../store/Revision.ts"

const typeOf = (world: World, collection: string) => {
  const type = world.registry.ofCollection(collection)
  return type === undefined
    ? Result.fail(new ApiFailure({ code: 404, reason: "NotFound", text: `${collection} is not served` }))
    : Result.succeed(type)
}

const now = Effect.map(moment, (at) => ({ user: controllerUser, moment: at, dryRun: false }))

export const make = (
  world: World,
  collection: string,
  namespace: string,
  body: JsonObject
): Effect.Effect<Revision, ApiFailure> =>
  Effect.flatMap(
    now,
    (asking) =>
      Effect.fromResult(
        Result.flatMap(typeOf(world, collection), (type) => createObject(world, type, namespace, body, asking))
      )
  )

/** Changes an object if it is still there; `change` runs atomically on its newest state. */
export const change = (
  world: World,
  collection: string,
  object: KubeObject,
  part: Part,
  edit: (current: KubeObject) => KubeObject
): Effect.Effect<Revision | undefined, ApiFailure> =>
  Effect.flatMap(now, (asking) =>
    Effect.fromResult(
      Result.flatMap(typeOf(world, collection), (type): Result.Result<Revision | undefined, ApiFailure> => {
        const current = world.store.get(collection, namespaceOf(object), nameOf(object))
        if (current === undefined || uidOf(current.object) !== uidOf(object)) return Result.succeed(undefined)
        const update = { part, change: (each: KubeObject) => Result.succeed(edit(each)) }
        return updateObject(world, type, namespaceOf(object), nameOf(object), update, asking)
      })
    ))

/** Deletes exactly this object; one that is gone or replaced is left alone. */
export const discard = (
  world: World,
  collection: string,
  object: KubeObject,
  options: JsonObject = {}
): Effect.Effect<Deleted | undefined, ApiFailure> =>
  Effect.flatMap(now, (asking) =>
    Effect.fromResult(
      Result.flatMap(typeOf(world, collection), (type): Result.Result<Deleted | undefined, ApiFailure> => {
        const current = world.store.get(collection, namespaceOf(object), nameOf(object))
        if (current === undefined || uidOf(current.object) !== uidOf(object)) return Result.succeed(undefined)
        return deleteObject(world, type, namespaceOf(object), nameOf(object), options, asking)
      })
    ))

export interface Remark {
  readonly component: string
  readonly type: "Normal" | "Warning"
  readonly reason: string
  readonly message: string
}

/** Writes an Event about the object; an event that cannot be written is not worth failing for. */
export const remark = Effect.fnUntraced(
  function*(world: World, object: KubeObject, { component, type, reason, message }: Remark) {
    const at = yield* moment
    const namespace = namespaceOf(object) || "default"
    const time = timestamp(at.now)
    yield* make(world, "events", namespace, {
      metadata: { name: `${nameOf(object)}.${at.now.toString(16)}${suffix(at)}` },
      involvedObject: {
        kind: stringAt(object, "kind") ?? "",
        apiVersion: stringAt(object, "apiVersion") ?? "",
        ...(namespaceOf(object) === "" ? {} : { namespace }),
        name: nameOf(object),
        uid: uidOf(object)
      },
      reason,
      message,
      type,
      source: { component },
      reportingComponent: component,
      reportingInstance: "",
      firstTimestamp: time,
      lastTimestamp: time,
      count: 1
    }).pipe(Effect.catchTag("ApiFailure", (error) => Effect.logDebug(`event ${reason}: ${error.message}`)))
  }
)

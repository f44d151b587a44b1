/** Gives every namespace its `default` ServiceAccount and its copy of the root CA. */
import { Effect, Result } from "effect"
import type { ApiFailure } from "../object/ApiFailure.ts"
import type { JsonObject } from "../object/json.ts"
import { isDeleting, nameOf, namespaceOf } from "../object/KubeObject.ts"
import { type Moment, moment } from "../object/Moment.ts"
import { createObject } from "../request/createObject.ts"
import { updateObject } from "../request/updateObject.ts"
import { controllerUser, type World } from "../request/World.ts"
import { controller } from "./controller.ts"

const rootCaName = "kube-root-ca.crt"

export const ensureAccounts = (
  world: World,
  namespace: string,
  rootCa: string,
  at: Moment
): Result.Result<void, ApiFailure> => {
  const asking = { user: controllerUser, moment: at, dryRun: false }
  const ensure = (collection: string, body: JsonObject, name: string): Result.Result<unknown, ApiFailure> => {
    const type = world.registry.ofCollection(collection)
    if (type === undefined || world.store.get(collection, namespace, name) !== undefined) {
      return Result.succeed(undefined)
    }
    return createObject(world, type, namespace, { ...body, metadata: { name } }, asking)
  }
  const data = { "ca.crt": rootCa }
  return Result.gen(function*() {
    yield* ensure("serviceaccounts", {}, "default")
    yield* ensure("configmaps", { data }, rootCaName)
    const type = world.registry.ofCollection("configmaps")
    if (type !== undefined) {
      yield* updateObject(world, type, namespace, rootCaName, {
        part: "main",
        change: (current) => Result.succeed({ ...current, data })
      }, asking)
    }
  })
}

export const namespaceAccounts = (rootCa: string) =>
  controller({
    name: "namespace-accounts",
    watches: [
      { collection: "namespaces", keys: ({ revision }) => [nameOf(revision.object)] },
      {
        collection: "serviceaccounts",
        keys: ({ type, revision }) => type === "DELETED" ? [namespaceOf(revision.object)] : []
      },
      {
        collection: "configmaps",
        keys: ({ type, revision }) =>
          type !== "ADDED" && nameOf(revision.object) === rootCaName ? [namespaceOf(revision.object)] : []
      }
    ],
    reconcile: (world, namespace) =>
      Effect.gen(function*() {
        const found = world.store.get("namespaces", "", namespace)?.object
        if (found === undefined || isDeleting(found)) return
        yield* Effect.fromResult(ensureAccounts(world, namespace, rootCa, yield* moment))
      })
  })

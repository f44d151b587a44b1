/** Changing an object: whoever changes it, the same rules for metadata, status, generation and finalizers apply, atomically. */
import { Result } from "effect"
import { metadataErrors } from "../admission/names.ts"
import { type ApiFailure, conflict, invalid, modified, notFound } from "../object/ApiFailure.ts"
import { equal, type Json, type JsonObject, listAt, maybe, numberAt, stringAt, withoutAt } from "../object/json.ts"
import { finalizersOf, isDeleting, type KubeObject, metadataOf, nameOf } from "../object/KubeObject.ts"
import { shownAs, storedAs } from "../registry/Registry.ts"
import type { ResourceType } from "../registry/ResourceType.ts"
import { Revision } from "../store/Revision.ts"
import { checkBody, prune } from "./createObject.ts"
import { podStatusErrors } from "./podStatusErrors.ts"
import { admission, type Asking, type World } from "./World.ts"

/** `main` leaves status alone, `status` leaves the rest alone, `any` is for subresources that check for themselves. */
export type Part = "main" | "status" | "any"

export interface Update {
  readonly part: Part
  /** From the current object, in the version asked for, to the wanted one. */
  readonly change: (current: KubeObject) => Result.Result<KubeObject, ApiFailure>
  readonly onUnknownField?: (path: string) => void
}

const fixed = [
  "name",
  "namespace",
  "uid",
  "creationTimestamp",
  "deletionTimestamp",
  "deletionGracePeriodSeconds",
  "generation",
  "generateName"
]

const mergedMetadata = (wanted: KubeObject, old: KubeObject): JsonObject => {
  const before = metadataOf(old)
  let metadata: JsonObject = withoutAt(metadataOf(wanted), ["selfLink"])
  for (const key of fixed) {
    const kept = before[key]
    metadata = kept === undefined ? withoutAt(metadata, [key]) : { ...metadata, [key]: kept }
  }
  return { ...metadata, ...maybe("resourceVersion", before["resourceVersion"]) }
}

/** What the user wants, as opposed to what the system says: decides whether generation rises. */
const intent = (object: KubeObject): Json => {
  const { metadata: _, status: __, ...rest } = object
  return rest
}

const assemble = (type: ResourceType, part: Part, wanted: KubeObject, old: KubeObject): KubeObject => {
  const metadata = mergedMetadata(wanted, old)
  if (part === "any") return { ...wanted, metadata }
  if (part === "status") {
    // A custom resource's /status changes nothing but status; the built-in kinds let labels and annotations ride along.
    const kept = type.schema === undefined
      ? { ...metadata, ...maybe("ownerReferences", metadataOf(old)["ownerReferences"]) }
      : metadataOf(old)
    return { ...withoutAt(old, ["status"]), metadata: kept, ...maybe("status", wanted["status"]) }
  }
  if (!type.hasStatus) return { ...wanted, metadata }
  return { ...withoutAt(wanted, ["status"]), metadata, ...maybe("status", old["status"]) }
}

const versionProblem = (type: ResourceType, wanted: KubeObject, old: KubeObject): ApiFailure | undefined => {
  const name = nameOf(old)
  const version = stringAt(wanted, "metadata", "resourceVersion")
  const uid = stringAt(wanted, "metadata", "uid")
  const current = stringAt(old, "metadata", "uid") ?? ""
  if (uid !== undefined && uid !== "" && uid !== current) {
    return conflict(type, name, `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${current}`)
  }
  if (
    version !== undefined && version !== "" && version !== "0" &&
    version !== stringAt(old, "metadata", "resourceVersion")
  ) {
    return modified(type, name)
  }
  return undefined
}

const finalizerProblem = (type: ResourceType, object: KubeObject, old: KubeObject): ApiFailure | undefined => {
  if (!isDeleting(old)) return undefined
  const added = finalizersOf(object).filter((finalizer) => !finalizersOf(old).includes(finalizer))
  return added.length === 0 ? undefined : invalid(type, nameOf(object), [{
    type: "Forbidden",
    field: "metadata.finalizers",
    detail: `no new finalizers can be added if the object is being deleted, found new finalizers ${
      JSON.stringify(added)
    }`
  }])
}

/** True once nothing holds a deleted object back any more. */
export const mayVanish = (type: ResourceType, object: KubeObject): boolean =>
  isDeleting(object) &&
  finalizersOf(object).length === 0 &&
  (numberAt(object, "metadata", "deletionGracePeriodSeconds") ?? 0) === 0 &&
  (type.collection !== "namespaces" || listAt(object, "spec", "finalizers").length === 0)

export const updateObject = (
  world: World,
  type: ResourceType,
  namespace: string,
  name: string,
  update: Update,
  asking: Asking
): Result.Result<Revision, ApiFailure> =>
  Result.gen(function*() {
    const current = world.store.get(type.collection, namespace, name)
    if (current === undefined) return yield* Result.fail(notFound(type, name))
    const old = current.object
    const changed = yield* update.change(shownAs(type, old))
    const checked = yield* checkBody(type, namespace, name, changed)
    const problem = versionProblem(type, checked, old)
    if (problem !== undefined) return yield* Result.fail(problem)
    const assembled = assemble(type, update.part, storedAs(type, prune(type, checked, update.onUnknownField)), old)
    const plain = update.part === "any" || (update.part === "status" && type.schema === undefined)
    const prepared = type.prepare === undefined || plain
      ? assembled
      : yield* type.prepare(assembled, old, admission(world, asking))
    const wanted = type.hasGeneration && !equal(intent(prepared), intent(old))
      ? {
        ...prepared,
        metadata: { ...metadataOf(prepared), generation: (numberAt(old, "metadata", "generation") ?? 0) + 1 }
      }
      : prepared
    const held = finalizerProblem(type, wanted, old)
    if (held !== undefined) return yield* Result.fail(held)
    const errors = [
      ...metadataErrors(wanted),
      ...(plain ? [] : type.validate?.(wanted, old) ?? []),
      ...(update.part === "status" && type.collection === "pods" ? podStatusErrors(wanted, old) : [])
    ]
    if (errors.length > 0) return yield* Result.fail(invalid(type, name, errors))
    if (equal(wanted, old)) return current
    if (asking.dryRun) return new Revision(wanted, current.version)
    const stored = world.store.replace(type.collection, current, wanted)
    return mayVanish(type, wanted) ? world.store.remove(type.collection, stored) : stored
  })

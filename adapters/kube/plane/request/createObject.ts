/** Creating an object: its name, its metadata, defaulting, admission and validation, in one synchronous step. */
import { Result } from "effect"
import { metadataErrors, nameErrors, type NameRule } from "../admission/names.ts"
import { alreadyExists, type ApiFailure, badRequest, forbidden, invalid, notFound } from "../object/ApiFailure.ts"
import { isObject, type JsonObject, maybe, stringAt, withAt, withoutAt } from "../object/json.ts"
import { type KubeObject, metadataOf, nameOf, namespaceOf } from "../object/KubeObject.ts"
import { suffix, timestamp, uuid } from "../object/Moment.ts"
import { storedAs } from "../registry/Registry.ts"
import { apiVersionOf, type ResourceType } from "../registry/ResourceType.ts"
import { pruned } from "../registry/structuralSchema.ts"
import { Revision } from "../store/Revision.ts"
import { admission, type Asking, type World } from "./World.ts"

/** metadata.name of a generated name stays within 63 bytes, as the real generator does. */
const generatedLimit = 58

const nameRules: Readonly<Record<string, NameRule>> = {
  namespaces: "label",
  services: "label",
  "clusterroles.rbac.authorization.k8s.io": "path",
  "clusterrolebindings.rbac.authorization.k8s.io": "path",
  "roles.rbac.authorization.k8s.io": "path",
  "rolebindings.rbac.authorization.k8s.io": "path"
}

export const nameRuleOf = (type: ResourceType): NameRule => nameRules[type.collection] ?? "subdomain"

/** Refuses a body that is about another kind, namespace or name than the path. */
export const checkBody = (
  type: ResourceType,
  namespace: string,
  name: string | undefined,
  body: KubeObject
): Result.Result<KubeObject, ApiFailure> => {
  const apiVersion = stringAt(body, "apiVersion") ?? apiVersionOf(type)
  const kind = stringAt(body, "kind") ?? type.kind
  if (apiVersion !== apiVersionOf(type) || kind !== type.kind) {
    return Result.fail(
      badRequest(
        `the object provided is unrecognized (must be of type ${type.kind}): ${kind} in version "${apiVersion}" is not ${type.kind} in "${
          apiVersionOf(type)
        }"`
      )
    )
  }
  if (body["metadata"] !== undefined && body["metadata"] !== null && !isObject(body["metadata"])) {
    return Result.fail(badRequest("metadata must be an object"))
  }
  const bodyNamespace = namespaceOf(body)
  if (type.namespaced && bodyNamespace !== "" && bodyNamespace !== namespace) {
    return Result.fail(
      badRequest("the namespace of the provided object does not match the namespace sent on the request")
    )
  }
  if (name !== undefined && nameOf(body) !== "" && nameOf(body) !== name) {
    return Result.fail(
      badRequest(`the name of the object (${nameOf(body)}) does not match the name on the URL (${name})`)
    )
  }
  return Result.succeed({ ...body, apiVersion: apiVersionOf(type), kind: type.kind })
}

/** Removes what a custom resource's schema does not know; `unknown` hears of it. */
export const prune = (type: ResourceType, body: KubeObject, unknown?: (path: string) => void): KubeObject => {
  if (type.schema === undefined) return body
  const properties = isObject(type.schema["properties"]) ? type.schema["properties"] : {}
  const root = withoutAt({ ...type.schema, "x-kubernetes-embedded-resource": true, properties }, [
    "properties",
    "metadata"
  ])
  const result = pruned(body, root, "", (path) => unknown?.(path))
  return isObject(result) ? result : body
}

const namespaceProblem = (world: World, type: ResourceType, object: KubeObject): ApiFailure | undefined => {
  if (!type.namespaced) return undefined
  const namespace = world.store.get("namespaces", "", namespaceOf(object))?.object
  if (namespace === undefined) {
    return notFound({ group: "", plural: "namespaces", kind: "Namespace" }, namespaceOf(object))
  }
  if (stringAt(namespace, "status", "phase") !== "Terminating") return undefined
  return forbidden(
    type,
    nameOf(object),
    `unable to create new content in namespace ${namespaceOf(object)} because it is being terminated`
  )
}

const newMetadata = (type: ResourceType, namespace: string, body: KubeObject, asking: Asking): JsonObject => {
  const {
    resourceVersion: _,
    selfLink: __,
    deletionTimestamp: ___,
    deletionGracePeriodSeconds: ____,
    generation: _____,
    ...given
  } = metadataOf(body)
  const generateName = stringAt(given, "generateName")
  const name = stringAt(given, "name") ||
    (generateName === undefined || generateName === ""
      ? ""
      : `${generateName.slice(0, generatedLimit)}${suffix(asking.moment)}`)
  return {
    ...given,
    name,
    ...(type.namespaced ? { namespace } : {}),
    uid: uuid(asking.moment),
    creationTimestamp: timestamp(asking.moment.now),
    ...(type.hasGeneration ? { generation: 1 } : {})
  }
}

export interface CreateOptions {
  /** Called with each field a custom resource's schema does not know. */
  readonly onUnknownField?: (path: string) => void
}

export const createObject = (
  world: World,
  type: ResourceType,
  namespace: string,
  body: KubeObject,
  asking: Asking,
  options: CreateOptions = {}
): Result.Result<Revision, ApiFailure> =>
  Result.gen(function*() {
    const checked = yield* checkBody(type, namespace, undefined, body)
    if (stringAt(checked, "metadata", "resourceVersion")) {
      return yield* Result.fail(badRequest("resourceVersion should not be set on objects to be created"))
    }
    const known = prune(type, checked, options.onUnknownField)
    const bare = type.hasStatus && type.keepsStatusOnCreate !== true ? withoutAt(known, ["status"]) : known
    const named = withAt(storedAs(type, bare), ["metadata"], newMetadata(type, namespace, bare, asking))
    const problem = namespaceProblem(world, type, named)
    if (problem !== undefined) return yield* Result.fail(problem)
    const context = admission(world, asking)
    const nameProblems = [...nameErrors(named, nameRuleOf(type)), ...metadataErrors(named)]
    if (nameProblems.length > 0) return yield* Result.fail(invalid(type, nameOf(named), nameProblems))
    if (world.store.get(type.collection, namespaceOf(named), nameOf(named)) !== undefined) {
      return yield* Result.fail(alreadyExists(type, nameOf(named)))
    }
    const admitted = type.prepare === undefined ? named : yield* type.prepare(named, undefined, context)
    const complete = type.hasStatus && type.schema === undefined
      ? { ...admitted, ...maybe("status", admitted["status"] ?? {}) }
      : admitted
    const errors = type.validate?.(complete, undefined) ?? []
    if (errors.length > 0) return yield* Result.fail(invalid(type, nameOf(complete), errors))
    return asking.dryRun ? new Revision(complete, world.store.version) : world.store.insert(type.collection, complete)
  })

/** Role-based access control, evaluated over the RBAC objects in the store; group system:masters may do everything. */
import { at, type JsonObject, objectAt, objectsAt, stringAt, stringsAt } from "../object/json.ts"
import { labelsOf, nameOf, namespaceOf } from "../object/KubeObject.ts"
import type { Caller } from "../request/World.ts"
import { labelSelector } from "../store/labelSelector.ts"
import type { Store } from "../store/Store.ts"

export interface Attributes {
  readonly verb: string
  readonly group?: string
  readonly resource?: string
  readonly subresource?: string
  readonly namespace?: string
  readonly name?: string
  /** Set instead of a resource for paths such as `/healthz`. */
  readonly path?: string
}

export interface Decision {
  readonly allowed: boolean
  readonly reason: string
}

interface Grant {
  /** Empty for the whole cluster. */
  readonly namespace: string
  readonly rules: ReadonlyArray<JsonObject>
  readonly reason: string
}

const group = "rbac.authorization.k8s.io"
const collections = ["roles", "rolebindings", "clusterroles", "clusterrolebindings"].map((plural) =>
  `${plural}.${group}`
)

const covers = (
  rule: JsonObject,
  { verb, path, resource = "", subresource = "", name = "", ...attributes }: Attributes
): boolean => {
  const has = (field: string, ...values: ReadonlyArray<string>) => {
    const list = stringsAt(rule, field)
    return list.includes("*") || values.some((value) => list.includes(value))
  }
  if (!has("verbs", verb)) return false
  if (path !== undefined) {
    return stringsAt(rule, "nonResourceURLs").some((url) =>
      url === "*" || url === path || (url.endsWith("*") && path.startsWith(url.slice(0, -1)))
    )
  }
  if (!has("apiGroups", attributes.group ?? "")) return false
  const full = subresource === "" ? resource : `${resource}/${subresource}`
  const resources = stringsAt(rule, "resources")
  const fits = resources.includes("*") || resources.includes(full) ||
    (subresource !== "" && resources.includes(`*/${subresource}`))
  if (!fits) return false
  const names = stringsAt(rule, "resourceNames")
  return names.length === 0 || names.includes(name)
}

export class Authorizer {
  readonly #store: Store
  #grants: ReadonlyMap<string, ReadonlyArray<Grant>> | undefined

  constructor(store: Store) {
    this.#store = store
    // The index is rebuilt only after a change of RBAC objects.
    for (const collection of collections) store.listen(collection, "all", () => this.#grants = undefined)
  }

  decide(user: Caller, attributes: Attributes): Decision {
    if (user.groups.includes("system:masters")) return { allowed: true, reason: "" }
    for (const { namespace, rules, reason } of this.grantsOf(user)) {
      if (namespace !== "" && namespace !== attributes.namespace) continue
      if (namespace !== "" && attributes.path !== undefined) continue
      if (rules.some((rule) => covers(rule, attributes))) return { allowed: true, reason }
    }
    return { allowed: false, reason: "" }
  }

  grantsOf(user: Caller): ReadonlyArray<Grant> {
    const grants = this.#grants ??= this.#build()
    return [
      ...grants.get(`User:${user.username}`) ?? [],
      ...user.groups.flatMap((name) => grants.get(`Group:${name}`) ?? [])
    ]
  }

  #rulesOf(role: JsonObject): ReadonlyArray<JsonObject> {
    const aggregation = objectAt(role)["aggregationRule"]
    if (aggregation === undefined) return objectsAt(role, "rules")
    const selectors = objectsAt(aggregation, "clusterRoleSelectors").map(labelSelector)
    return [...this.#store.objects(`clusterroles.${group}`)]
      .filter(({ object }) => nameOf(object) !== nameOf(role) && selectors.some((matches) => matches(labelsOf(object))))
      .flatMap(({ object }) => objectsAt(object, "rules"))
  }

  #build(): ReadonlyMap<string, ReadonlyArray<Grant>> {
    const grants = new Map<string, Array<Grant>>()
    for (const kind of ["ClusterRoleBinding", "RoleBinding"]) {
      for (const { object } of this.#store.objects(`${kind.toLowerCase()}s.${group}`)) {
        const namespace = namespaceOf(object)
        const roleKind = stringAt(object, "roleRef", "kind") ?? ""
        const roleName = stringAt(object, "roleRef", "name") ?? ""
        const role = roleKind === "ClusterRole"
          ? this.#store.get(`clusterroles.${group}`, "", roleName)
          : this.#store.get(`roles.${group}`, namespace, roleName)
        if (role === undefined) continue
        const rules = this.#rulesOf(role.object)
        for (const subject of objectsAt(object, "subjects")) {
          const subjectName = stringAt(subject, "name") ?? ""
          const subjectKind = stringAt(subject, "kind") ?? ""
          const key = subjectKind === "ServiceAccount"
            ? `User:system:serviceaccount:${stringAt(subject, "namespace") ?? namespace}:${subjectName}`
            : `${subjectKind}:${subjectName}`
          const reason = `RBAC: allowed by ${kind} "${nameOf(object)}${
            namespace === "" ? "" : `/${namespace}`
          }" of ${roleKind} "${roleName}" to ${subjectKind} "${subjectName}"`
          const list = grants.get(key)
          if (list === undefined) grants.set(key, [{ namespace, rules, reason }])
          else list.push({ namespace, rules, reason })
        }
      }
    }
    return grants
  }
}

/** The sentence a refused request gets. */
export const refusal = (
  user: Caller,
  { verb, path, resource = "", subresource = "", group: apiGroup = "", namespace = "", name = "" }: Attributes
): string => {
  if (path !== undefined) {
    return `forbidden: User ${JSON.stringify(user.username)} cannot ${verb} path ${JSON.stringify(path)}`
  }
  const what = subresource === "" ? resource : `${resource}/${subresource}`
  const where = namespace === "" ? "at the cluster scope" : `in the namespace ${JSON.stringify(namespace)}`
  const subject = apiGroup === "" ? resource : `${resource}.${apiGroup}`
  return `${subject}${name === "" ? "" : ` ${JSON.stringify(name)}`} is forbidden: User ${
    JSON.stringify(user.username)
  } cannot ${verb} resource ${JSON.stringify(what)} in API group ${JSON.stringify(apiGroup)} ${where}`
}

export const attributesOf = (review: JsonObject): Attributes => {
  const path = stringAt(review, "nonResourceAttributes", "path")
  if (path !== undefined) return { verb: stringAt(review, "nonResourceAttributes", "verb") ?? "", path }
  const resource = objectAt(review, "resourceAttributes")
  const text = (key: string) => String(at(resource, key) ?? "")
  return {
    verb: text("verb"),
    group: text("group"),
    resource: text("resource"),
    subresource: text("subresource"),
    namespace: text("namespace"),
    name: text("name")
  }
}

/** Service account tokens: what a TokenRequest gets, and whom a token speaks for (bound tokens, KEP-1205). */
import { Effect, Result } from "effect"
import { injectedTokenSeconds } from "../admission/podAdmission.ts"
import { type ApiFailure, conflict, type FieldError, invalid, notFound } from "../object/ApiFailure.ts"
import { type Json, type JsonObject, numberAt, objectAt, stringAt, stringsAt } from "../object/json.ts"
import { type KubeObject, nameOf, namespaceOf, uidOf } from "../object/KubeObject.ts"
import { moment, timestamp, uuid } from "../object/Moment.ts"
import type { Caller } from "../request/World.ts"
import type { Store } from "../store/Store.ts"
import { TokenSigner } from "./TokenSigner.ts"

export const issuer = "https://kubernetes.default.svc.cluster.local"
/** What an empty audience list means. */
export const apiAudiences: ReadonlyArray<string> = [issuer]

const tokenRequests = { group: "authentication.k8s.io", plural: "tokenrequests", kind: "TokenRequest" }
const yearSeconds = 365 * 24 * 3600

const boundTo = (store: Store, account: KubeObject, reference: JsonObject): Result.Result<JsonObject, ApiFailure> => {
  const kind = stringAt(reference, "kind") ?? ""
  const name = stringAt(reference, "name") ?? ""
  const collection = kind === "Pod" ? "pods" : kind === "Secret" ? "secrets" : kind === "Node" ? "nodes" : undefined
  if (collection === undefined) {
    const errors: ReadonlyArray<FieldError> = [{
      type: "Invalid",
      field: "spec.boundObjectRef",
      value: kind,
      detail: "cannot bind token for serviceaccount to an object of this kind"
    }]
    return Result.fail(invalid(tokenRequests, nameOf(account), errors))
  }
  const found = store.get(collection, kind === "Node" ? "" : namespaceOf(account), name)?.object
  const type = { group: "", plural: collection, kind }
  if (found === undefined) return Result.fail(notFound(type, name))
  const uid = stringAt(reference, "uid")
  if (uid !== undefined && uid !== "" && uid !== uidOf(found)) {
    return Result.fail(
      conflict(
        type,
        name,
        `the UID in the bound object reference (${uid}) does not match the UID in record (${
          uidOf(found)
        }). The object might have been deleted and then recreated`
      )
    )
  }
  if (kind === "Pod" && (stringAt(found, "spec", "serviceAccountName") ?? "default") !== nameOf(account)) {
    const errors: ReadonlyArray<FieldError> = [{
      type: "Invalid",
      field: "spec.boundObjectRef",
      value: name,
      detail: "cannot bind token for serviceaccount to pod running with different serviceaccount name"
    }]
    return Result.fail(invalid(tokenRequests, nameOf(account), errors))
  }
  const claim: Record<string, Json> = { [kind.toLowerCase()]: { name, uid: uidOf(found) } }
  const node = kind === "Pod" ? store.get("nodes", "", stringAt(found, "spec", "nodeName") ?? "")?.object : undefined
  if (node !== undefined) claim["node"] = { name: nameOf(node), uid: uidOf(node) }
  return Result.succeed(claim)
}

/** Answers `POST serviceaccounts/x/token`. */
export const issueToken = Effect.fnUntraced(function*(store: Store, account: KubeObject, request: JsonObject) {
  const signer = yield* TokenSigner
  const at = yield* moment
  const spec = objectAt(request, "spec")
  const asked = numberAt(spec, "expirationSeconds") ?? 3600
  if (asked < 600 || asked > 2 ** 32) {
    return yield* invalid(tokenRequests, nameOf(account), [{
      type: "Invalid",
      field: "spec.expirationSeconds",
      value: String(asked),
      detail: asked < 600
        ? "may not specify a duration less than 10 minutes"
        : "may not specify a duration larger than 2^32 seconds"
    }])
  }
  const reference = objectAt(spec, "boundObjectRef")
  const bound = Object.keys(reference).length === 0 ? {} : yield* Effect.fromResult(boundTo(store, account, reference))
  const audiences = stringsAt(spec, "audiences").length === 0 ? apiAudiences : stringsAt(spec, "audiences")
  const now = Math.floor(at.now / 1000)
  // Tokens that admission asked for outlive old clients that never reload them; `warnafter` marks when they should have.
  const extended = asked === injectedTokenSeconds && bound["pod"] !== undefined &&
    audiences.every((audience) => apiAudiences.includes(audience))
  const expires = now + (extended ? yearSeconds : asked)
  const token = yield* signer.sign({
    iss: issuer,
    aud: audiences,
    sub: `system:serviceaccount:${namespaceOf(account)}:${nameOf(account)}`,
    jti: uuid(at),
    iat: now,
    nbf: now,
    exp: expires,
    "kubernetes.io": {
      namespace: namespaceOf(account),
      serviceaccount: { name: nameOf(account), uid: uidOf(account) },
      ...bound,
      ...(extended ? { warnafter: now + asked } : {})
    }
  })
  return {
    kind: "TokenRequest",
    apiVersion: "authentication.k8s.io/v1",
    metadata: { name: nameOf(account), namespace: namespaceOf(account), creationTimestamp: timestamp(at.now) },
    spec: { ...spec, audiences, expirationSeconds: asked },
    status: { token, expirationTimestamp: timestamp((now + asked) * 1000) }
  } satisfies JsonObject
})

const stillBound = (store: Store, namespace: string, claims: JsonObject): boolean => {
  const same = (collection: string, inside: string, claim: string) => {
    const wanted = stringAt(claims, claim, "uid")
    if (wanted === undefined) return true
    const found = store.get(collection, inside, stringAt(claims, claim, "name") ?? "")?.object
    return found !== undefined && uidOf(found) === wanted
  }
  return same("serviceaccounts", namespace, "serviceaccount") && same("pods", namespace, "pod") &&
    same("secrets", namespace, "secret")
}

export interface Authenticated {
  readonly user: Caller
  readonly audiences: ReadonlyArray<string>
}

/** Whom a token speaks for right now; undefined if nobody. */
export const authenticateToken = Effect.fnUntraced(function*(
  store: Store,
  token: string,
  audiences: ReadonlyArray<string>
): Effect.fn.Return<Authenticated | undefined, never, TokenSigner> {
  const signer = yield* TokenSigner
  const claims = yield* signer.verify(token)
  if (claims === undefined) return undefined
  const { now } = yield* moment
  const shared = stringsAt(claims, "aud").filter((audience) => audiences.includes(audience))
  const valid = (numberAt(claims, "exp") ?? 0) * 1000 > now && (numberAt(claims, "nbf") ?? 0) * 1000 <= now
  const own = objectAt(claims, "kubernetes.io")
  const namespace = stringAt(own, "namespace") ?? ""
  if (shared.length === 0 || !valid || !stillBound(store, namespace, own)) return undefined
  const extra: Record<string, ReadonlyArray<string>> = {}
  for (const kind of ["pod", "node"]) {
    const name = stringAt(own, kind, "name")
    const uid = stringAt(own, kind, "uid")
    if (name !== undefined) extra[`authentication.kubernetes.io/${kind}-name`] = [name]
    if (uid !== undefined) extra[`authentication.kubernetes.io/${kind}-uid`] = [uid]
  }
  return {
    audiences: shared,
    user: {
      username: stringAt(claims, "sub") ?? "",
      uid: stringAt(own, "serviceaccount", "uid") ?? "",
      groups: ["system:serviceaccounts", `system:serviceaccounts:${namespace}`, "system:authenticated"],
      extra
    }
  }
})

/** Questions answered and forgotten: token, access and rules reviews. */
import { Effect } from "effect"
import { attributesOf, type Authorizer } from "../authority/Authorizer.ts"
import { apiAudiences, authenticateToken } from "../authority/serviceAccountTokens.ts"
import { type JsonObject, objectAt, stringAt, stringsAt } from "../object/json.ts"
import { moment, timestamp } from "../object/Moment.ts"
import type { Caller, World } from "./World.ts"

const userInfo = (user: Caller): JsonObject => ({
  username: user.username,
  ...(user.uid === undefined ? {} : { uid: user.uid }),
  groups: user.groups,
  ...(user.extra === undefined ? {} : { extra: user.extra })
})

const answer = (review: JsonObject, kind: string, group: string, status: JsonObject, now: number): JsonObject => ({
  ...review,
  kind,
  apiVersion: `${group}/v1`,
  metadata: { creationTimestamp: timestamp(now), ...objectAt(review, "metadata") },
  status
})

export const review = Effect.fnUntraced(
  function*(
    world: World,
    authorizer: Authorizer,
    group: string,
    kind: string,
    body: JsonObject,
    user: Caller,
    namespace: string
  ) {
    const { now } = yield* moment
    const spec = objectAt(body, "spec")
    const access = (who: Caller): JsonObject => {
      const attributes = attributesOf(spec)
      const { allowed, reason } = authorizer.decide(who, attributes)
      return { allowed, ...(reason === "" ? {} : { reason }) }
    }
    switch (kind) {
      case "TokenReview": {
        const audiences = stringsAt(spec, "audiences").length === 0 ? apiAudiences : stringsAt(spec, "audiences")
        const found = yield* authenticateToken(world.store, stringAt(spec, "token") ?? "", audiences)
        const status = found === undefined
          ? { user: {}, error: "invalid bearer token" }
          : { authenticated: true, user: userInfo(found.user), audiences: found.audiences }
        return answer({ ...body, spec: {} }, kind, group, status, now)
      }
      case "SelfSubjectReview":
        return answer(body, kind, group, { userInfo: userInfo(user) }, now)
      case "SelfSubjectAccessReview":
        return answer(body, kind, group, access(user), now)
      case "SelfSubjectRulesReview": {
        const inside = stringAt(spec, "namespace") ?? namespace
        const grants = authorizer.grantsOf(user).filter((grant) => grant.namespace === "" || grant.namespace === inside)
        const rules = [
          ...user.groups.includes("system:masters")
            ? [{ verbs: ["*"], apiGroups: ["*"], resources: ["*"] }, { verbs: ["*"], nonResourceURLs: ["*"] }]
            : [],
          ...grants.flatMap((grant) => grant.rules)
        ]
        return answer(body, kind, group, {
          resourceRules: rules.filter((rule) => "resources" in rule),
          nonResourceRules: rules.filter((rule) => "nonResourceURLs" in rule),
          incomplete: false
        }, now)
      }
      default: {
        const uid = stringAt(spec, "uid")
        return answer(
          body,
          kind,
          group,
          access({
            username: stringAt(spec, "user") ?? "",
            groups: stringsAt(spec, "groups"),
            ...(uid === undefined ? {} : { uid })
          }),
          now
        )
      }
    }
  }
)

/** Finds out whether somebody may do something with a node, by asking the API server and believing it for a while. */
import { Context, Effect, Layer, Semaphore } from "effect"
import { SubjectAccessReviews } from "../kube/kinds.ts"
import { KubeApi } from "../kube/KubeApi.ts"
import { AccessUndecided, type Identity, KubeletAccess } from "./KubeletAccess.ts"
import type { RequiredAccess } from "./requiredAccess.ts"
import { makeVerdicts } from "./Verdicts.ts"

export class Authorizer extends Context.Service<Authorizer, {
  /** Without a node the right is needed on all of them. */
  readonly allows: (
    identity: Identity,
    access: RequiredAccess,
    node: string | undefined
  ) => Effect.Effect<boolean, AccessUndecided>
}>()("aranya/kubelet/Authorizer") {
  static readonly layer = Layer.effect(
    Authorizer,
    Effect.gen(function*() {
      const api = yield* KubeApi
      const limits = yield* KubeletAccess
      const verdicts = makeVerdicts<boolean>(limits.remembered)
      const turns = yield* Semaphore.make(limits.concurrency)

      const review = Effect.fnUntraced(function*(
        identity: Identity,
        verb: string,
        subresource: string,
        node: string | undefined
      ) {
        const spec = {
          user: identity.user,
          groups: identity.groups,
          ...(identity.uid === undefined ? {} : { uid: identity.uid }),
          ...(identity.extra === undefined ? {} : { extra: identity.extra }),
          resourceAttributes: {
            verb,
            version: "v1",
            resource: "nodes",
            subresource,
            ...(node === undefined ? {} : { name: node })
          }
        }
        const key = JSON.stringify(spec)
        const known = yield* verdicts.recall(key)
        if (known !== undefined) return known
        const answer = yield* turns.withPermit(api.create(SubjectAccessReviews, { metadata: {}, spec })).pipe(
          Effect.mapError((error) =>
            new AccessUndecided({
              detail: `Authorization error (user=${identity.user}, verb=${verb}, resource=nodes, ` +
                `subresource=${subresource}): ${error.message}`
            })
          )
        )
        const allowed = answer.status?.allowed === true && answer.status.denied !== true
        yield* verdicts.remember(key, allowed, allowed ? limits.allowedFor : limits.deniedFor)
        return allowed
      })

      return Authorizer.of({
        allows: Effect.fnUntraced(function*(identity, access, node) {
          for (const subresource of access.subresources) {
            if (yield* review(identity, access.verb, subresource, node)) return true
          }
          return false
        })
      })
    })
  )
}

/** An API server that knows only tokens and rights; it keeps a diary of what it was asked. */
import { Context, Effect, Layer } from "effect"
import type { SubjectAccessReview, TokenReview } from "../../core/kube/kinds.ts"
import { KubeApi, KubeApiError } from "../../core/kube/KubeApi.ts"
import type { KubeResource } from "../../core/kube/KubeResource.ts"
import type { KubeObject } from "../../core/kube/ObjectMeta.ts"

export class FakeReviews extends Context.Service<FakeReviews, {
  /** A bearer token and whose it is. */
  readonly enroll: (token: string, user: string, groups?: ReadonlyArray<string>) => Effect.Effect<void>
  /** `user verb subresource [node]`, or a group instead of the user; without a node on all of them. */
  readonly allow: (right: string) => Effect.Effect<void>
  readonly fail: (broken: boolean) => Effect.Effect<void>
  readonly diary: Effect.Effect<ReadonlyArray<string>>
}>()("test/FakeReviews") {
  static readonly layer: Layer.Layer<FakeReviews | KubeApi> = Layer.unwrap(Effect.sync(() => {
    const users = new Map<string, { readonly username: string; readonly groups: ReadonlyArray<string> }>()
    const rights = new Set<string>()
    const diary: Array<string> = []
    let broken = false

    const review = (kind: string, object: KubeObject): KubeObject => {
      if (kind === "TokenReview") {
        const { spec } = object as TokenReview
        const user = users.get(spec.token ?? "")
        diary.push(`token of ${user?.username ?? "nobody"}`)
        return {
          ...object,
          status: user === undefined ? { authenticated: false } : { authenticated: true, user }
        } as TokenReview
      }
      const { spec } = object as SubjectAccessReview
      const asked = spec.resourceAttributes
      const right = `${spec.user} ${asked?.verb} ${asked?.subresource}`
      diary.push(asked?.name === undefined ? right : `${right} ${asked.name}`)
      const allowed = [spec.user, ...spec.groups ?? []].some((who) => {
        const everywhere = `${who} ${asked?.verb} ${asked?.subresource}`
        return rights.has(everywhere) || (asked?.name !== undefined && rights.has(`${everywhere} ${asked.name}`))
      })
      return { ...object, status: { allowed } } as SubjectAccessReview
    }

    return Layer.merge(
      Layer.succeed(
        FakeReviews,
        FakeReviews.of({
          enroll: (token, username, groups = []) => Effect.sync(() => void users.set(token, { username, groups })),
          allow: (right) => Effect.sync(() => void rights.add(right)),
          fail: (next) => Effect.sync(() => void (broken = next)),
          diary: Effect.sync(() => diary.slice())
        })
      ),
      Layer.mock(KubeApi, {
        create: <A extends KubeObject>(resource: KubeResource<A>, object: A) =>
          broken
            ? Effect.fail(new KubeApiError({ reason: "Unavailable", status: 503, detail: "the server is down" }))
            : Effect.sync(() => review(resource.kind, object) as A)
      })
    )
  }))
}

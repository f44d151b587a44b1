/** Finds out who asks: the client certificate that the TLS layer verified, or a bearer token that the API server knows. */
import { Context, Effect, Layer, Semaphore } from "effect"
import { TokenReviews } from "../kube/kinds.ts"
import { KubeApi } from "../kube/KubeApi.ts"
import { AccessUndecided, type Identity, KubeletAccess } from "./KubeletAccess.ts"
import { makeVerdicts } from "./Verdicts.ts"

export interface Credentials {
  /** Subject of a certificate that was verified against the client CA; never of any other. */
  readonly certificate: { readonly commonName: string; readonly organizations: ReadonlyArray<string> } | undefined
  /** The Authorization header as it came. */
  readonly authorization: string | undefined
}

export class Authenticator extends Context.Service<Authenticator, {
  /** Undefined: nobody, or somebody who is not who they say. There is no anonymous. */
  readonly authenticate: (credentials: Credentials) => Effect.Effect<Identity | undefined, AccessUndecided>
}>()("aranya/kubelet/Authenticator") {
  static readonly layer = Layer.effect(
    Authenticator,
    Effect.gen(function*() {
      const api = yield* KubeApi
      const access = yield* KubeletAccess
      const verdicts = makeVerdicts<{ readonly identity: Identity | undefined }>(access.remembered)
      const turns = yield* Semaphore.make(access.concurrency)

      const review = Effect.fnUntraced(function*(token: string) {
        const answer = yield* turns.withPermit(api.create(TokenReviews, { metadata: {}, spec: { token } })).pipe(
          Effect.mapError((error) =>
            new AccessUndecided({ detail: `the bearer token could not be checked: ${error.message}` })
          )
        )
        const user = answer.status?.user
        const identity: Identity | undefined = answer.status?.authenticated === true && (user?.username ?? "") !== ""
          ? {
            user: user?.username ?? "",
            groups: user?.groups ?? [],
            by: "token",
            ...(user?.uid === undefined ? {} : { uid: user.uid }),
            ...(user?.extra === undefined ? {} : { extra: user.extra })
          }
          : undefined
        yield* verdicts.remember(
          token,
          { identity },
          identity === undefined ? access.unauthenticatedFor : access.authenticatedFor
        )
        return identity
      })

      return Authenticator.of({
        authenticate: Effect.fnUntraced(function*({ authorization, certificate }) {
          if (certificate !== undefined && certificate.commonName !== "") {
            // Of a token the API server has said so itself.
            const groups = [...new Set([...certificate.organizations, "system:authenticated"])]
            return { user: certificate.commonName, groups, by: "certificate" } as const
          }
          const token = /^bearer +(\S+) *$/i.exec(authorization ?? "")?.[1]
          if (token === undefined || token.length > access.tokenLimit) return undefined
          const known = yield* verdicts.recall(token)
          return known === undefined ? yield* review(token) : known.identity
        })
      })
    })
  )
}

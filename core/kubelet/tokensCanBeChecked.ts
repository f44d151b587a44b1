/** Whether bearer tokens are worth anything here: asks the API server to review one that is nobody's. */
import { Effect } from "effect"
import { TokenReviews } from "../kube/kinds.ts"
import { KubeApi, type KubeApiError } from "../kube/KubeApi.ts"

/** Fails where TokenReviews are forbidden, absent or unanswered; a server that starts must not hope. */
export const tokensCanBeChecked: Effect.Effect<void, KubeApiError, KubeApi> = KubeApi.use((api) =>
  Effect.asVoid(api.create(TokenReviews, { metadata: {}, spec: { token: "nobody" } }))
)

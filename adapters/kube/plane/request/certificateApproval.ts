/** The approval subresource of CertificateSigningRequests: conditions only, and only for those who may approve for the signer. */
import { Result } from "effect"
import { type Authorizer } from "../authority/Authorizer.ts"
import { type ApiFailure, forbidden } from "../object/ApiFailure.ts"
import { type JsonObject, objectsAt, stringAt, withAt, withDefaults } from "../object/json.ts"
import { type KubeObject, nameOf } from "../object/KubeObject.ts"
import { timestamp } from "../object/Moment.ts"
import type { ResourceType } from "../registry/ResourceType.ts"
import type { Asking } from "./World.ts"

/** Rights are on the signer by name, or on every signer of its domain. */
const mayApprove = (authorizer: Authorizer, signer: string, { user }: Asking): boolean =>
  [signer, `${signer.split("/")[0] ?? ""}/*`].some((name) =>
    authorizer.decide(user, { verb: "approve", group: "certificates.k8s.io", resource: "signers", name }).allowed
  )

export const approving = (
  authorizer: Authorizer,
  type: ResourceType,
  asking: Asking,
  change: (csr: KubeObject) => Result.Result<KubeObject, ApiFailure>
) =>
(csr: KubeObject): Result.Result<KubeObject, ApiFailure> => {
  const signer = stringAt(csr, "spec", "signerName") ?? ""
  if (!mayApprove(authorizer, signer, asking)) {
    return Result.fail(
      forbidden(type, nameOf(csr), `user not permitted to approve requests with signerName ${JSON.stringify(signer)}`)
    )
  }
  const now = timestamp(asking.moment.now)
  return Result.map(change(csr), (wanted) => {
    const conditions = objectsAt(wanted, "status", "conditions").map((condition): JsonObject =>
      withDefaults(condition, { lastUpdateTime: now, lastTransitionTime: now, status: "True" })
    )
    return withAt({ ...csr, metadata: wanted["metadata"] ?? {} }, ["status", "conditions"], conditions)
  })
}

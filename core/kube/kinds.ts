/** The small kinds aranya reads or writes: data, services, leases, events, certificates, reviews, tokens. */
import { Schema } from "effect"
import type { KubeResource } from "./KubeResource.ts"
import { ObjectMeta, StringMap } from "./ObjectMeta.ts"

const opt = Schema.optionalKey
const head = { apiVersion: opt(Schema.String), kind: opt(Schema.String), metadata: ObjectMeta }
const MaybeTime = Schema.NullOr(Schema.String)

export const ConfigMap = Schema.Struct({
  ...head,
  immutable: opt(Schema.Boolean),
  data: opt(StringMap),
  /** base64 */
  binaryData: opt(StringMap)
})
export type ConfigMap = typeof ConfigMap.Type
export const ConfigMaps: KubeResource<ConfigMap> = {
  group: "",
  version: "v1",
  kind: "ConfigMap",
  plural: "configmaps",
  namespaced: true,
  schema: ConfigMap
}

export const Secret = Schema.Struct({
  ...head,
  type: opt(Schema.String),
  immutable: opt(Schema.Boolean),
  /** base64 */
  data: opt(StringMap),
  stringData: opt(StringMap)
})
export type Secret = typeof Secret.Type
export const Secrets: KubeResource<Secret> = {
  group: "",
  version: "v1",
  kind: "Secret",
  plural: "secrets",
  namespaced: true,
  schema: Secret
}

export const Service = Schema.Struct({
  ...head,
  spec: opt(Schema.Struct({
    clusterIP: opt(Schema.String),
    type: opt(Schema.String),
    selector: opt(StringMap),
    ports: opt(Schema.Array(Schema.Struct({
      name: opt(Schema.String),
      protocol: opt(Schema.String),
      port: Schema.Number,
      targetPort: opt(Schema.Union([Schema.String, Schema.Number])),
      appProtocol: opt(Schema.String)
    })))
  }))
})
export type Service = typeof Service.Type
export const Services: KubeResource<Service> = {
  group: "",
  version: "v1",
  kind: "Service",
  plural: "services",
  namespaced: true,
  schema: Service
}

export const EndpointSlice = Schema.Struct({
  ...head,
  addressType: Schema.String,
  endpoints: opt(Schema.NullOr(Schema.Array(Schema.Struct({
    addresses: Schema.Array(Schema.String),
    conditions: opt(Schema.Struct({ ready: opt(Schema.Boolean) }))
  })))),
  ports: opt(Schema.NullOr(Schema.Array(Schema.Struct({
    name: opt(Schema.String),
    protocol: opt(Schema.String),
    port: opt(Schema.Number),
    appProtocol: opt(Schema.String)
  }))))
})
export type EndpointSlice = typeof EndpointSlice.Type
export const EndpointSlices: KubeResource<EndpointSlice> = {
  group: "discovery.k8s.io",
  version: "v1",
  kind: "EndpointSlice",
  plural: "endpointslices",
  namespaced: true,
  schema: EndpointSlice
}

export const Lease = Schema.Struct({
  ...head,
  spec: opt(Schema.Struct({
    holderIdentity: opt(Schema.String),
    leaseDurationSeconds: opt(Schema.Number),
    acquireTime: opt(MaybeTime),
    /** MicroTime: RFC 3339 with six decimals. */
    renewTime: opt(MaybeTime),
    leaseTransitions: opt(Schema.Number)
  }))
})
export type Lease = typeof Lease.Type
export const Leases: KubeResource<Lease> = {
  group: "coordination.k8s.io",
  version: "v1",
  kind: "Lease",
  plural: "leases",
  namespaced: true,
  schema: Lease
}

export const ObjectReference = Schema.Struct({
  apiVersion: opt(Schema.String),
  kind: opt(Schema.String),
  namespace: opt(Schema.String),
  name: opt(Schema.String),
  uid: opt(Schema.String),
  resourceVersion: opt(Schema.String),
  fieldPath: opt(Schema.String)
})
export type ObjectReference = typeof ObjectReference.Type

export const KubeEvent = Schema.Struct({
  ...head,
  involvedObject: ObjectReference,
  reason: opt(Schema.String),
  message: opt(Schema.String),
  type: opt(Schema.String),
  source: opt(Schema.Struct({ component: opt(Schema.String), host: opt(Schema.String) })),
  firstTimestamp: opt(MaybeTime),
  lastTimestamp: opt(MaybeTime),
  count: opt(Schema.Number),
  reportingComponent: opt(Schema.String),
  reportingInstance: opt(Schema.String)
})
export type KubeEvent = typeof KubeEvent.Type
export const KubeEvents: KubeResource<KubeEvent> = {
  group: "",
  version: "v1",
  kind: "Event",
  plural: "events",
  namespaced: true,
  schema: KubeEvent
}

export const ServiceAccount = Schema.Struct({
  ...head,
  imagePullSecrets: opt(Schema.Array(Schema.Struct({ name: opt(Schema.String) }))),
  automountServiceAccountToken: opt(Schema.Boolean)
})
export type ServiceAccount = typeof ServiceAccount.Type
export const ServiceAccounts: KubeResource<ServiceAccount> = {
  group: "",
  version: "v1",
  kind: "ServiceAccount",
  plural: "serviceaccounts",
  namespaced: true,
  schema: ServiceAccount
}

/** Created on the `token` subresource of a ServiceAccount, named in `metadata`. */
export const TokenRequest = Schema.Struct({
  ...head,
  spec: Schema.Struct({
    audiences: Schema.Array(Schema.String),
    expirationSeconds: opt(Schema.Number),
    boundObjectRef: opt(ObjectReference)
  }),
  status: opt(Schema.Struct({ token: Schema.String, expirationTimestamp: Schema.String }))
})
export type TokenRequest = typeof TokenRequest.Type
export const TokenRequests: KubeResource<TokenRequest> = {
  group: "",
  version: "v1",
  kind: "TokenRequest",
  plural: "serviceaccounts",
  namespaced: true,
  schema: TokenRequest
}

export const CertificateSigningRequest = Schema.Struct({
  ...head,
  spec: Schema.Struct({
    /** base64 of a PEM block */
    request: Schema.String,
    signerName: Schema.String,
    usages: opt(Schema.Array(Schema.String)),
    expirationSeconds: opt(Schema.Number),
    username: opt(Schema.String)
  }),
  status: opt(Schema.Struct({
    conditions: opt(Schema.Array(Schema.Struct({
      type: Schema.String,
      status: Schema.String,
      reason: opt(Schema.String),
      message: opt(Schema.String)
    }))),
    /** base64 of PEM */
    certificate: opt(Schema.String)
  }))
})
export type CertificateSigningRequest = typeof CertificateSigningRequest.Type
export const CertificateSigningRequests: KubeResource<CertificateSigningRequest> = {
  group: "certificates.k8s.io",
  version: "v1",
  kind: "CertificateSigningRequest",
  plural: "certificatesigningrequests",
  namespaced: false,
  schema: CertificateSigningRequest
}

const UserInfo = Schema.Struct({
  username: opt(Schema.String),
  uid: opt(Schema.String),
  groups: opt(Schema.Array(Schema.String)),
  extra: opt(Schema.Record(Schema.String, Schema.Array(Schema.String)))
})

export const TokenReview = Schema.Struct({
  ...head,
  spec: Schema.Struct({ token: opt(Schema.String), audiences: opt(Schema.Array(Schema.String)) }),
  status: opt(Schema.Struct({
    authenticated: opt(Schema.Boolean),
    user: opt(UserInfo),
    audiences: opt(Schema.Array(Schema.String)),
    error: opt(Schema.String)
  }))
})
export type TokenReview = typeof TokenReview.Type
export const TokenReviews: KubeResource<TokenReview> = {
  group: "authentication.k8s.io",
  version: "v1",
  kind: "TokenReview",
  plural: "tokenreviews",
  namespaced: false,
  schema: TokenReview
}

export const SubjectAccessReview = Schema.Struct({
  ...head,
  spec: Schema.Struct({
    user: opt(Schema.String),
    uid: opt(Schema.String),
    groups: opt(Schema.Array(Schema.String)),
    extra: opt(Schema.Record(Schema.String, Schema.Array(Schema.String))),
    resourceAttributes: opt(Schema.Struct({
      namespace: opt(Schema.String),
      verb: Schema.String,
      group: opt(Schema.String),
      version: opt(Schema.String),
      resource: Schema.String,
      subresource: opt(Schema.String),
      name: opt(Schema.String)
    }))
  }),
  status: opt(Schema.Struct({
    allowed: Schema.Boolean,
    denied: opt(Schema.Boolean),
    reason: opt(Schema.String)
  }))
})
export type SubjectAccessReview = typeof SubjectAccessReview.Type
export const SubjectAccessReviews: KubeResource<SubjectAccessReview> = {
  group: "authorization.k8s.io",
  version: "v1",
  kind: "SubjectAccessReview",
  plural: "subjectaccessreviews",
  namespaced: false,
  schema: SubjectAccessReview
}

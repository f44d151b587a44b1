/** Serving certificates from the cluster's own signer: requested, approved where that is wished, waited for, and renewed in time. */
import { Clock, Duration, Effect, Random, Schedule, Schema, Stream } from "effect"
import { Base64 } from "effect/encoding"
import { type CertificateSigningRequest, CertificateSigningRequests } from "../kube/kinds.ts"
import { KubeApi, type KubeApiError } from "../kube/KubeApi.ts"
import { type CertificateSubject, KeyMaker, type ServerNames } from "./KeyMaker.ts"
import type { ServingCertificate } from "./ServingCertificate.ts"

/** The signer refused, or nobody approved. Asking again may help after somebody has acted. */
export class CertificateNotIssued extends Schema.TaggedError<CertificateNotIssued>()("CertificateNotIssued", {
  detail: Schema.String
}) {
  override get message() {
    return `there is no serving certificate: ${this.detail}`
  }
}

export interface ClusterSignedOptions {
  /** The signer demands CN `system:node:NAME`. */
  readonly nodeName: string
  /** Kubernetes' own signer wants `system:nodes` and nothing more; others may want more. */
  readonly subject?: Partial<CertificateSubject> | undefined
  /** At least one address: the approvers of the world want to see one. */
  readonly names: ServerNames
  /** Default `kubernetes.io/kubelet-serving`; EKS wants `beta.eks.amazonaws.com/app-serving`. */
  readonly signerName?: string | undefined
  /** Approve the own request; needs `approve` on the signer and update on certificatesigningrequests/approval. */
  readonly approve?: boolean | undefined
  /** At least 10 minutes; the signer may shorten it. */
  readonly lifetime?: Duration.Input | undefined
  /** How long to wait for approval before asking anew. Default 15 minutes. */
  readonly patience?: Duration.Input | undefined
}

const retry = Schedule.min([Schedule.exponential("2 seconds"), Schedule.spaced("1 minute")]).pipe(Schedule.jittered)

const poll = Schedule.min([Schedule.exponential("250 millis"), Schedule.spaced("10 seconds")])

const named = (csr: CertificateSigningRequest): string => csr.metadata.name ?? ""

const approval = (csr: CertificateSigningRequest): CertificateSigningRequest => ({
  ...csr,
  status: {
    ...csr.status,
    conditions: [
      ...(csr.status?.conditions ?? []),
      {
        type: "Approved",
        status: "True",
        reason: "AranyaApproved",
        message: "This serving certificate was approved by aranya, which asked for it."
      }
    ]
  }
})

const judge = (csr: CertificateSigningRequest): string | undefined => {
  const refused = csr.status?.conditions?.find(({ status, type }) =>
    (type === "Denied" || type === "Failed") && status === "True"
  )
  return refused === undefined
    ? undefined
    : `CertificateSigningRequest ${named(csr)} is ${refused.type}: ${
      refused.message ?? refused.reason ?? "no words about why"
    }`
}

/** One certificate. Fails when it was refused or not approved in time; the request is taken back then. */
export const requestCertificate = Effect.fnUntraced(function*(options: ClusterSignedOptions) {
  const api = yield* KubeApi
  const keys = yield* KeyMaker
  const patience = Duration.fromInputUnsafe(options.patience ?? "15 minutes")
  const { privateKey, request } = yield* keys.request({
    commonName: `system:node:${options.nodeName}`,
    organizations: ["system:nodes"],
    ...options.subject
  }, options.names)

  const withdraw = (name: string) =>
    api.delete(CertificateSigningRequests, { name }).pipe(
      Effect.catch((error: KubeApiError) => Effect.logDebug(`CertificateSigningRequest ${name}: ${error.message}`))
    )

  const created = yield* api.create(CertificateSigningRequests, {
    metadata: { generateName: "aranya-kubelet-serving-" },
    spec: {
      request: Base64.encode(request),
      signerName: options.signerName ?? "kubernetes.io/kubelet-serving",
      usages: ["digital signature", "server auth"],
      ...(options.lifetime === undefined ? {} : {
        expirationSeconds: Math.max(600, Math.round(Duration.toSeconds(Duration.fromInputUnsafe(options.lifetime))))
      })
    }
  })
  const name = named(created)

  return yield* Effect.gen(function*() {
    if (options.approve === true) {
      yield* api.replace(CertificateSigningRequests, approval(created), { subresource: "approval" })
    } else {yield* Effect.logInfo(
        `CertificateSigningRequest ${name} waits for approval: kubectl certificate approve ${name}`
      )}

    const certificate = yield* Effect.gen(function*() {
      const csr = yield* api.get(CertificateSigningRequests, { name })
      const refusal = judge(csr)
      if (refusal !== undefined) return yield* new CertificateNotIssued({ detail: refusal })
      return csr.status?.certificate
    }).pipe(
      // A server that is away for a moment must not cost the approval somebody gave by hand.
      Effect.catchIf((error) => error._tag === "KubeApiError" && error.retryable, () => Effect.succeed(undefined)),
      Effect.repeat({ schedule: poll, while: (found) => found === undefined || found === "" }),
      Effect.timeoutOrElse({
        duration: patience,
        orElse: () =>
          Effect.fail(
            new CertificateNotIssued({
              detail: `nobody approved CertificateSigningRequest ${name} within ${Duration.format(patience)}`
            })
          )
      })
    )
    const pem = Base64.decodeString(certificate ?? "")
    if (pem._tag === "Failure") {
      return yield* new CertificateNotIssued({ detail: `CertificateSigningRequest ${name} holds no base64` })
    }
    const issued: ServingCertificate = { certificate: pem.success, privateKey }
    return issued
  }).pipe(Effect.onError(() => withdraw(name)))
})

/** Renewal is due at 70 to 90 % of the lifetime, by chance, so that a fleet does not ask at once. */
export const renewalDelay = Effect.fnUntraced(function*(certificate: string) {
  const keys = yield* KeyMaker
  const { notAfter, notBefore } = yield* keys.validity(certificate)
  const share = 0.7 + 0.2 * (yield* Random.next)
  const now = yield* Clock.currentTimeMillis
  const due = notBefore + (notAfter - notBefore) * share
  // Never in a tight loop, whatever the clocks of signer and operator think of each other.
  return Duration.millis(Math.max(60_000, due - now))
})

/** A certificate now, and each renewal; for ever, through refusals and outages. */
export const clusterSigned = (
  options: ClusterSignedOptions
): Stream.Stream<ServingCertificate, never, KubeApi | KeyMaker> =>
  renewing(
    requestCertificate(options).pipe(
      Effect.tapError((error) => Effect.logWarning(error.message)),
      Effect.retry(retry),
      Effect.orDie
    )
  )

/** Certificates of our own making; the API server must be one that does not verify kubelets, which is the default. */
export const selfSigned = (
  options: Pick<ClusterSignedOptions, "nodeName" | "subject" | "names" | "lifetime">
): Stream.Stream<ServingCertificate, never, KeyMaker> =>
  renewing(
    KeyMaker.use((keys) =>
      keys.selfSigned(
        { commonName: `system:node:${options.nodeName}`, organizations: ["system:nodes"], ...options.subject },
        options.names,
        Duration.fromInputUnsafe(options.lifetime ?? "365 days")
      )
    ).pipe(
      Effect.tapError((error) => Effect.logWarning(error.message)),
      Effect.retry(retry),
      Effect.orDie
    )
  )

const renewing = <R>(issue: Effect.Effect<ServingCertificate, never, R>) =>
  Stream.suspend(() => {
    let shown: ServingCertificate | undefined
    return Stream.fromEffectRepeat(Effect.gen(function*() {
      if (shown !== undefined) {
        const delay = yield* renewalDelay(shown.certificate).pipe(
          Effect.catch((error) =>
            Effect.as(Effect.logWarning(`the serving certificate cannot be read: ${error.message}`), Duration.hours(1))
          )
        )
        yield* Effect.sleep(delay)
      }
      shown = yield* issue
      return shown
    }))
  })

/** Certificates and authorities that somebody else keeps in the cluster. */
import { Effect, Stream } from "effect"
import { Base64 } from "effect/encoding"
import { type ConfigMap, ConfigMaps, type Secret, Secrets } from "../kube/kinds.ts"
import { KubeApi, type Observation } from "../kube/KubeApi.ts"
import type { ServingCertificate } from "./ServingCertificate.ts"

const text = (secret: Secret, key: string): string | undefined => {
  const decoded = Base64.decodeString(secret.data?.[key] ?? "")
  return decoded._tag === "Success" && decoded.success !== "" ? decoded.success : undefined
}

/** The pair in a Secret of type `kubernetes.io/tls`, and each change of it: cert-manager renews it there. */
export const secretCertificate = (at: {
  readonly namespace: string
  readonly name: string
}): Stream.Stream<ServingCertificate, never, KubeApi> =>
  Stream.unwrap(
    Effect.map(KubeApi, (api) =>
      api.observe(Secrets, { namespace: at.namespace, fieldSelector: `metadata.name=${at.name}` }).pipe(
        Stream.mapEffect(Effect.fnUntraced(function*(observation: Observation<Secret>) {
          if (observation._tag !== "Set") {
            return []
          }
          const certificate = text(observation.object, "tls.crt")
          const privateKey = text(observation.object, "tls.key")
          if (certificate !== undefined && privateKey !== undefined) {
            return [{ certificate, privateKey }]
          }
          yield* Effect.logWarning(`Secret ${at.namespace}/${at.name} has no tls.crt and tls.key`)
          return []
        })),
        Stream.flattenIterable
      ))
  )

/**
 * The authorities of the cluster's clients, which kube-apiserver publishes; undefined where it publishes none, and once when
 * that is sure. Readable through Role `extension-apiserver-authentication-reader`.
 */
export const clusterClientAuthorities: Stream.Stream<string | undefined, never, KubeApi> = Stream.unwrap(
  Effect.map(KubeApi, (api) => {
    let known: string | undefined
    return api.observe(ConfigMaps, {
      namespace: "kube-system",
      fieldSelector: "metadata.name=extension-apiserver-authentication"
    }).pipe(
      Stream.map((observation: Observation<ConfigMap>): ReadonlyArray<string | undefined> => {
        if (observation._tag === "Synced") return known === undefined ? [undefined] : []
        const found = observation._tag === "Set" ? observation.object.data?.["client-ca-file"] : undefined
        if (found === undefined || found === "") return []
        known = found
        return [found]
      }),
      Stream.flattenIterable
    )
  })
)

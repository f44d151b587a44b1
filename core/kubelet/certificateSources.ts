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

/** What `kubectl create secret tls` makes; cert-manager keeps its own in Secrets of the same shape. */
const parts = ["tls.crt", "tls.key"] as const

/**
 * The pair in a Secret of type `kubernetes.io/tls`, and each change of it: cert-manager renews it there. What is missing is said in
 * one sentence each time it changes, and waited for. `field` names the configuration that led here.
 */
export const secretCertificate = (at: {
  readonly namespace: string
  readonly name: string
  readonly field: string
}): Stream.Stream<ServingCertificate, never, KubeApi> =>
  Stream.unwrap(
    Effect.map(KubeApi, (api) => {
      const secret = `Secret ${at.namespace}/${at.name} (${at.field})`
      const remedy = `kubectl create secret tls -n ${at.namespace} ${at.name} --cert=FILE --key=FILE makes one`
      let present = false
      let said = ""
      const complain = (sentence: string) => {
        if (said === sentence) return Effect.succeed([])
        said = sentence
        return Effect.as(Effect.logWarning(sentence), [])
      }
      const taken = (found: Secret): Effect.Effect<ReadonlyArray<ServingCertificate>> => {
        const [certificate, privateKey] = parts.map((part) => text(found, part))
        if (certificate !== undefined && privateKey !== undefined) {
          said = ""
          return Effect.succeed([{ certificate, privateKey, source: `${parts.join(" and ")} of ${secret}` }])
        }
        const missing = parts.filter((part) => text(found, part) === undefined)
        return complain(
          `${secret} has no ${missing.join(" and no ")} in base64: ${remedy}; until then its last certificate goes on`
        )
      }
      return api.observe(Secrets, { namespace: at.namespace, fieldSelector: `metadata.name=${at.name}` }).pipe(
        Stream.mapEffect((observation: Observation<Secret>): Effect.Effect<ReadonlyArray<ServingCertificate>> => {
          present = observation._tag === "Set" || (observation._tag === "Synced" && present)
          if (observation._tag === "Set") return taken(observation.object)
          return present
            ? Effect.succeed([])
            : complain(`${secret} does not exist: ${remedy}; until then its last certificate goes on`)
        }),
        Stream.flattenIterable
      )
    })
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

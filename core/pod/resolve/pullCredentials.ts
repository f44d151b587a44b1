/** Registry credentials from the pod's imagePullSecrets; only those that may match one of its images leave for the device. */
import { Result } from "effect"
import { Base64 } from "effect/encoding"
import type { Secret } from "../../kube/kinds.ts"
import type { Pod } from "../../kube/Pod.ts"
import { credentialMatches } from "../credentialMatches.ts"
import type { RegistryCredential } from "../PodAssignment.ts"
import { secretBytes } from "./environment.ts"
import { allContainers } from "./references.ts"
import type { Notice, Sources } from "./Resolution.ts"

const utf8 = new TextDecoder()

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)
const text = (value: unknown): string => typeof value === "string" ? value : ""

const parse = (json: string): unknown => {
  try {
    return JSON.parse(json)
  } catch {
    return undefined
  }
}

/** The `auths` of a `.dockerconfigjson`, or the whole of a legacy `.dockercfg`; undefined where it is neither. */
const authsOf = (secret: Secret): Readonly<Record<string, unknown>> | undefined => {
  const key = secret.type === "kubernetes.io/dockercfg" ? ".dockercfg" : ".dockerconfigjson"
  const bytes = secretBytes(secret, key)
  const document = bytes === undefined ? undefined : parse(utf8.decode(bytes))
  if (!isObject(document)) return undefined
  const auths = key === ".dockercfg" ? document : document["auths"]
  return isObject(auths) ? auths : undefined
}

const credentialOf = (registry: string, entry: unknown): RegistryCredential | undefined => {
  if (!isObject(entry)) return undefined
  const pair = Result.getOrElse(Base64.decodeString(text(entry["auth"])), () => "")
  const colon = pair.indexOf(":")
  const username = text(entry["username"]) || (colon < 0 ? "" : pair.slice(0, colon))
  const password = text(entry["password"]) || (colon < 0 ? "" : pair.slice(colon + 1))
  const identityToken = text(entry["identitytoken"])
  if (username === "" && identityToken === "") return undefined
  return {
    registry: registry.replace(/^https?:\/\//u, "").replace(/\/v[12]\/?$/u, "").replace(/\/$/u, ""),
    username,
    password,
    ...(identityToken === "" ? {} : { identityToken })
  }
}

export const pullCredentials = (
  pod: Pod,
  sources: Sources
): { readonly credentials: ReadonlyArray<RegistryCredential>; readonly notices: ReadonlyArray<Notice> } => {
  const images = [...allContainers(pod), ...pod.spec.ephemeralContainers ?? []].map(({ image = "" }) => image)
  const credentials: Array<RegistryCredential> = []
  const missing: Array<string> = []
  for (const { name = "" } of pod.spec.imagePullSecrets ?? []) {
    const secret = sources.secret(name)
    const auths = secret === undefined ? undefined : authsOf(secret)
    if (auths === undefined) {
      missing.push(name)
      continue
    }
    for (const [registry, entry] of Object.entries(auths)) {
      const credential = credentialOf(registry, entry)
      if (credential === undefined) continue
      if (images.some((image) => credentialMatches(credential.registry, image))) credentials.push(credential)
    }
  }
  // The longest match is tried first.
  credentials.sort((a, b) => b.registry.length - a.registry.length)
  return {
    credentials,
    notices: missing.length === 0 ? [] : [{
      type: "Warning",
      reason: "FailedToRetrieveImagePullSecret",
      message: `Unable to retrieve some image pull secrets (${missing.join(", ")}); `
        + "attempting to pull the image may not succeed.",
      fieldPath: ""
    }]
  }
}

/** What a pod refers to in its namespace, so that it can be watched by name. */
import type { Container, Pod } from "../../kube/Pod.ts"
import type { TokenNeed } from "./Resolution.ts"

export interface References {
  readonly configMaps: ReadonlyArray<string>
  readonly secrets: ReadonlyArray<string>
  readonly tokens: ReadonlyArray<TokenNeed>
}

/** Seconds; what a token without a wish lives. */
const defaultTokenSeconds = 3600
/** What admission asks for in the volume it injects; the API server stretches exactly this wish to a year. */
const stretchedSeconds = 3607

export const tokenNeed = (
  pod: Pod,
  source: { readonly audience?: string; readonly expirationSeconds?: number }
): TokenNeed => ({
  serviceAccount: pod.spec.serviceAccountName === undefined || pod.spec.serviceAccountName === ""
    ? "default"
    : pod.spec.serviceAccountName,
  audience: source.audience ?? "",
  // No token of a year leaves for a device.
  expirationSeconds: source.expirationSeconds === undefined || source.expirationSeconds === stretchedSeconds
    ? defaultTokenSeconds
    : source.expirationSeconds
})

/** What the pod is made of, without what was added to look into it. */
export const allContainers = (pod: Pod): ReadonlyArray<Container> => [
  ...pod.spec.initContainers ?? [],
  ...pod.spec.containers
]

export const references = (pod: Pod): References => {
  const configMaps = new Set<string>()
  const secrets = new Set<string>()
  const tokens = new Map<string, TokenNeed>()

  for (const { env, envFrom } of [...allContainers(pod), ...pod.spec.ephemeralContainers ?? []]) {
    for (const { configMapRef, secretRef } of envFrom ?? []) {
      configMaps.add(configMapRef?.name ?? "")
      secrets.add(secretRef?.name ?? "")
    }
    for (const { valueFrom } of env ?? []) {
      configMaps.add(valueFrom?.configMapKeyRef?.name ?? "")
      secrets.add(valueFrom?.secretKeyRef?.name ?? "")
    }
  }
  for (const volume of pod.spec.volumes ?? []) {
    configMaps.add(volume.configMap?.name ?? "")
    secrets.add(volume.secret?.secretName ?? "")
    for (const source of volume.projected?.sources ?? []) {
      configMaps.add(source.configMap?.name ?? "")
      secrets.add(source.secret?.name ?? "")
      if (source.serviceAccountToken !== undefined) {
        const need = tokenNeed(pod, source.serviceAccountToken)
        tokens.set(JSON.stringify(need), need)
      }
    }
  }
  for (const { name } of pod.spec.imagePullSecrets ?? []) secrets.add(name ?? "")
  configMaps.delete("")
  secrets.delete("")
  return { configMaps: [...configMaps], secrets: [...secrets], tokens: [...tokens.values()] }
}

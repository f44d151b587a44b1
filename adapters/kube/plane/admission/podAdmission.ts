/** What admission adds to a new pod: service account, its token volume, priority, default tolerations, QoS class. */
import { Result } from "effect"
import { type ApiFailure, forbidden } from "../object/ApiFailure.ts"
import {
  booleanAt,
  type Json,
  type JsonObject,
  numberAt,
  objectAt,
  objectsAt,
  stringAt,
  withAt,
  withDefaults
} from "../object/json.ts"
import { annotationsOf, type KubeObject, nameOf, namespaceOf } from "../object/KubeObject.ts"
import { suffix } from "../object/Moment.ts"
import type { AdmissionContext } from "../registry/ResourceType.ts"
import { podSpecDefaults, qosClass } from "./podDefaults.ts"

const pods = { group: "", plural: "pods", kind: "Pod" }

export const isMirrorPod = (pod: KubeObject): boolean => annotationsOf(pod)["kubernetes.io/config.mirror"] !== undefined

const tokenMountPath = "/var/run/secrets/kubernetes.io/serviceaccount"
/** Recognisably odd, so that the token signer knows a token that admission asked for. */
export const injectedTokenSeconds = 3607

const apiAccessVolume = (name: string): JsonObject => ({
  name,
  projected: {
    defaultMode: 0o644,
    sources: [
      { serviceAccountToken: { expirationSeconds: injectedTokenSeconds, path: "token" } },
      { configMap: { name: "kube-root-ca.crt", items: [{ key: "ca.crt", path: "ca.crt" }] } },
      {
        downwardAPI: { items: [{ path: "namespace", fieldRef: { apiVersion: "v1", fieldPath: "metadata.namespace" } }] }
      }
    ]
  }
})

const mountInto = (volume: string) => (container: Json): Json => {
  const mounts = objectsAt(container, "volumeMounts")
  if (mounts.some((mount) => stringAt(mount, "mountPath") === tokenMountPath)) return container
  const mount = { name: volume, readOnly: true, mountPath: tokenMountPath }
  return { ...objectAt(container), volumeMounts: [...mounts, mount] }
}

const withToken = (spec: JsonObject, { moment }: AdmissionContext): JsonObject => {
  const existing = objectsAt(spec, "volumes").find((volume) => stringAt(volume, "name")?.startsWith("kube-api-access-"))
  const name = stringAt(existing, "name") ?? `kube-api-access-${suffix(moment)}`
  const containers = objectsAt(spec, "containers").map(mountInto(name))
  const inits = objectsAt(spec, "initContainers").map(mountInto(name))
  const used = [...containers, ...inits].some((container) =>
    objectsAt(container, "volumeMounts").some((mount) => stringAt(mount, "name") === name)
  )
  if (!used) return spec
  return {
    ...spec,
    containers,
    ...(spec["initContainers"] === undefined ? {} : { initContainers: inits }),
    ...(existing === undefined ? { volumes: [...objectsAt(spec, "volumes"), apiAccessVolume(name)] } : {})
  }
}

const withServiceAccount = (
  pod: KubeObject,
  context: AdmissionContext
): Result.Result<KubeObject, ApiFailure> => {
  if (isMirrorPod(pod)) return Result.succeed(pod)
  const spec = objectAt(pod, "spec")
  const account = stringAt(spec, "serviceAccountName") || "default"
  const found = context.store.get("serviceaccounts", namespaceOf(pod), account)?.object
  if (found === undefined) {
    const why = `error looking up service account ${namespaceOf(pod)}/${account}: serviceaccount "${account}" not found`
    return Result.fail(forbidden(pods, nameOf(pod), why))
  }
  const named: JsonObject = { ...spec, serviceAccountName: account, serviceAccount: account }
  const pulling = objectsAt(spec, "imagePullSecrets").length === 0 && objectsAt(found, "imagePullSecrets").length > 0
    ? { ...named, imagePullSecrets: objectsAt(found, "imagePullSecrets") }
    : named
  const wantsToken = booleanAt(spec, "automountServiceAccountToken") ??
    booleanAt(found, "automountServiceAccountToken") ?? true
  return Result.succeed({ ...pod, spec: wantsToken ? withToken(pulling, context) : pulling })
}

const builtinPriorities: Readonly<Record<string, number>> = {
  "system-node-critical": 2000001000,
  "system-cluster-critical": 2000000000
}

const withPriority = (pod: KubeObject, { store }: AdmissionContext): Result.Result<KubeObject, ApiFailure> => {
  const spec = objectAt(pod, "spec")
  const name = stringAt(spec, "priorityClassName")
  let value = 0
  let policy = "PreemptLowerPriority"
  if (name !== undefined && name !== "") {
    const stored = store.get("priorityclasses.scheduling.k8s.io", "", name)?.object
    const found = numberAt(stored, "value") ?? builtinPriorities[name]
    if (found === undefined) {
      return Result.fail(forbidden(pods, nameOf(pod), `no PriorityClass with name ${name} was found`))
    }
    value = found
    policy = stringAt(stored, "preemptionPolicy") ?? policy
  }
  return Result.succeed({ ...pod, spec: { preemptionPolicy: policy, ...spec, priority: value } })
}

const graceTolerations = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"]

/** DefaultTolerationSeconds: 300 s on a node that is not ready or unreachable. */
const withTolerations = (pod: KubeObject): KubeObject => {
  const tolerations = objectsAt(pod, "spec", "tolerations")
  const covered = (key: string) =>
    tolerations.some((toleration) => {
      const effect = stringAt(toleration, "effect") ?? ""
      const own = stringAt(toleration, "key") ?? ""
      return (own === key || own === "") && (effect === "NoExecute" || effect === "")
    })
  const missing = graceTolerations.filter((key) => !covered(key)).map((key) => ({
    key,
    operator: "Exists",
    effect: "NoExecute",
    tolerationSeconds: 300
  }))
  return missing.length === 0 ? pod : withAt(pod, ["spec", "tolerations"], [...tolerations, ...missing])
}

const withOverhead = (pod: KubeObject, { store }: AdmissionContext): Result.Result<KubeObject, ApiFailure> => {
  const name = stringAt(pod, "spec", "runtimeClassName")
  if (name === undefined || name === "") return Result.succeed(pod)
  const runtimeClass = store.get("runtimeclasses.node.k8s.io", "", name)?.object
  if (runtimeClass === undefined) {
    return Result.fail(forbidden(pods, nameOf(pod), `pod rejected: RuntimeClass "${name}" not found`))
  }
  const overhead = objectAt(runtimeClass, "overhead", "podFixed")
  return Result.succeed(Object.keys(overhead).length === 0 ? pod : withAt(pod, ["spec", "overhead"], overhead))
}

export const admitPod = (
  object: KubeObject,
  old: KubeObject | undefined,
  context: AdmissionContext
): Result.Result<KubeObject, ApiFailure> => {
  const spec = withDefaults(podSpecDefaults(objectAt(object, "spec")), { enableServiceLinks: true })
  const pod = { ...object, spec }
  if (old !== undefined) return Result.succeed(pod)
  return withServiceAccount(pod, context).pipe(
    Result.flatMap((admitted) => withPriority(admitted, context)),
    Result.flatMap((admitted) => withOverhead(admitted, context)),
    Result.map((admitted) => {
      const tolerant = withTolerations(admitted)
      // A new pod starts from nothing, whatever status came with it.
      return { ...tolerant, status: { phase: "Pending", qosClass: qosClass(tolerant) } }
    })
  )
}

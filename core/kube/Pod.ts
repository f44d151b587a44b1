/** The Pod as the API serves it: every field that this version acts on or must recognise to refuse. Unknown ones are preserved on decode. */
import { Schema } from "effect"
import type { KubeResource } from "./KubeResource.ts"
import { ObjectMeta, StringMap } from "./ObjectMeta.ts"

const opt = Schema.optionalKey
const Strings = Schema.Array(Schema.String)

export const Quantity = Schema.Union([Schema.String, Schema.Number])
export const ResourceList = Schema.Record(Schema.String, Quantity)
export const ResourceRequirements = Schema.Struct({ limits: opt(ResourceList), requests: opt(ResourceList) })

export const KeySelector = Schema.Struct({
  name: opt(Schema.String),
  key: Schema.String,
  optional: opt(Schema.Boolean)
})
export const ObjectFieldSelector = Schema.Struct({ apiVersion: opt(Schema.String), fieldPath: Schema.String })
export const ResourceFieldSelector = Schema.Struct({
  containerName: opt(Schema.String),
  resource: Schema.String,
  divisor: opt(Quantity)
})
export const EnvVar = Schema.Struct({
  name: Schema.String,
  value: opt(Schema.String),
  valueFrom: opt(Schema.Struct({
    fieldRef: opt(ObjectFieldSelector),
    resourceFieldRef: opt(ResourceFieldSelector),
    configMapKeyRef: opt(KeySelector),
    secretKeyRef: opt(KeySelector)
  }))
})
export const EnvFromSource = Schema.Struct({
  prefix: opt(Schema.String),
  configMapRef: opt(Schema.Struct({ name: opt(Schema.String), optional: opt(Schema.Boolean) })),
  secretRef: opt(Schema.Struct({ name: opt(Schema.String), optional: opt(Schema.Boolean) }))
})
export const VolumeMount = Schema.Struct({
  name: Schema.String,
  mountPath: Schema.String,
  readOnly: opt(Schema.Boolean),
  recursiveReadOnly: opt(Schema.String),
  subPath: opt(Schema.String),
  subPathExpr: opt(Schema.String),
  mountPropagation: opt(Schema.String)
})
export const ContainerPort = Schema.Struct({
  name: opt(Schema.String),
  containerPort: Schema.Number,
  hostPort: opt(Schema.Number),
  hostIP: opt(Schema.String),
  protocol: opt(Schema.String)
})
export const Capabilities = Schema.Struct({ add: opt(Strings), drop: opt(Strings) })
export const SecurityContext = Schema.Struct({
  runAsUser: opt(Schema.Number),
  runAsGroup: opt(Schema.Number),
  runAsNonRoot: opt(Schema.Boolean),
  privileged: opt(Schema.Boolean),
  readOnlyRootFilesystem: opt(Schema.Boolean),
  allowPrivilegeEscalation: opt(Schema.Boolean),
  capabilities: opt(Capabilities)
})
export type SecurityContext = typeof SecurityContext.Type
export const PodSecurityContext = Schema.Struct({
  runAsUser: opt(Schema.Number),
  runAsGroup: opt(Schema.Number),
  runAsNonRoot: opt(Schema.Boolean),
  supplementalGroups: opt(Schema.Array(Schema.Number)),
  fsGroup: opt(Schema.Number),
  sysctls: opt(Schema.Array(Schema.Struct({ name: Schema.String, value: Schema.String })))
})
export const Container = Schema.Struct({
  name: Schema.String,
  image: opt(Schema.String),
  command: opt(Strings),
  args: opt(Strings),
  workingDir: opt(Schema.String),
  ports: opt(Schema.Array(ContainerPort)),
  envFrom: opt(Schema.Array(EnvFromSource)),
  env: opt(Schema.Array(EnvVar)),
  resources: opt(ResourceRequirements),
  volumeMounts: opt(Schema.Array(VolumeMount)),
  imagePullPolicy: opt(Schema.String),
  securityContext: opt(SecurityContext),
  terminationMessagePath: opt(Schema.String),
  terminationMessagePolicy: opt(Schema.String),
  stdin: opt(Schema.Boolean),
  stdinOnce: opt(Schema.Boolean),
  tty: opt(Schema.Boolean)
})
export type Container = typeof Container.Type

export const EphemeralContainer = Schema.Struct({ ...Container.fields, targetContainerName: opt(Schema.String) })

export const KeyToPath = Schema.Struct({ key: Schema.String, path: Schema.String, mode: opt(Schema.Number) })
export const DownwardFile = Schema.Struct({
  path: Schema.String,
  mode: opt(Schema.Number),
  fieldRef: opt(ObjectFieldSelector),
  resourceFieldRef: opt(ResourceFieldSelector)
})
export const VolumeProjection = Schema.Struct({
  configMap: opt(
    Schema.Struct({ name: opt(Schema.String), items: opt(Schema.Array(KeyToPath)), optional: opt(Schema.Boolean) })
  ),
  secret: opt(
    Schema.Struct({ name: opt(Schema.String), items: opt(Schema.Array(KeyToPath)), optional: opt(Schema.Boolean) })
  ),
  downwardAPI: opt(Schema.Struct({ items: opt(Schema.Array(DownwardFile)) })),
  serviceAccountToken: opt(Schema.Struct({
    audience: opt(Schema.String),
    expirationSeconds: opt(Schema.Number),
    path: Schema.String
  }))
})
export const Volume = Schema.Struct({
  name: Schema.String,
  emptyDir: opt(Schema.Struct({ medium: opt(Schema.String), sizeLimit: opt(Quantity) })),
  hostPath: opt(Schema.Struct({ path: Schema.String, type: opt(Schema.String) })),
  configMap: opt(Schema.Struct({
    name: opt(Schema.String),
    items: opt(Schema.Array(KeyToPath)),
    defaultMode: opt(Schema.Number),
    optional: opt(Schema.Boolean)
  })),
  secret: opt(Schema.Struct({
    secretName: opt(Schema.String),
    items: opt(Schema.Array(KeyToPath)),
    defaultMode: opt(Schema.Number),
    optional: opt(Schema.Boolean)
  })),
  downwardAPI: opt(Schema.Struct({ items: opt(Schema.Array(DownwardFile)), defaultMode: opt(Schema.Number) })),
  projected: opt(Schema.Struct({ sources: opt(Schema.Array(VolumeProjection)), defaultMode: opt(Schema.Number) }))
})
export type Volume = typeof Volume.Type

export const Toleration = Schema.Struct({
  key: opt(Schema.String),
  operator: opt(Schema.String),
  value: opt(Schema.String),
  effect: opt(Schema.String),
  tolerationSeconds: opt(Schema.Number)
})
export type Toleration = typeof Toleration.Type

export const PodSpec = Schema.Struct({
  nodeName: opt(Schema.String),
  nodeSelector: opt(StringMap),
  restartPolicy: opt(Schema.String),
  terminationGracePeriodSeconds: opt(Schema.Number),
  activeDeadlineSeconds: opt(Schema.Number),
  serviceAccountName: opt(Schema.String),
  automountServiceAccountToken: opt(Schema.Boolean),
  enableServiceLinks: opt(Schema.Boolean),
  hostname: opt(Schema.String),
  hostnameOverride: opt(Schema.String),
  subdomain: opt(Schema.String),
  setHostnameAsFQDN: opt(Schema.Boolean),
  hostNetwork: opt(Schema.Boolean),
  hostPID: opt(Schema.Boolean),
  hostIPC: opt(Schema.Boolean),
  shareProcessNamespace: opt(Schema.Boolean),
  dnsPolicy: opt(Schema.String),
  dnsConfig: opt(Schema.Struct({
    nameservers: opt(Strings),
    searches: opt(Strings),
    options: opt(Schema.Array(Schema.Struct({ name: opt(Schema.String), value: opt(Schema.String) })))
  })),
  hostAliases: opt(Schema.Array(Schema.Struct({ ip: Schema.String, hostnames: opt(Strings) }))),
  imagePullSecrets: opt(Schema.Array(Schema.Struct({ name: opt(Schema.String) }))),
  securityContext: opt(PodSecurityContext),
  tolerations: opt(Schema.Array(Toleration)),
  volumes: opt(Schema.Array(Volume)),
  initContainers: opt(Schema.Array(Container)),
  containers: Schema.Array(Container),
  ephemeralContainers: opt(Schema.Array(EphemeralContainer))
})
export type PodSpec = typeof PodSpec.Type

const ContainerStateRunning = Schema.Struct({ startedAt: opt(Schema.NullOr(Schema.String)) })
const ContainerStateWaiting = Schema.Struct({ reason: opt(Schema.String), message: opt(Schema.String) })
const ContainerStateTerminated = Schema.Struct({
  exitCode: Schema.Number,
  signal: opt(Schema.Number),
  reason: opt(Schema.String),
  message: opt(Schema.String),
  startedAt: opt(Schema.NullOr(Schema.String)),
  finishedAt: opt(Schema.NullOr(Schema.String)),
  containerID: opt(Schema.String)
})
/** At most one of the three; none means waiting. */
export const ContainerState = Schema.Struct({
  waiting: opt(ContainerStateWaiting),
  running: opt(ContainerStateRunning),
  terminated: opt(ContainerStateTerminated)
})
export type ContainerState = typeof ContainerState.Type

export const ContainerStatus = Schema.Struct({
  name: Schema.String,
  image: Schema.String,
  imageID: Schema.String,
  containerID: opt(Schema.String),
  ready: Schema.Boolean,
  started: opt(Schema.Boolean),
  restartCount: Schema.Number,
  state: opt(ContainerState),
  lastState: opt(ContainerState)
})
export type ContainerStatus = typeof ContainerStatus.Type

export const PodCondition = Schema.Struct({
  type: Schema.String,
  status: Schema.String,
  reason: opt(Schema.String),
  message: opt(Schema.String),
  lastProbeTime: opt(Schema.NullOr(Schema.String)),
  lastTransitionTime: opt(Schema.NullOr(Schema.String)),
  observedGeneration: opt(Schema.Number)
})
export type PodCondition = typeof PodCondition.Type

export const PodPhase = Schema.Literals(["Pending", "Running", "Succeeded", "Failed", "Unknown"])
export type PodPhase = typeof PodPhase.Type

export const PodStatus = Schema.Struct({
  observedGeneration: opt(Schema.Number),
  phase: opt(PodPhase),
  reason: opt(Schema.String),
  message: opt(Schema.String),
  conditions: opt(Schema.Array(PodCondition)),
  hostIP: opt(Schema.String),
  hostIPs: opt(Schema.Array(Schema.Struct({ ip: Schema.String }))),
  podIP: opt(Schema.String),
  podIPs: opt(Schema.Array(Schema.Struct({ ip: Schema.String }))),
  startTime: opt(Schema.NullOr(Schema.String)),
  qosClass: opt(Schema.String),
  initContainerStatuses: opt(Schema.Array(ContainerStatus)),
  containerStatuses: opt(Schema.Array(ContainerStatus)),
  ephemeralContainerStatuses: opt(Schema.Array(ContainerStatus))
})
export type PodStatus = typeof PodStatus.Type

export const Pod = Schema.Struct({
  apiVersion: opt(Schema.String),
  kind: opt(Schema.String),
  metadata: ObjectMeta,
  spec: PodSpec,
  status: opt(PodStatus)
})
export type Pod = typeof Pod.Type

export const Pods: KubeResource<Pod> = {
  group: "",
  version: "v1",
  kind: "Pod",
  plural: "pods",
  namespaced: true,
  schema: Pod
}

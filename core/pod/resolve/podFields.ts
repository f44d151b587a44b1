/**
 * Every field of a Kubernetes 1.36 Pod spec and what becomes of it on a device. It is an allow list: a field that does not stand
 * here is refused by name, so that nothing a user asks for is dropped in silence.
 */

/**
 * `used`: acted upon. `ignored`: not the node's to act upon (scheduling, admission), or of no effect here.
 * `refused`: not offered; `unless` names the values that ask for nothing (API defaults among them).
 */
export type Treatment =
  | { readonly kind: "used" | "ignored"; readonly inner?: Fields; readonly each?: Fields }
  | {
    readonly kind: "refused"
    readonly remedy: string
    readonly reason?: "PodLevelResourcesNotSupported" | "SupplementalGroupsPolicyNotSupported" | "PodOSNotSupported"
    readonly unless?: (value: unknown) => boolean
  }

export type Fields = { readonly [field: string]: Treatment }

const used: Treatment = { kind: "used" }
const ignored: Treatment = { kind: "ignored" }
/** An object whose fields are judged too. */
const object = (inner: Fields): Treatment => ({ kind: "used", inner })
/** A list of objects whose fields are judged too. */
const list = (each: Fields): Treatment => ({ kind: "used", each })
const refused = (remedy: string, unless?: (value: unknown) => boolean): Treatment => ({
  kind: "refused",
  remedy,
  ...(unless === undefined ? {} : { unless })
})
const oneOf = (...values: ReadonlyArray<unknown>) => (value: unknown) => values.includes(value)
const typed = (...types: ReadonlyArray<string>) => (value: unknown) =>
  typeof value === "object" && value !== null && "type" in value && types.includes(String(value.type))

const remove = "remove it"

const securityContext: Fields = {
  runAsUser: used,
  runAsGroup: used,
  runAsNonRoot: used,
  privileged: used,
  readOnlyRootFilesystem: used,
  allowPrivilegeEscalation: used,
  capabilities: object({ add: used, drop: used }),
  procMount: refused("only Default is offered", oneOf("Default")),
  seccompProfile: refused("only RuntimeDefault is offered", typed("RuntimeDefault")),
  appArmorProfile: refused("only RuntimeDefault is offered", typed("RuntimeDefault")),
  seLinuxOptions: refused(remove),
  windowsOptions: refused(remove)
}

const resources: Fields = {
  limits: used,
  requests: used,
  claims: refused("device claims are not offered, so remove it")
}

const probe = "probes are not run on devices yet, so remove it"

const container: Fields = {
  name: used,
  image: used,
  command: used,
  args: used,
  workingDir: used,
  ports: list({ name: ignored, containerPort: used, hostPort: used, hostIP: used, protocol: used }),
  envFrom: list({
    prefix: used,
    configMapRef: object({ name: used, optional: used }),
    secretRef: object({ name: used, optional: used })
  }),
  env: list({
    name: used,
    value: used,
    valueFrom: object({
      fieldRef: object({ apiVersion: ignored, fieldPath: used }),
      resourceFieldRef: object({ containerName: used, resource: used, divisor: used }),
      configMapKeyRef: object({ name: used, key: used, optional: used }),
      secretKeyRef: object({ name: used, key: used, optional: used }),
      fileKeyRef: refused("take the value from a ConfigMap or Secret")
    })
  }),
  resources: object(resources),
  resizePolicy: refused(
    "only NotRequired is offered",
    (value) =>
      Array.isArray(value) &&
      value.every((policy) => typeof policy === "object" && policy !== null && policy.restartPolicy === "NotRequired")
  ),
  restartPolicy: refused("containers follow the pod's restartPolicy, and sidecars are not offered yet"),
  restartPolicyRules: refused("containers follow the pod's restartPolicy"),
  volumeMounts: list({
    name: used,
    mountPath: used,
    readOnly: used,
    subPath: used,
    subPathExpr: used,
    recursiveReadOnly: refused("only Disabled and IfPossible are offered", oneOf("Disabled", "IfPossible")),
    mountPropagation: refused("only None is offered", oneOf("None"))
  }),
  volumeDevices: refused("block devices are not offered, so remove it"),
  livenessProbe: refused(probe),
  readinessProbe: refused(probe),
  startupProbe: refused(probe),
  lifecycle: refused("hooks and stop signals are not offered yet, so remove it"),
  terminationMessagePath: used,
  terminationMessagePolicy: used,
  imagePullPolicy: used,
  securityContext: object(securityContext),
  stdin: used,
  stdinOnce: used,
  tty: used
}

/** Judged one by one: a pod that runs is not refused for what was added to it. */
export const ephemeralContainerFields: Fields = { ...container, targetContainerName: used }

const items: Treatment = list({ key: used, path: used, mode: used })
const downwardItems: Treatment = list({
  path: used,
  mode: used,
  fieldRef: object({ apiVersion: ignored, fieldPath: used }),
  resourceFieldRef: object({ containerName: used, resource: used, divisor: used })
})
const noStorage = "use a configMap, secret, downwardAPI, projected, emptyDir or hostPath volume"

const volume: Fields = {
  name: used,
  configMap: object({ name: used, items, defaultMode: used, optional: used }),
  secret: object({ secretName: used, items, defaultMode: used, optional: used }),
  downwardAPI: object({ items: downwardItems, defaultMode: used }),
  projected: object({
    defaultMode: used,
    sources: list({
      configMap: object({ name: used, items, optional: used }),
      secret: object({ name: used, items, optional: used }),
      downwardAPI: object({ items: downwardItems }),
      serviceAccountToken: object({ audience: used, expirationSeconds: used, path: used }),
      clusterTrustBundle: refused(remove),
      podCertificate: refused(remove)
    })
  }),
  emptyDir: object({
    medium: refused("only the default medium and Memory are offered", oneOf("", "Memory")),
    sizeLimit: used
  }),
  hostPath: object({ path: used, type: used }),
  ...Object.fromEntries(
    [
      "awsElasticBlockStore",
      "azureDisk",
      "azureFile",
      "cephfs",
      "cinder",
      "csi",
      "ephemeral",
      "fc",
      "flexVolume",
      "flocker",
      "gcePersistentDisk",
      "gitRepo",
      "glusterfs",
      "image",
      "iscsi",
      "nfs",
      "persistentVolumeClaim",
      "photonPersistentDisk",
      "portworxVolume",
      "quobyte",
      "rbd",
      "scaleIO",
      "storageos",
      "vsphereVolume"
    ].map((kind) => [kind, refused(noStorage)])
  )
}

export const podSpecFields: Fields = {
  containers: list(container),
  initContainers: list(container),
  volumes: list(volume),
  ephemeralContainers: used,
  restartPolicy: used,
  terminationGracePeriodSeconds: used,
  activeDeadlineSeconds: used,
  serviceAccountName: used,
  enableServiceLinks: used,
  hostname: used,
  hostnameOverride: used,
  subdomain: used,
  setHostnameAsFQDN: used,
  hostNetwork: used,
  hostPID: used,
  hostIPC: used,
  shareProcessNamespace: used,
  hostAliases: list({ ip: used, hostnames: used }),
  dnsPolicy: used,
  dnsConfig: object({ nameservers: used, searches: used, options: list({ name: used, value: used }) }),
  imagePullSecrets: list({ name: used }),
  nodeName: used,
  securityContext: object({
    runAsUser: used,
    runAsGroup: used,
    runAsNonRoot: used,
    supplementalGroups: used,
    supplementalGroupsPolicy: {
      kind: "refused",
      remedy: "only Merge is offered",
      reason: "SupplementalGroupsPolicyNotSupported",
      unless: oneOf("Merge")
    },
    fsGroup: used,
    // The volumes offered are small or empty: both policies come to the same.
    fsGroupChangePolicy: ignored,
    sysctls: list({ name: used, value: used }),
    seccompProfile: refused("only RuntimeDefault is offered", typed("RuntimeDefault")),
    appArmorProfile: refused("only RuntimeDefault is offered", typed("RuntimeDefault")),
    seLinuxOptions: refused(remove),
    // Says how labels given by seLinuxOptions are applied; those are refused.
    seLinuxChangePolicy: ignored,
    windowsOptions: refused(remove)
  }),

  // Judged by the scheduler, by admission or by controllers before the pod came here.
  affinity: ignored,
  automountServiceAccountToken: ignored,
  nodeSelector: ignored,
  preemptionPolicy: ignored,
  priority: ignored,
  priorityClassName: ignored,
  schedulerName: ignored,
  schedulingGates: ignored,
  schedulingGroup: ignored,
  serviceAccount: ignored,
  tolerations: ignored,
  topologySpreadConstraints: ignored,
  workloadRef: ignored,
  // Checked against the device's operating system when the pod is resolved.
  os: object({ name: used }),

  hostUsers: refused("user namespaces are not offered", oneOf(true)),
  overhead: refused("there are no runtime classes on devices"),
  readinessGates: refused("conditions of others do not count on devices yet, so remove them"),
  resourceClaims: refused("device claims are not offered, so remove them"),
  resources: {
    kind: "refused",
    remedy: "set them on the containers",
    reason: "PodLevelResourcesNotSupported"
  },
  runtimeClassName: refused("there are no runtime classes on devices, so remove it")
}

/**
 * What a device is told to run: one pod, fully resolved, holding nothing the device must ask the cluster for.
 * Values that only the device knows stay placeholders (`EnvValue`, `FileContent`) and are expanded there when a container is created.
 */
import { Schema } from "effect"

const opt = Schema.optionalKey
const Strings = Schema.Array(Schema.String)
const Map = Schema.Record(Schema.String, Schema.String)

/** What only the device can know. */
export const DeviceField = Schema.Literals(["podIP", "podIPs", "hostIP", "hostIPs"])
export type DeviceField = typeof DeviceField.Type

/** A text made of literal pieces and device fields, joined; `["10.", { field: "podIP" }]`. */
export const DeviceText = Schema.Array(Schema.Union([Schema.String, Schema.Struct({ field: DeviceField })]))
export type DeviceText = typeof DeviceText.Type

export const EnvEntry = Schema.Struct({ name: Schema.String, value: DeviceText })
export type EnvEntry = typeof EnvEntry.Type

export const Mount = Schema.Struct({
  /** Name of an entry of `volumes`. */
  volume: Schema.String,
  mountPath: Schema.String,
  /** Relative, without `..`; empty for the whole volume. Already expanded. */
  subPath: Schema.String,
  readOnly: Schema.Boolean
})
export type Mount = typeof Mount.Type

/** One file of a materialised volume. */
export const VolumeFile = Schema.Struct({
  /** Relative path below the volume, without `..`. */
  path: Schema.String,
  mode: Schema.Number,
  content: Schema.Uint8Array,
  /** A ServiceAccount token: its content is outside the content hash and is replaced by rotation. */
  token: opt(Schema.Boolean)
})
export type VolumeFile = typeof VolumeFile.Type

export const AssignedVolume = Schema.Union([
  Schema.TaggedStruct("Files", {
    name: Schema.String,
    files: Schema.Array(VolumeFile),
    /** Holds content of a Secret or a token: sealed in the journal, kept in memory-backed storage where the host has it. */
    secret: Schema.Boolean
  }),
  Schema.TaggedStruct("EmptyDir", {
    name: Schema.String,
    medium: Schema.Literals(["", "Memory"]),
    /** Bytes. */
    sizeLimit: opt(Schema.Number)
  }),
  Schema.TaggedStruct("HostPath", {
    name: Schema.String,
    path: Schema.String,
    type: Schema.Literals([
      "",
      "DirectoryOrCreate",
      "Directory",
      "FileOrCreate",
      "File",
      "Socket",
      "CharDevice",
      "BlockDevice"
    ])
  })
])
export type AssignedVolume = typeof AssignedVolume.Type

export const RegistryCredential = Schema.Struct({
  /** Registry host with optional path, as matched against the image: longest first. */
  registry: Schema.String,
  username: Schema.String,
  password: Schema.String,
  identityToken: opt(Schema.String)
})
export type RegistryCredential = typeof RegistryCredential.Type

/** Pod and container settings already merged: what the container shall have. */
export const ContainerSecurity = Schema.Struct({
  runAsUser: opt(Schema.Number),
  runAsGroup: opt(Schema.Number),
  runAsNonRoot: Schema.Boolean,
  supplementalGroups: Schema.Array(Schema.Number),
  privileged: Schema.Boolean,
  readOnlyRootFilesystem: Schema.Boolean,
  allowPrivilegeEscalation: Schema.Boolean,
  addCapabilities: Strings,
  dropCapabilities: Strings
})
export type ContainerSecurity = typeof ContainerSecurity.Type

export const AssignedContainer = Schema.Struct({
  name: Schema.String,
  image: Schema.String,
  imagePullPolicy: Schema.Literals(["Always", "IfNotPresent", "Never"]),
  /** Replaces the image's entrypoint unless empty. */
  command: Schema.Array(DeviceText),
  /** Replaces the image's cmd unless empty. */
  args: Schema.Array(DeviceText),
  workingDir: Schema.String,
  env: Schema.Array(EnvEntry),
  mounts: Schema.Array(Mount),
  ports: Schema.Array(Schema.Struct({
    containerPort: Schema.Number,
    hostPort: Schema.Number,
    hostIP: Schema.String,
    protocol: Schema.Literals(["TCP", "UDP", "SCTP"])
  })),
  resources: Schema.Struct({
    /** Thousandths of a core; 0 is none given. */
    cpuRequest: Schema.Number,
    cpuLimit: Schema.Number,
    /** Bytes; 0 is none given. */
    memoryRequest: Schema.Number,
    memoryLimit: Schema.Number
  }),
  security: ContainerSecurity,
  terminationMessagePath: Schema.String,
  terminationMessagePolicy: Schema.Literals(["File", "FallbackToLogsOnError"]),
  stdin: Schema.Boolean,
  stdinOnce: Schema.Boolean,
  tty: Schema.Boolean,
  /**
   * Hash of this container's API spec (image included), never of resolved env or data: a running container is adopted
   * while it is equal (design: adoption rule).
   */
  specHash: Schema.String
})
export type AssignedContainer = typeof AssignedContainer.Type

/** Added to a pod that is there already, to look into it: it starts once and never again, and the pod does not depend on it. */
export const AssignedEphemeralContainer = Schema.Struct({
  ...AssignedContainer.fields,
  /** The container whose processes it shall see; empty for none. */
  targetContainer: Schema.String
})
export type AssignedEphemeralContainer = typeof AssignedEphemeralContainer.Type

export const PodAssignment = Schema.Struct({
  uid: Schema.String,
  namespace: Schema.String,
  name: Schema.String,
  /** Content hash over everything but tokens: what the digest exchange compares. Hex. */
  hash: Schema.String,
  /** `metadata.generation` it was resolved from, echoed in status.observedGeneration. */
  generation: Schema.Number,
  labels: Map,
  annotations: Map,
  restartPolicy: Schema.Literals(["Always", "OnFailure", "Never"]),
  /** Seconds. */
  terminationGracePeriodSeconds: Schema.Number,
  /** Seconds since the pod started on the device. */
  activeDeadlineSeconds: opt(Schema.Number),
  qosClass: Schema.Literals(["Guaranteed", "Burstable", "BestEffort"]),
  hostname: Schema.String,
  /** `sub.ns.svc.domain`, empty when the pod has none. */
  hostDomain: Schema.String,
  hostNetwork: Schema.Boolean,
  hostPID: Schema.Boolean,
  hostIPC: Schema.Boolean,
  shareProcessNamespace: Schema.Boolean,
  fsGroup: opt(Schema.Number),
  sysctls: Map,
  dns: Schema.Struct({
    /** Whether the device's own resolv.conf comes first (policy Default and fallbacks). */
    inheritHost: Schema.Boolean,
    nameservers: Strings,
    searches: Strings,
    options: Strings
  }),
  hostAliases: Schema.Array(Schema.Struct({ ip: Schema.String, hostnames: Strings })),
  pullCredentials: Schema.Array(RegistryCredential),
  volumes: Schema.Array(AssignedVolume),
  initContainers: Schema.Array(AssignedContainer),
  containers: Schema.Array(AssignedContainer),
  ephemeralContainers: Schema.Array(AssignedEphemeralContainer)
})
export type PodAssignment = typeof PodAssignment.Type

/** Containers of every kind; no two have the same name. */
export const assignedContainers = (
  { containers, ephemeralContainers, initContainers }: PodAssignment
): ReadonlyArray<AssignedContainer> => [...initContainers, ...containers, ...ephemeralContainers]

/** What becomes of a pod when it is resolved, and what resolving needs. */
import { Data } from "effect"
import type { ConfigMap, Secret, Service } from "../../kube/kinds.ts"
import type { PodAssignment } from "../PodAssignment.ts"

/** An Event to be recorded about the pod, once for as long as it stays the same. */
export interface Notice {
  readonly type: "Normal" | "Warning"
  readonly reason: string
  readonly message: string
  /** `spec.containers{name}` or empty for the pod. */
  readonly fieldPath: string
}

/** A ServiceAccount token that a pod's volume asks for. */
export interface TokenNeed {
  readonly serviceAccount: string
  /** Empty for the audience of the API server. */
  readonly audience: string
  readonly expirationSeconds: number
}

/** Where such a token stands in the assignment, for rotation. */
export interface TokenFile {
  readonly volume: string
  readonly path: string
  readonly mode: number
  readonly need: TokenNeed
}

/** The token's text; why it could not be had; or undefined while it is being asked for. */
export type TokenAnswer = { readonly token: string } | { readonly failed: string } | undefined

/** The objects a pod refers to, as they are now; undefined is absent from the cluster. All in the pod's namespace. */
export interface Sources {
  /** Of which the API server tells nothing, such as `secret "login"`: whether they are there is not known. */
  readonly unknown: ReadonlyArray<string>
  readonly configMap: (name: string) => ConfigMap | undefined
  readonly secret: (name: string) => Secret | undefined
  readonly token: (need: TokenNeed) => TokenAnswer
  /** Those of the pod's namespace, and `default/kubernetes`. */
  readonly services: ReadonlyArray<Service>
}

/** What device and cluster add to each pod. */
export interface ResolveSettings {
  readonly nodeName: string
  /** GOOS word of the device, `linux` before it has told. */
  readonly operatingSystem: string
  readonly allowServiceAccountTokens: boolean
  /** Such as `cluster.local`. */
  readonly clusterDomain: string
  /** Name servers of the cluster that devices can reach; most often none. */
  readonly clusterDns: ReadonlyArray<string>
  /** `spec.pod.dns` of the EdgeDevice. */
  readonly dns: {
    readonly servers: ReadonlyArray<string>
    readonly searches: ReadonlyArray<string>
    readonly options: ReadonlyArray<string>
  }
  /** What a container without limits may use: allocatable of the Node. */
  readonly allocatable: {
    readonly cpuMillis: number
    readonly memoryBytes: number
    readonly storageBytes: number
  }
}

export type Resolution =
  | {
    readonly _tag: "Assigned"
    readonly assignment: PodAssignment
    readonly tokens: ReadonlyArray<TokenFile>
    readonly notices: ReadonlyArray<Notice>
  }
  /**
   * Something it refers to is missing. A pod that is on the device already keeps its last assignment meanwhile.
   * `container` is the one that waits; without it all do.
   */
  | {
    readonly _tag: "Waiting"
    readonly reason: WaitingReason
    readonly message: string
    readonly container?: string | undefined
    readonly notices: ReadonlyArray<Notice>
  }
  /** The device cannot give what it asks for: phase Failed with this reason, as a kubelet's admission does. */
  | {
    readonly _tag: "Refused"
    readonly reason: RefusedReason
    readonly message: string
    readonly notices: ReadonlyArray<Notice>
  }

export type WaitingReason = "ContainerCreating" | "CreateContainerConfigError"

/** The kubelet's own words where it has one. */
export type RefusedReason =
  | "PodFeatureUnsupported"
  | "PodLevelResourcesNotSupported"
  | "PodOSNotSupported"
  | "SupplementalGroupsPolicyNotSupported"
  | "SysctlForbidden"

/** Stops resolving: the pod has to wait. */
export class NotYet extends Data.TaggedError("NotYet")<{
  readonly reason: WaitingReason
  readonly message: string
  readonly container?: string | undefined
  readonly notice?: Notice | undefined
}> {}

/** A container cannot be configured as things are. */
export const containerNotYet = (container: string, fieldPath: string, message: string): NotYet =>
  new NotYet({
    reason: "CreateContainerConfigError",
    message,
    container,
    notice: { type: "Warning", reason: "Failed", message: `Error: ${message}`, fieldPath }
  })

/** A volume cannot be filled as things are. */
export const volumeNotYet = (volume: string, message: string): NotYet =>
  new NotYet({
    reason: "ContainerCreating",
    message: `MountVolume.SetUp failed for volume "${volume}" : ${message}`,
    notice: {
      type: "Warning",
      reason: "FailedMount",
      message: `MountVolume.SetUp failed for volume "${volume}" : ${message}`,
      fieldPath: ""
    }
  })

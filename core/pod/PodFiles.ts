/** The port to the part of the device's disk that holds pods' volumes and small files. */
import { Context, type Effect, Schema } from "effect"
import type { AssignedVolume, VolumeFile } from "./PodAssignment.ts"

/** `Unsafe`: a path leads out of its volume. `WrongType`: a host path is not what it should be. `Failed`: the disk said no. */
export class FilesError extends Schema.TaggedError<FilesError>()("FilesError", {
  reason: Schema.Literals(["Unsafe", "WrongType", "Failed"]),
  detail: Schema.String
}) {
  override get message() {
    return this.detail
  }
}

/** Where something is mounted below a volume. */
export interface MountPoint {
  /** Relative. */
  readonly path: string
  readonly kind: "directory" | "file"
}

export class PodFiles extends Context.Service<PodFiles, {
  /**
   * Makes a volume ready and returns its path on the host. Files are written as the kubelet's atomic writer does
   * (dated directory, `..data` link swapped by rename), so a repeat with other content changes what running containers see at once.
   * Containers cannot write to them: `mountPoints` are made for what is mounted there.
   */
  readonly volume: (
    uid: string,
    volume: AssignedVolume,
    options: { readonly fsGroup?: number | undefined; readonly mountPoints?: ReadonlyArray<MountPoint> }
  ) => Effect.Effect<string, FilesError>
  /**
   * The host path for `subPath` below a volume's path: made if absent, never followed out of it. `mount` names the one mount of
   * the pod it is for: its path stays the same, and what containers do to the volume afterwards does not change what is there.
   */
  readonly subPath: (
    uid: string,
    mount: string,
    volumePath: string,
    subPath: string
  ) => Effect.Effect<string, FilesError>
  /** Writes a small file of the pod (etc-hosts, resolv.conf, termination logs) and returns its path. */
  readonly write: (
    uid: string,
    name: string,
    content: Uint8Array,
    mode: number
  ) => Effect.Effect<string, FilesError>
  /** The device's own /etc/hosts, for pods on its network that add to it; empty where it has none. */
  readonly hostsFile: Effect.Effect<string, FilesError>
  /** How the device itself finds names, in the words of /etc/resolv.conf, for pods that add to it; empty where it does not. */
  readonly resolvConf: Effect.Effect<string, FilesError>
  /** At most `limit` bytes from the end of a small file of the pod; empty when absent. */
  readonly readTail: (uid: string, name: string, limit: number) => Effect.Effect<Uint8Array, FilesError>
  /** Replaces one file inside a materialised volume (a rotated token). */
  readonly replace: (uid: string, volume: string, files: ReadonlyArray<VolumeFile>) => Effect.Effect<void, FilesError>
  /** Removes everything of the pod, secrets overwritten first where that means something. Absent is success. */
  readonly remove: (uid: string) => Effect.Effect<void, FilesError>
  /** Pods that have anything here. */
  readonly pods: Effect.Effect<ReadonlyArray<string>, FilesError>
}>()("aranya/pod/PodFiles") {}

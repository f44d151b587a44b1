/** What the owner of the device allows plain processes to do; the `runtime.process` part of the agent's configuration. */
export interface ProcessOptions {
  /** `runtime.process.enabled`. */
  readonly enabled: boolean
  /** Holds a folder for each container, made with mode 0700. No `:`, `,` or backslash: it becomes part of mount options. */
  readonly dataDir: string
  /** `runtime.process.allowRoot`: pods may run as any user, root included; root unless they say otherwise. */
  readonly allowRoot: boolean
  /** `runtime.process.firstUid` and `.uids`: without `allowRoot` each pod gets a user of its own out of these; last one included. */
  readonly uidRange: { readonly first: number; readonly last: number }
  /** `runtime.process.images`: image name to the absolute path of a root filesystem, a directory or a tar archive. */
  readonly images: Readonly<Record<string, string>>
  /** Only tests say otherwise than the kernel. */
  readonly bootId?: string
  /** Where control groups are mounted; `/sys/fs/cgroup` unless told. */
  readonly cgroupRoot?: string
}

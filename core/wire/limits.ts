/** How large each message may be, and how many of anything it may hold: checked before decoding and before sending. */

/** Bytes. An assignment carries whole ConfigMaps and Secrets (1 MiB each in the API), everything else is small. */
export const limits = {
  /** Fits the receive pool of an agent's link (8 MiB) beside other traffic. */
  command: 6 * 1024 * 1024,
  event: 256 * 1024,
  reply: 256 * 1024,
  opening: 256 * 1024,
  /** The payload of one piece of standard input or output. */
  process: 1024 * 1024,
  /** Containers, volumes, conditions of one pod. */
  parts: 1024,
  /** Entries of one map or list of texts. */
  entries: 16_384
} as const

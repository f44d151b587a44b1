/** How large each message may be, and how many of anything it may hold: checked before decoding and before sending. */

/** Bytes. An assignment carries whole ConfigMaps and Secrets (1 MiB each in the API), everything else is small. */
export const limits = {
  /** What an agent's link takes as one message, half of its receive pool, less the 32 bytes that it counts beside each. */
  command: 4 * 1024 * 1024 - 32,
  /** In a journal: a command's, with the ephemeral containers that came before it. */
  assignment: 6 * 1024 * 1024,
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

/** Where the docker engine is and how patient to be with it. */
import type { Duration } from "effect"

export interface DockerOptions {
  /** The engine's unix socket. */
  readonly socketPath: string
  /** Labels what this device owns on an engine that several devices may share. */
  readonly device: string
  /** Holds a pod's namespaces; pulled when absent. */
  readonly pauseImage: string
  /** For the answer to any call that is not a stream; a stop has its grace on top. */
  readonly requestTimeout: Duration.Duration
  /** A pull that shows no progress for that long is given up. */
  readonly pullIdleTimeout: Duration.Duration
  readonly pullTimeout: Duration.Duration
  /** Rotation of each container's log: bytes per file, files. */
  readonly logFileBytes: number
  readonly logFiles: number
  /** What runs `runDialProgram`; without it pods are reached at their addresses alone. */
  readonly dialProgram?: ReadonlyArray<string>
  /** Lower scores are raised to this one: an engine without CAP_SYS_RESOURCE can start nothing below 0. */
  readonly leastOomScoreAdj: number
}

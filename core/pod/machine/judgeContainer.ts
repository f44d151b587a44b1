/** The adoption rule: what the journal and the runtime together say about the newest attempt of a container. */
import type { Container } from "../ContainerRuntime.ts"
import type { ContainerRecord } from "./PodState.ts"

/**
 * `Absent`: it is still to be created. `Created`: it exists and was never started. `Unsettled`: a start was begun and has left no
 * trace yet. `Running`. `Exited`: this is the attempt's real result. `Vanished`: it may have run and nobody knows how that
 * ended. `Ended`: the journal has the result. What is left in `stray` must not run and is to be stopped.
 */
export type Verdict =
  | { readonly _tag: "Absent" }
  | { readonly _tag: "Created"; readonly container: Container }
  | { readonly _tag: "Unsettled"; readonly container: Container }
  | { readonly _tag: "Running"; readonly container: Container }
  | { readonly _tag: "Exited"; readonly container: Container }
  | { readonly _tag: "Vanished"; readonly stray?: Container }
  | { readonly _tag: "Ended"; readonly stray?: Container }

const mayRun = (container: Container): boolean => container.state === "running" || container.state === "unknown"

export const judgeContainer = (
  record: ContainerRecord,
  /** The container of that attempt, if the runtime has one. */
  container: Container | undefined,
  bootId: string
): Verdict => {
  const stray = container !== undefined && mayRun(container) ? { stray: container } : {}
  if (record.step === "Ended") return { _tag: "Ended", ...stray }
  if (record.step === "Creating") {
    if (container === undefined) return { _tag: "Absent" }
    if (container.startedAt === undefined && container.state === "created") return { _tag: "Created", container }
    // Somebody else started it: from here on it is as if we had.
  }
  if (container?.state === "exited") return { _tag: "Exited", container }
  // After a reboot nothing of ours can be running: what claims to was started by somebody else.
  if (record.step === "Starting" && record.bootId !== bootId) return { _tag: "Vanished", ...stray }
  if (container === undefined) return { _tag: "Vanished" }
  if (container.state === "running") return { _tag: "Running", container }
  return { _tag: "Unsettled", container }
}

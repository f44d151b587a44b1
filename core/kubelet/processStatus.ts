/** What the error stream of exec and attach says in the end: a `v1.Status`, as remote command protocol v4 has it. */
import type { ProcessOutcome } from "./RemoteClient.ts"

const status = { kind: "Status", apiVersion: "v1", metadata: {} }

const failureWords = (outcome: ProcessOutcome): string =>
  outcome._tag === "Failed" ? outcome.detail : `command terminated with non-zero exit code: exit status ${outcome.code}`

/** JSON; clients read the exit code from the cause. */
export const processStatus = (outcome: ProcessOutcome): string => {
  if (outcome._tag === "Failed") {
    return JSON.stringify({
      ...status,
      status: "Failure",
      reason: "InternalError",
      code: 500,
      message: outcome.detail,
      details: { causes: [{ message: outcome.detail }] }
    })
  }
  if (outcome.code === 0) return JSON.stringify({ ...status, status: "Success" })
  return JSON.stringify({
    ...status,
    status: "Failure",
    reason: "NonZeroExitCode",
    message: failureWords(outcome),
    details: { causes: [{ reason: "ExitCode", message: String(outcome.code) }] }
  })
}

/** The same for clients of protocols before v4: words where it failed, nothing where it did not. */
export const plainStatus = (outcome: ProcessOutcome): string =>
  outcome._tag === "Exited" && outcome.code === 0 ? "" : failureWords(outcome)

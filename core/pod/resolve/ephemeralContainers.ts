/** Ephemeral containers, each by itself: one that cannot be had is left out and told of, and the pod goes on. */
import { Effect, Result } from "effect"
import type { Pod } from "../../kube/Pod.ts"
import type { Cryptography } from "../../link/Cryptography.ts"
import type { AssignedEphemeralContainer } from "../PodAssignment.ts"
import type { Allowance } from "./Allowance.ts"
import { resolveContainer } from "./containers.ts"
import type { Notice, ResolveSettings, Sources } from "./Resolution.ts"
import { unsupportedInEphemeral } from "./unsupported.ts"

export const resolveEphemeralContainers = Effect.fnUntraced(function*(
  pod: Pod,
  sources: Sources,
  settings: ResolveSettings
): Effect.fn.Return<
  { readonly containers: ReadonlyArray<AssignedEphemeralContainer>; readonly notices: ReadonlyArray<Notice> },
  never,
  Allowance | Cryptography
> {
  const containers: Array<AssignedEphemeralContainer> = []
  const notices: Array<Notice> = []
  for (const [index, container] of (pod.spec.ephemeralContainers ?? []).entries()) {
    const { targetContainerName = "", ...plain } = container
    const fieldPath = `spec.ephemeralContainers{${container.name}}`
    const unsupported = unsupportedInEphemeral(container, `spec.ephemeralContainers[${index}]`)
    if (unsupported.length > 0) {
      const message = unsupported.map(({ sentence }) => sentence).join(" ")
      notices.push({ type: "Warning", reason: "PodFeatureUnsupported", message, fieldPath })
      continue
    }
    const resolved = yield* Effect.result(resolveContainer(pod, plain, fieldPath, sources, settings))
    if (Result.isSuccess(resolved)) {
      containers.push({ ...resolved.success, targetContainer: targetContainerName })
      continue
    }
    const { message, notice } = resolved.failure
    notices.push(notice ?? { type: "Warning", reason: "Failed", message: `Error: ${message}`, fieldPath })
  }
  return { containers, notices }
})

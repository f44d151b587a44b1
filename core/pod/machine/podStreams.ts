/** Logs, exec, attach and port-forward: finds the container or sandbox that is meant now. */
import { Clock, Effect, Result, Stream } from "effect"
import type { ContainerRuntime, RuntimeError } from "../ContainerRuntime.ts"
import { assignedContainers } from "../PodAssignment.ts"
import { type PodLogQuery, type PodRuntime, PodStreamError } from "../PodRuntime.ts"
import { limited, withTimes } from "./logBytes.ts"
import { logTarget } from "./logTarget.ts"
import type { PodState } from "./PodState.ts"
import type { PodStore } from "./PodStore.ts"

const refuse = (reason: PodStreamError["reason"], detail: string) => Effect.fail(new PodStreamError({ reason, detail }))

const stateFor = (store: PodStore, uid: string): Effect.Effect<PodState, PodStreamError> => {
  const state = store.get(uid)
  return state === undefined ? refuse("NotFound", `pod "${uid}" does not exist`) : Effect.succeed(state)
}

/** The id of the attempt that runs, as far as the journal knows; the engine has the last word. */
const runningId = Effect.fnUntraced(function*(store: PodStore, uid: string, container: string) {
  const state = yield* stateFor(store, uid)
  const record = state.containers.get(container)
  return record?.step === "Starting" && record.containerId !== ""
    ? record.containerId
    : yield* refuse("NotFound", `container not found ("${container}")`)
})

const sinceOf = (query: PodLogQuery, now: number): number | undefined =>
  query.sinceTime ?? (query.sinceSeconds === undefined ? undefined : now - query.sinceSeconds * 1000)

export const podStreams = (
  runtime: ContainerRuntime["Service"],
  store: PodStore
): Pick<PodRuntime["Service"], "logs" | "exec" | "attach" | "dial"> => {
  const logs = Effect.fnUntraced(function*(uid: string, query: PodLogQuery) {
    const { assignment, pod } = yield* stateFor(store, uid)
    const { container } = query
    if (!assignedContainers(assignment).some(({ name }) => name === container)) {
      return yield* refuse("NotFound", `container "${container}" not found in pod "${assignment.name}"`)
    }
    const statuses = [
      ...(pod.report?.status.initContainerStatuses ?? []),
      ...(pod.report?.status.containerStatuses ?? []),
      ...(pod.report?.status.ephemeralContainerStatuses ?? [])
    ]
    const status = statuses.find(({ name }) => name === container)
    const id = yield* Result.match(logTarget(assignment.name, container, status, query.previous), {
      onFailure: (error) => Effect.fail(error),
      onSuccess: (found) => Effect.succeed(found)
    })
    const since = sinceOf(query, yield* Clock.currentTimeMillis)
    const chunks = runtime.logs(id, {
      follow: query.follow,
      ...(since === undefined ? {} : { since }),
      ...(query.tailLines === undefined ? {} : { tail: query.tailLines })
    })
    const shown = query.timestamps ? withTimes(chunks) : Stream.map(chunks, ({ bytes }) => bytes)
    // First nothing, which says that there is a log: the first line may be hours away.
    return Stream.concat(
      Stream.succeed(new Uint8Array()),
      query.limitBytes === undefined ? shown : limited(shown, query.limitBytes)
    )
  })

  return {
    logs: (uid, query): Stream.Stream<Uint8Array, PodStreamError | RuntimeError> => Stream.unwrap(logs(uid, query)),
    exec: (uid, container, spec) => Effect.flatMap(runningId(store, uid, container), (id) => runtime.exec(id, spec)),
    attach: (uid, container, spec) =>
      Effect.flatMap(runningId(store, uid, container), (id) => runtime.attach(id, spec)),
    dial: Effect.fnUntraced(function*(uid, port) {
      const { assignment, pod } = yield* stateFor(store, uid)
      if (pod.sandboxId === "" || pod.stage === "Terminated") {
        return yield* refuse("NotReady", `pod not found ("${assignment.name}_${assignment.namespace}")`)
      }
      return yield* runtime.dial(pod.sandboxId, port)
    })
  }
}

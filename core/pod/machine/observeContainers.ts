/** Looks at the runtime and writes down what came to an end. */
import { Effect } from "effect"
import type { JournalError } from "../../agent/Journal.ts"
import type { Container, RuntimeError } from "../ContainerRuntime.ts"
import { assignedContainers } from "../PodAssignment.ts"
import { vanishedMessage } from "./containerStatus.ts"
import { backOffAfter } from "./crashBackOff.ts"
import { judgeContainer, type Verdict } from "./judgeContainer.ts"
import { attemptOfSandbox, type ContainerRecord, type ContainerResult } from "./PodState.ts"
import { terminationMessage } from "./terminationMessage.ts"
import { type AttemptEnd, look, savePod, stateOf, type Workbench } from "./Workbench.ts"

export interface Observation {
  /** All containers of the pod that the runtime has. */
  readonly containers: ReadonlyArray<Container>
  /** Of each container that has a record; ends are recorded already, unless the journal refused. */
  readonly verdicts: ReadonlyMap<string, Verdict>
  /** Former attempts that run all the same. */
  readonly strays: ReadonlyArray<Container>
  /** Why an end could not be recorded: nothing may be built upon it, but what has to stop does not wait for it. */
  readonly refused: JournalError | undefined
  /** Containers with work under way, which have no verdict. */
  readonly busy: ReadonlySet<string>
}

export const observeContainers = Effect.fnUntraced(
  function*(bench: Workbench): Effect.fn.Return<Observation, RuntimeError> {
    const busy = new Set(bench.busy.keys())
    const containers = yield* bench.runtime.containers(bench.uid)
    const { assignment, containers: records } = yield* stateOf(bench)
    const { bootId } = bench.host()
    const assigned = assignedContainers(assignment)
    const verdicts = new Map<string, Verdict>()
    const running = new Map<string, Container>()
    const strays: Array<Container> = []
    let refused: JournalError | undefined
    for (const { name } of assigned) {
      // While a start is under way what one sees is neither here nor there.
      if (busy.has(name)) continue
      const attempts = containers.filter((each) => each.container === name)
      const known = yield* Effect.result(adoptLost(bench, name, records.get(name), attempts))
      if (known._tag === "Failure") {
        refused = known.failure
        continue
      }
      const record = known.success
      if (record === undefined) continue
      strays.push(...attempts.filter(({ attempt, state }) => state === "running" && attempt !== record.attempt))
      const container = attempts.find(({ attempt }) => attempt === record.attempt)
      const verdict = judgeContainer(record, container, bootId)
      if (verdict._tag === "Running") {
        running.set(name, verdict.container)
        const { createdAt, startedAt = createdAt } = verdict.container
        bench.times.runs(name, record.attempt, startedAt, yield* look)
        bench.waiting.delete(name)
        bench.failures.delete(name)
      }
      const absorbed = yield* Effect.result(absorb(bench, name, record, verdict, assigned.length))
      if (absorbed._tag === "Failure") refused = absorbed.failure
      verdicts.set(name, absorbed._tag === "Success" ? absorbed.success : verdict)
    }
    bench.running = running
    return { containers, verdicts, strays, busy, refused }
  }
)

/**
 * The journal may have lost what it knew. Then what the runtime has stands for it: the newest attempt, where there is no record, and
 * one that runs, where the record is of one before it. In a sandbox that is gone it does not stay.
 */
const adoptLost = Effect.fnUntraced(function*(
  bench: Workbench,
  name: string,
  record: ContainerRecord | undefined,
  attempts: ReadonlyArray<Container>
): Effect.fn.Return<ContainerRecord | undefined, JournalError> {
  const [newest] = attempts
    .filter(({ attempt, state }) => record === undefined || (state === "running" && attempt > record.attempt))
    .toSorted((one, other) => other.attempt - one.attempt)
  if (newest === undefined) return record
  const { pod } = yield* stateOf(bench)
  if (pod.sandboxId === "") yield* savePod(bench, (before) => ({ ...before, sandboxId: newest.sandboxId }))
  const adopted: ContainerRecord = {
    attempt: newest.attempt,
    step: newest.state === "created" && newest.startedAt === undefined ? "Creating" : "Starting",
    containerId: newest.id,
    specHash: newest.specHash,
    image: newest.image,
    imageId: newest.imageId,
    bootId: bench.host().bootId,
    sandboxAttempt: attemptOfSandbox(newest.sandboxId, pod.sandboxId || newest.sandboxId, pod.sandboxAttempt),
    backOffMillis: 0,
    replacing: false,
    ...(record?.result === undefined ? {} : { previous: record.result })
  }
  yield* bench.store.saveContainer(bench.uid, name, adopted)
  return adopted
})

const absorb = Effect.fnUntraced(function*(
  bench: Workbench,
  name: string,
  record: ContainerRecord,
  verdict: Verdict,
  containersOfPod: number
): Effect.fn.Return<Verdict, JournalError> {
  if (verdict._tag !== "Exited" && verdict._tag !== "Vanished") {
    bench.unrecorded.delete(name)
    return verdict
  }
  bench.waiting.delete(name)
  const known = bench.unrecorded.get(name)
  // A result is better than none, whichever was seen first.
  const stands = known?.attempt === record.attempt && (verdict._tag === "Vanished" || !known.result.vanished)
  const end = stands ? known : yield* endOf(bench, name, record, verdict, containersOfPod)
  bench.unrecorded.set(name, end)
  const { backOffMillis, result } = end
  yield* bench.store.saveContainer(bench.uid, name, { ...record, step: "Ended", backOffMillis, result })
  bench.unrecorded.delete(name)
  const stray = verdict._tag === "Vanished" ? verdict.stray : undefined
  return { _tag: "Ended", ...(stray === undefined ? {} : { stray }) }
})

const endOf = Effect.fnUntraced(function*(
  bench: Workbench,
  name: string,
  record: ContainerRecord,
  verdict: Extract<Verdict, { readonly _tag: "Exited" | "Vanished" }>,
  containersOfPod: number
): Effect.fn.Return<AttemptEnd> {
  const now = yield* look
  const { assignment } = yield* stateOf(bench)
  const assigned = assignedContainers(assignment).find((each) => each.name === name)
  const result = verdict._tag === "Vanished" || assigned === undefined
    ? vanished(record, now.wall)
    : ended(verdict.container, now.wall, yield* terminationMessage(bench, assigned, verdict.container, containersOfPod))
  const ran = result.startedAt === undefined
    ? 0
    : bench.times.ran(name, record.attempt, { startedAt: result.startedAt, finishedAt: result.finishedAt }, now)
  return { attempt: record.attempt, backOffMillis: backOffAfter(record, ran, bench.options.crashBackOff), result }
})

const vanished = (record: ContainerRecord, now: number): ContainerResult => ({
  exitCode: 137,
  reason: "ContainerStatusUnknown",
  message: vanishedMessage,
  finishedAt: now,
  containerId: record.containerId,
  vanished: true
})

const ended = (container: Container, now: number, message: string): ContainerResult => {
  const times = { finishedAt: Math.round(container.finishedAt ?? now), containerId: container.id, vanished: false }
  if (container.startedAt === undefined) {
    return {
      exitCode: container.exitCode ?? 128,
      reason: "StartError",
      message: (container.detail ?? "").slice(0, 1024),
      ...times
    }
  }
  const exitCode = container.exitCode ?? 137
  return {
    exitCode,
    reason: container.oomKilled ? "OOMKilled" : exitCode === 0 ? "Completed" : "Error",
    message,
    startedAt: Math.round(container.startedAt),
    ...times
  }
}

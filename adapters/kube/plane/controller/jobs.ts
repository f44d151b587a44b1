/** Runs the pods of a Job until enough have succeeded, too many have failed or its time is up. */
import { Duration, Effect } from "effect"
import { booleanAt, numberAt, objectAt, objectsAt, stringAt, withAt, withoutAt } from "../object/json.ts"
import { isDeleting, type KubeObject, nameOf, uidOf } from "../object/KubeObject.ts"
import { moment, parseTimestamp, timestamp } from "../object/Moment.ts"
import { isReady } from "../object/podReadiness.ts"
import { withCondition } from "../request/podSubresources.ts"
import type { World } from "../request/World.ts"
import { change, discard, make, remark } from "./acting.ts"
import { controller } from "./controller.ts"
import { controlled, isActive, ownerKey, ownKey, podFromTemplate } from "./workloadPods.ts"

const component = "job-controller"

export const endedAs = (job: KubeObject, end: "Complete" | "Failed"): boolean =>
  objectsAt(job, "status", "conditions").some((condition) =>
    stringAt(condition, "type") === end && stringAt(condition, "status") === "True"
  )

export const isDone = (job: KubeObject): boolean => endedAs(job, "Complete") || endedAs(job, "Failed")

const withPhase = (pods: ReadonlyArray<KubeObject>, phase: string) =>
  pods.filter((pod) => stringAt(pod, "status", "phase") === phase)

/** How pods of a Job have fared, by the control plane's clock: a device's may be wrong. */
interface Fares {
  readonly uid: string
  readonly succeeded: number
  readonly failed: number
  /** Failures since the last success. */
  readonly streak: number
  readonly since: number
}

const fareOn = (job: KubeObject, past: Fares | undefined, succeeded: number, failed: number, now: number): Fares => {
  const uid = uidOf(job)
  const before = past?.uid === uid ? past : { uid, succeeded: 0, failed: 0, streak: 0, since: 0 }
  const streak = (succeeded > before.succeeded ? 0 : before.streak) + Math.max(0, failed - before.failed)
  return { uid, succeeded, failed, streak, since: failed > before.failed ? now : before.since }
}

const firstBackoff = 10_000
const longestBackoff = 600_000

/** From when on another pod may be made. */
const notBefore = ({ streak, since }: Fares): number =>
  streak === 0 ? 0 : since + Math.min(longestBackoff, firstBackoff * 2 ** (streak - 1))

/** When the Job's time is up; it counts from when it began or was resumed. */
const deadlineOf = (job: KubeObject, now: number): number =>
  (parseTimestamp(stringAt(job, "status", "startTime")) ?? now) +
  (numberAt(job, "spec", "activeDeadlineSeconds") ?? Infinity) * 1000

export const jobs = controller({
  name: "job",
  state: () => new Map<string, Fares>(),
  watches: [
    { collection: "jobs.batch", keys: ownKey },
    { collection: "pods", keys: ownerKey("Job") }
  ],
  reconcile: Effect.fnUntraced(function*(world: World, key: string, faring: Map<string, Fares>) {
    const [namespace = "", name = ""] = key.split("/")
    const job = world.store.get("jobs.batch", namespace, name)?.object
    if (job === undefined || isDeleting(job) || isDone(job)) {
      faring.delete(key)
      return
    }
    const { now } = yield* moment
    const pods = controlled(world, "pods", job)
    const succeeded = withPhase(pods, "Succeeded").length
    const failed = withPhase(pods, "Failed").length
    const active = pods.filter(isActive)
    const completions = numberAt(job, "spec", "completions")
    const parallelism = numberAt(job, "spec", "parallelism") ?? 1
    const complete = completions === undefined ? succeeded > 0 && active.length === 0 : succeeded >= completions
    const hopeless = failed > (numberAt(job, "spec", "backoffLimit") ?? 6)
    const suspended = booleanAt(job, "spec", "suspend") === true
    const deadline = suspended ? Infinity : deadlineOf(job, now)
    const late = now >= deadline
    const stopped = complete || hopeless || late || suspended
    const fares = fareOn(job, faring.get(key), succeeded, failed, now)
    faring.set(key, fares)
    const waits = now < notBefore(fares)
    const missing = completions === undefined
      ? (succeeded > 0 ? 0 : parallelism)
      : Math.min(parallelism, completions - succeeded)
    const wanted = stopped ? 0 : missing
    for (let running = active.length; running < wanted && !waits; running++) {
      const made = yield* make(world, "pods", namespace, podFromTemplate(job))
      yield* remark(world, job, {
        component,
        type: "Normal",
        reason: "SuccessfulCreate",
        message: `Created pod: ${nameOf(made.object)}`
      })
    }
    for (const pod of active.slice(Math.max(0, wanted))) if (stopped) yield* discard(world, "pods", pod)
    const left = controlled(world, "pods", job).filter(isActive)
    yield* change(world, "jobs.batch", job, "status", (current) => {
      const kept = withAt(current, ["status"], {
        startTime: timestamp(now),
        ...objectAt(current, "status"),
        active: left.length,
        ready: left.filter(isReady).length,
        succeeded,
        failed,
        ...(complete ? { completionTime: timestamp(now) } : {})
      })
      const counted = suspended ? withoutAt(kept, ["status", "startTime"]) : kept
      const [type, reason, message] = complete
        ? ["Complete", "CompletionsReached", "Reached expected number of succeeded pods"]
        : hopeless
        ? ["Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit"]
        : ["Failed", "DeadlineExceeded", "Job was active longer than specified deadline"]
      return complete || hopeless || late
        ? withCondition(counted, { type, status: "True", reason, message }, now)
        : counted
    })
    if (complete) {
      yield* remark(world, job, { component, type: "Normal", reason: "Completed", message: "Job completed" })
    }
    const next = Math.min(deadline, waits && wanted > 0 ? notBefore(fares) : Infinity)
    return stopped || next === Infinity ? undefined : { after: Duration.millis(next - now) }
  })
})

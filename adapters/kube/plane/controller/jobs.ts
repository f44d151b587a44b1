/** Runs the pods of a Job until enough have succeeded or too many have failed. */
import { Effect } from "effect"
import { booleanAt, numberAt, objectAt, objectsAt, stringAt, withAt } from "../object/json.ts"
import { isDeleting, type KubeObject, nameOf } from "../object/KubeObject.ts"
import { moment, timestamp } from "../object/Moment.ts"
import { isReady } from "../object/podReadiness.ts"
import { withCondition } from "../request/podSubresources.ts"
import { change, discard, make, remark } from "./acting.ts"
import { controller } from "./controller.ts"
import { controlled, isActive, ownerKey, ownKey, podFromTemplate } from "./workloadPods.ts"

const component = "job-controller"

const isDone = (job: KubeObject): boolean =>
  objectsAt(job, "status", "conditions").some((condition) =>
    ["Complete", "Failed"].includes(stringAt(condition, "type") ?? "") && stringAt(condition, "status") === "True"
  )

const withPhase = (pods: ReadonlyArray<KubeObject>, phase: string) =>
  pods.filter((pod) => stringAt(pod, "status", "phase") === phase)

export const jobs = controller({
  name: "job",
  watches: [
    { collection: "jobs.batch", keys: ownKey },
    { collection: "pods", keys: ownerKey("Job") }
  ],
  reconcile: Effect.fnUntraced(function*(world, key) {
    const [namespace = "", name = ""] = key.split("/")
    const job = world.store.get("jobs.batch", namespace, name)?.object
    if (job === undefined || isDeleting(job) || isDone(job)) return
    const { now } = yield* moment
    const pods = controlled(world, "pods", job)
    const succeeded = withPhase(pods, "Succeeded").length
    const failed = withPhase(pods, "Failed").length
    const active = pods.filter(isActive)
    const completions = numberAt(job, "spec", "completions")
    const parallelism = numberAt(job, "spec", "parallelism") ?? 1
    const complete = completions === undefined ? succeeded > 0 && active.length === 0 : succeeded >= completions
    const hopeless = failed > (numberAt(job, "spec", "backoffLimit") ?? 6)
    const stopped = complete || hopeless || booleanAt(job, "spec", "suspend") === true
    const missing = completions === undefined
      ? (succeeded > 0 ? 0 : parallelism)
      : Math.min(parallelism, completions - succeeded)
    const wanted = stopped ? 0 : missing
    for (let running = active.length; running < wanted; running++) {
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
      const counted = withAt(current, ["status"], {
        startTime: timestamp(now),
        ...objectAt(current, "status"),
        active: left.length,
        ready: left.filter(isReady).length,
        succeeded,
        failed,
        ...(complete ? { completionTime: timestamp(now) } : {})
      })
      if (complete) {
        return withCondition(counted, {
          type: "Complete",
          status: "True",
          reason: "CompletionsReached",
          message: "Reached expected number of succeeded pods"
        }, now)
      }
      if (hopeless) {
        return withCondition(counted, {
          type: "Failed",
          status: "True",
          reason: "BackoffLimitExceeded",
          message: "Job has reached the specified backoff limit"
        }, now)
      }
      return counted
    })
    if (complete) {
      yield* remark(world, job, { component, type: "Normal", reason: "Completed", message: "Job completed" })
    }
  })
})

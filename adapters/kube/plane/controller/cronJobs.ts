/** Makes a Job whenever the schedule of a CronJob says so, and forgets those that ended long ago. */
import { Duration, Effect, Result } from "effect"
import { dueOf, scheduleOf } from "../object/cronSchedule.ts"
import { booleanAt, compare, type JsonObject, maybe, numberAt, objectAt, stringAt, withAt } from "../object/json.ts"
import {
  annotationsOf,
  controllerReference,
  isDeleting,
  type KubeObject,
  labelsOf,
  nameOf,
  namespaceOf,
  uidOf,
  versionOf
} from "../object/KubeObject.ts"
import { moment, parseTimestamp, timestamp } from "../object/Moment.ts"
import type { World } from "../request/World.ts"
import { change, discard, make, remark } from "./acting.ts"
import { controller } from "./controller.ts"
import { endedAs, isDone } from "./jobs.ts"
import { controlled, ownerKey, ownKey } from "./workloadPods.ts"

const component = "cronjob-controller"

const jobsOf = (world: World, cronJob: KubeObject): ReadonlyArray<KubeObject> =>
  controlled(world, "jobs.batch", cronJob)

/** The minute in the name keeps a time from being served twice. */
const jobFor = (cronJob: KubeObject, due: number): JsonObject => {
  const template = objectAt(cronJob, "spec", "jobTemplate")
  return {
    metadata: {
      name: `${nameOf(cronJob)}-${Math.floor(due / 60_000)}`,
      labels: labelsOf(template),
      annotations: { ...annotationsOf(template), "batch.kubernetes.io/cronjob-scheduled-timestamp": timestamp(due) },
      ownerReferences: [controllerReference(cronJob)]
    },
    spec: objectAt(template, "spec")
  }
}

const start = Effect.fnUntraced(function*(world: World, cronJob: KubeObject, due: number) {
  const running = jobsOf(world, cronJob).filter((job) => !isDone(job))
  const policy = stringAt(cronJob, "spec", "concurrencyPolicy")
  // The time is not lost: it is looked at again when the running one ends.
  if (policy === "Forbid" && running.length > 0) return
  if (policy === "Replace") { for (const job of running) yield* discard(world, "jobs.batch", job) }
  const job = jobFor(cronJob, due)
  if (world.store.get("jobs.batch", namespaceOf(cronJob), nameOf(job)) === undefined) {
    yield* make(world, "jobs.batch", namespaceOf(cronJob), job)
    yield* remark(world, cronJob, {
      component,
      type: "Normal",
      reason: "SuccessfulCreate",
      message: `Created job ${nameOf(job)}`
    })
  }
  yield* change(
    world,
    "cronjobs.batch",
    cronJob,
    "status",
    (current) => withAt(current, ["status", "lastScheduleTime"], timestamp(due))
  )
})

const forget = Effect.fnUntraced(function*(world: World, cronJob: KubeObject) {
  const kept = [["Complete", "successfulJobsHistoryLimit", 3], ["Failed", "failedJobsHistoryLimit", 1]] as const
  for (const [end, limit, otherwise] of kept) {
    const ended = jobsOf(world, cronJob).filter((job) => !isDeleting(job) && endedAs(job, end))
      .toSorted((left, right) => compare(bornAt(left), bornAt(right)))
    const surplus = ended.length - (numberAt(cronJob, "spec", limit) ?? otherwise)
    for (const job of ended.slice(0, Math.max(0, surplus))) yield* discard(world, "jobs.batch", job)
  }
})

const bornAt = (job: KubeObject): string => stringAt(job, "metadata", "creationTimestamp") ?? ""

const report = (world: World, cronJob: KubeObject) => {
  const jobs = jobsOf(world, cronJob)
  const succeeded = jobs.flatMap((job) => stringAt(job, "status", "completionTime") ?? []).toSorted(compare).at(-1)
  return change(world, "cronjobs.batch", cronJob, "status", (current) =>
    withAt(current, ["status"], {
      ...objectAt(current, "status"),
      ...maybe("lastSuccessfulTime", succeeded),
      active: jobs.filter((job) => !isDone(job)).map((job) => ({
        apiVersion: "batch/v1",
        kind: "Job",
        namespace: namespaceOf(job),
        name: nameOf(job),
        uid: uidOf(job),
        resourceVersion: versionOf(job)
      }))
    }))
}

export const cronJobs = controller({
  name: "cronjob",
  watches: [
    { collection: "cronjobs.batch", keys: ownKey },
    { collection: "jobs.batch", keys: ownerKey("CronJob") }
  ],
  reconcile: Effect.fnUntraced(function*(world: World, key: string) {
    const [namespace = "", name = ""] = key.split("/")
    const cronJob = world.store.get("cronjobs.batch", namespace, name)?.object
    if (cronJob === undefined || isDeleting(cronJob)) return
    const { now } = yield* moment
    const schedule = booleanAt(cronJob, "spec", "suspend") === true ? undefined : scheduleOf(cronJob)
    let next: number | undefined
    if (schedule !== undefined && Result.isSuccess(schedule)) {
      const since = stringAt(cronJob, "status", "lastScheduleTime") ?? bornAt(cronJob)
      const due = dueOf(schedule.success, parseTimestamp(since) ?? now, now)
      next = due.next
      const patience = (numberAt(cronJob, "spec", "startingDeadlineSeconds") ?? Infinity) * 1000
      if (due.latest !== undefined && now <= due.latest + patience) yield* start(world, cronJob, due.latest)
    }
    yield* forget(world, cronJob)
    yield* report(world, cronJob)
    return next === undefined ? undefined : { after: Duration.millis(next - now) }
  })
})

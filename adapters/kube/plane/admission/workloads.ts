/** Defaults and validation of what makes pods: Deployments, ReplicaSets, DaemonSets, StatefulSets, Jobs, CronJobs. */
import { Result } from "effect"
import type { FieldError } from "../object/ApiFailure.ts"
import { scheduleOf } from "../object/cronSchedule.ts"
import {
  at,
  equal,
  isObject,
  type Json,
  type JsonObject,
  objectAt,
  stringAt,
  withAt,
  withDefault,
  withDefaults
} from "../object/json.ts"
import { type KubeObject, nameOf, uidOf } from "../object/KubeObject.ts"
import type { ResourceType } from "../registry/ResourceType.ts"
import { labelSelector } from "../store/labelSelector.ts"
import { podSpecDefaults } from "./podDefaults.ts"
import { templateErrors } from "./podValidation.ts"

type Prepare = NonNullable<ResourceType["prepare"]>
type Validate = NonNullable<ResourceType["validate"]>

const withTemplate = (object: KubeObject): KubeObject => {
  const template = at(object, "spec", "template")
  if (!isObject(template)) return object
  const metadata = withDefaults(objectAt(template, "metadata"), { creationTimestamp: null })
  return withAt(object, ["spec", "template"], {
    ...template,
    metadata,
    spec: podSpecDefaults(objectAt(template, "spec"))
  })
}

const defaults = (values: JsonObject): Prepare => (object) =>
  Result.succeed(withTemplate({ ...object, spec: withDefaults(objectAt(object, "spec"), values) }))

const rolling = (surge: Json, unavailable: Json): JsonObject => ({
  type: "RollingUpdate",
  rollingUpdate: { maxSurge: surge, maxUnavailable: unavailable }
})

const withRolling = (object: KubeObject, field: string, surge: Json, unavailable: Json): KubeObject => {
  const strategy = objectAt(object, "spec", field)
  if ((strategy["type"] ?? "RollingUpdate") !== "RollingUpdate") return object
  const filled = withDefaults(strategy, rolling(surge, unavailable))
  const parts = withDefaults(objectAt(filled, "rollingUpdate"), { maxSurge: surge, maxUnavailable: unavailable })
  return withAt(object, ["spec", field], { ...filled, rollingUpdate: parts })
}

export const prepareDeployment: Prepare = (object, old, context) =>
  Result.map(
    defaults({ replicas: 1, revisionHistoryLimit: 10, progressDeadlineSeconds: 600 })(object, old, context),
    (made) => withRolling(made, "strategy", "25%", "25%")
  )

export const prepareReplicaSet: Prepare = defaults({ replicas: 1 })

export const prepareDaemonSet: Prepare = (object, old, context) =>
  Result.map(
    defaults({ revisionHistoryLimit: 10 })(object, old, context),
    (made) => withRolling(made, "updateStrategy", 0, 1)
  )

export const prepareStatefulSet: Prepare = (object, old, context) =>
  Result.map(
    defaults({
      replicas: 1,
      revisionHistoryLimit: 10,
      podManagementPolicy: "OrderedReady",
      persistentVolumeClaimRetentionPolicy: { whenDeleted: "Retain", whenScaled: "Retain" }
    })(object, old, context),
    (made) => withDefault(made, ["spec", "updateStrategy"], { type: "RollingUpdate", rollingUpdate: { partition: 0 } })
  )

/** A job's selector and the labels of its pods come from its uid. */
export const prepareJob: Prepare = (object, old, context) => {
  const spec = objectAt(object, "spec")
  const uid = uidOf(object)
  const labels = {
    "batch.kubernetes.io/controller-uid": uid,
    "batch.kubernetes.io/job-name": nameOf(object),
    "controller-uid": uid,
    "job-name": nameOf(object)
  }
  const counted = withDefaults(spec, { parallelism: 1, backoffLimit: 6, completionMode: "NonIndexed", suspend: false })
  const complete = spec["parallelism"] === undefined ? withDefaults(counted, { completions: 1 }) : counted
  const selected: KubeObject = { ...object, spec: complete }
  const labelled = old === undefined && spec["manualSelector"] !== true
    ? withAt(
      withAt(selected, ["spec", "selector"], { matchLabels: { "batch.kubernetes.io/controller-uid": uid } }),
      ["spec", "template", "metadata", "labels"],
      { ...objectAt(spec, "template", "metadata", "labels"), ...labels }
    )
    : selected
  return defaults({})(labelled, old, context)
}

/** Its pods get their defaults here; those of a Job the Job gets when it is made. */
export const prepareCronJob: Prepare = (object) => {
  const spec = withDefaults(objectAt(object, "spec"), {
    concurrencyPolicy: "Allow",
    suspend: false,
    successfulJobsHistoryLimit: 3,
    failedJobsHistoryLimit: 1
  })
  return Result.succeed({ ...object, spec: { ...spec, jobTemplate: withTemplate(objectAt(spec, "jobTemplate")) } })
}

const selectorErrors = (object: KubeObject, old: KubeObject | undefined): ReadonlyArray<FieldError> => {
  const selector = at(object, "spec", "selector")
  if (selector === undefined) return [{ type: "Required", field: "spec.selector", detail: "" }]
  const errors: Array<FieldError> = []
  if (!labelSelector(selector)(objectAt(object, "spec", "template", "metadata", "labels"))) {
    errors.push({
      type: "Invalid",
      field: "spec.template.metadata.labels",
      value: JSON.stringify(objectAt(object, "spec", "template", "metadata", "labels")),
      detail: "`selector` does not match template `labels`"
    })
  }
  if (old !== undefined && !equal(selector, at(old, "spec", "selector"))) {
    errors.push({
      type: "Invalid",
      field: "spec.selector",
      value: JSON.stringify(selector),
      detail: "field is immutable"
    })
  }
  return errors
}

export const validateWorkload: Validate = (object, old) => [
  ...selectorErrors(object, old),
  ...templateErrors(object, ["Always"])
]

export const validateJob: Validate = (object) => templateErrors(object, ["OnFailure", "Never"])

/** A Job's name is its CronJob's and eleven characters more. */
const longestName = 52

export const validateCronJob: Validate = (object) => {
  const errors: Array<FieldError> = []
  const invalid = (field: string, value: string, detail: string) =>
    errors.push({ type: "Invalid", field, value, detail })
  const schedule = scheduleOf(object)
  if (Result.isFailure(schedule)) {
    const where = ["schedule", "timeZone"].map((key) => stringAt(object, "spec", key)).filter((text) => text)
    invalid("spec.schedule", where.join(" "), schedule.failure)
  }
  if (nameOf(object).length > longestName) {
    invalid("metadata.name", nameOf(object), `must be no more than ${longestName} characters`)
  }
  const policy = stringAt(object, "spec", "concurrencyPolicy") ?? ""
  if (!["Allow", "Forbid", "Replace"].includes(policy)) {
    invalid("spec.concurrencyPolicy", policy, "is none of Allow, Forbid, Replace")
  }
  const template = templateErrors(objectAt(object, "spec", "jobTemplate"), ["OnFailure", "Never"])
  return [...errors, ...template.map((error) => ({ ...error, field: `spec.jobTemplate.${error.field}` }))]
}

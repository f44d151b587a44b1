/** `spec.partition`: what happens in the cluster and on the device while the two are apart. */
import { Duration, Effect, Schema } from "effect"
import { formatGoDuration, goDuration } from "./goDuration.ts"

const opt = Schema.optionalKey

/** Shorter times would mistake a pause of the network for an absence. */
export const leastMinutes = 1
/**
 * Between the end of the workloads on the device and their replacement, besides their own grace: for the engine to end them, and
 * for clocks that do not run alike.
 */
export const replacementMargin = Duration.minutes(1)

export const PartitionPolicy = Schema.Struct({
  policy: Schema.Literals(["keep"]).annotate({
    description:
      "keep, the only one: what none of the times below says otherwise stays as it is. The Node stays Ready while the "
      + "device is away, its pods stay bound and go on running, new ones are not scheduled there, and Services stop "
      + "routing to those it has.",
    default: "keep"
  }).pipe(Schema.withDecodingDefaultKey(Effect.succeed("keep" as const))),
  notReadyAfter: opt(goDuration({
    description:
      "How long the device may be away before its Node's Ready turns False, as a Go duration of at least 1m. "
      + "Nothing is evicted by that."
  })),
  stopWorkloadsAfter: opt(goDuration({
    description:
      "How long the device goes on running its workloads without a word of the operator, as a Go duration of at "
      + "least 1m, measured by the device itself. They begin again when it hears the operator; after a reboot they wait "
      + "for that from the first moment."
  })),
  replaceAfter: opt(goDuration({
    description: "How long the device may be away before its pods are given up, so that their controllers replace them "
      + "elsewhere, as a Go duration of at least 1m longer than stopWorkloadsAfter. Pods without a controller, and those of "
      + "DaemonSets, stay."
  })),
  onReturn: Schema.Literals(["keepReplacement", "keepOriginal"]).annotate({
    description:
      "Which one stays where a replaced pod's device comes back. keepOriginal is for pods of ReplicaSets and "
      + "ReplicationControllers alone; others are then not replaced, since they cannot be two at a time.",
    default: "keepReplacement"
  }).pipe(Schema.withDecodingDefaultKey(Effect.succeed("keepReplacement" as const))),
  allowRunningTwice: Schema.Boolean.annotate({
    description: "Whether pods may be replaced although the device may still run them.",
    default: false
  }).pipe(Schema.withDecodingDefaultKey(Effect.succeed(false)))
}).annotate({ description: "What happens while the device is away." })
export type PartitionPolicy = typeof PartitionPolicy.Type

const at = (field: string) => `spec.partition.${field}`

/** What the schema cannot say, one sentence per field. */
export const partitionProblems = (
  policy: PartitionPolicy
): ReadonlyArray<{ readonly path: string; readonly sentence: string }> => {
  const problems = (["notReadyAfter", "stopWorkloadsAfter", "replaceAfter"] as const).flatMap((field) => {
    const time = policy[field]
    return time === undefined || Duration.isGreaterThanOrEqualTo(time, Duration.minutes(leastMinutes))
      ? []
      : [{ path: at(field), sentence: `${at(field)} is too short: give it at least ${leastMinutes}m.` }]
  })
  const { allowRunningTwice, replaceAfter, stopWorkloadsAfter } = policy
  if (replaceAfter === undefined || allowRunningTwice) return problems
  const unless = `or set ${at("allowRunningTwice")} to true.`
  if (stopWorkloadsAfter === undefined) {
    problems.push({
      path: at("replaceAfter"),
      sentence:
        `${at("replaceAfter")} needs ${at("stopWorkloadsAfter")}: without it a device that is away goes on running `
        + `what is replaced. Set it to at least 1m less, ${unless}`
    })
  } else if (Duration.isLessThan(replaceAfter, Duration.sum(stopWorkloadsAfter, replacementMargin))) {
    problems.push({
      path: at("replaceAfter"),
      sentence: `${at("replaceAfter")} (${formatGoDuration(replaceAfter)}) must be at least 1m longer than `
        + `${at("stopWorkloadsAfter")} (${
          formatGoDuration(stopWorkloadsAfter)
        }), or a pod may run twice: make it longer, `
        + unless
    })
  }
  return problems
}

/** What works although it says nothing. */
export const partitionWarnings = (policy: PartitionPolicy): ReadonlyArray<string> =>
  policy.replaceAfter !== undefined ? [] : [
    ...policy.onReturn === "keepOriginal" ? ["onReturn"] : [],
    ...policy.allowRunningTwice ? ["allowRunningTwice"] : []
  ].map((field) => `${at(field)} has no effect: nothing is replaced without ${at("replaceAfter")}.`)

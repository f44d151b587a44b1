/** Init containers: before the others, one after the other, and what their failure does. */
import { Effect } from "effect"
import type { Pod } from "../../../core/kube/Pod.ts"
import {
  containerOf,
  createPod,
  must,
  mustEqual,
  podEnds,
  podOf,
  podRuns,
  podUntil,
  statusOf
} from "../podVocabulary.ts"
import { suite } from "../Scenario.ts"

const conditionOf = ({ status }: Pod, type: string) => status?.conditions?.find((each) => each.type === type)

const pair = (first: string, second: string) => [
  containerOf({ name: "init-1", command: [first] }),
  containerOf({ name: "init-2", command: [second] })
]

const bothSucceeded = Effect.fnUntraced(function*(pod: Pod) {
  yield* mustEqual(conditionOf(pod, "Initialized")?.status, "True", "Initialized")
  yield* mustEqual(pod.status?.initContainerStatuses?.length, 2, "init container statuses")
  for (const status of pod.status?.initContainerStatuses ?? []) {
    yield* must(status.ready, `${status.name} is not ready`)
    yield* mustEqual(status.state?.terminated?.exitCode, 0, `${status.name} exit code`)
  }
})

export const initContainers = suite("[sig-node] InitContainer", {
  "[NodeConformance] should invoke init containers on a RestartNever pod [Conformance]": Effect.gen(function*() {
    const after = yield* podEnds(podOf("init", { name: "run1", command: ["true"] }, {
      initContainers: pair("true", "true")
    }))
    yield* mustEqual(after.status?.phase, "Succeeded", "phase")
    yield* bothSucceeded(after)
  }),

  "[NodeConformance] should invoke init containers on a RestartAlways pod [Conformance]": Effect.gen(function*() {
    const after = yield* podRuns(podOf("init", { name: "run1", command: ["pause"] }, {
      restartPolicy: "Always",
      initContainers: pair("true", "true")
    }))
    yield* bothSucceeded(after)
  }),

  "[NodeConformance] should not start app containers if init containers fail on a RestartAlways pod [Conformance]":
    Effect.gen(function*() {
      yield* createPod(podOf("init", { name: "run1", command: ["pause"] }, {
        restartPolicy: "Always",
        initContainers: pair("false", "true")
      }))
      const after = yield* podUntil("init", (pod) => (statusOf(pod, "init-1")?.restartCount ?? 0) >= 3, "tries thrice")
      yield* mustEqual(after.status?.phase, "Pending", "phase")
      yield* mustEqual(conditionOf(after, "Initialized")?.status, "False", "Initialized")
      yield* mustEqual(conditionOf(after, "Initialized")?.reason, "ContainersNotInitialized", "reason")
      yield* must(statusOf(after, "init-2")?.state?.waiting !== undefined, "the second init container does not wait")
      yield* mustEqual(statusOf(after, "run1")?.state?.waiting?.reason, "PodInitializing", "of the container")
    }),

  "[NodeConformance] should not start app containers and fail the pod if init containers fail on a RestartNever pod [Conformance]":
    Effect.gen(function*() {
      const after = yield* podEnds(podOf("init", { name: "run1", command: ["true"] }, {
        initContainers: pair("true", "false")
      }))
      yield* mustEqual(after.status?.phase, "Failed", "phase")
      yield* mustEqual(conditionOf(after, "Initialized")?.status, "False", "Initialized")
      yield* mustEqual(conditionOf(after, "Initialized")?.reason, "ContainersNotInitialized", "reason")
      yield* mustEqual(statusOf(after, "init-1")?.state?.terminated?.exitCode, 0, "the first")
      yield* must((statusOf(after, "init-2")?.state?.terminated?.exitCode ?? 0) !== 0, "the second did not fail")
      yield* must(statusOf(after, "run1")?.state?.waiting !== undefined, "the container does not wait")
    })
})

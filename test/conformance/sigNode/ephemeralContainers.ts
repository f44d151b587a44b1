/** Containers added to a pod that runs, to look into it. */
import { Effect } from "effect"
import { KubeApi } from "../../../core/kube/KubeApi.ts"
import { type Pod, Pods } from "../../../core/kube/Pod.ts"
import { Cluster, namespace } from "../Cluster.ts"
import { createPod, getPod, mustContain, mustEqual, podOf, podPrints, podRuns, podUntil } from "../podVocabulary.ts"
import { talker } from "../process/images.ts"
import { suite } from "../Scenario.ts"

const pause = (name: string) => podOf(name, { command: ["pause"] }, { restartPolicy: "Always" })

const looker = (name: string) => ({
  name,
  image: talker,
  command: ["sh", "-c", "echo polo; sleep 10000"],
  stdin: true,
  tty: true,
  targetContainerName: "main"
})

const add = (pod: string, ...names: ReadonlyArray<string>) =>
  Effect.flatMap(KubeApi, (api) =>
    api.patch(Pods, { namespace, name: pod, subresource: "ephemeralcontainers" }, {
      type: "strategic",
      body: { spec: { ephemeralContainers: names.map(looker) } }
    }))

const runs = (pod: Pod, name: string) =>
  pod.status?.ephemeralContainerStatuses?.find((status) => status.name === name)?.state?.running !== undefined

export const ephemeralContainers = suite("[sig-node] Ephemeral Containers", {
  "[NodeConformance] will start an ephemeral container in an existing pod [Conformance]": Effect.gen(function*() {
    yield* podRuns(pause("looked-into"))
    yield* add("looked-into", "debugger")
    const pod = yield* podUntil("looked-into", (seen) => runs(seen, "debugger"), "has a running debugger")
    const { exec } = yield* Cluster
    const said = yield* exec({ uid: pod.metadata.uid ?? "", container: "debugger" }, ["echo", "marco"])
    yield* mustContain(said, "marco")
    yield* podPrints(pod, "polo", "debugger")
    yield* mustEqual(pod.status?.containerStatuses?.map(({ restartCount }) => restartCount), [0], "restarts")
  }),

  "[NodeConformance] should update the ephemeral containers in an existing pod [Conformance]": Effect.gen(function*() {
    const api = yield* KubeApi
    yield* createPod(pause("updated-debuggers"))
    yield* podUntil("updated-debuggers", ({ status }) => status?.phase === "Running", "runs")
    yield* add("updated-debuggers", "debugger1")
    yield* podUntil("updated-debuggers", (seen) => runs(seen, "debugger1"), "has its first debugger")
    const pod = yield* getPod("updated-debuggers")
    yield* api.replace(Pods, {
      ...pod,
      spec: { ...pod.spec, ephemeralContainers: [...pod.spec.ephemeralContainers ?? [], looker("debugger2")] }
    }, { subresource: "ephemeralcontainers" })
    const after = yield* podUntil("updated-debuggers", (seen) => runs(seen, "debugger2"), "has its second debugger")
    const names = after.spec.ephemeralContainers?.map(({ name }) => name)
    yield* mustEqual(names, ["debugger1", "debugger2"], "ephemeral containers")
    yield* mustEqual(runs(after, "debugger1"), true, "the first one runs on")
  })
})

/** What becomes of containers that end: status, termination messages, and images that can or cannot be had. */
import { Effect } from "effect"
import { Secrets } from "../../../core/kube/kinds.ts"
import { KubeApi } from "../../../core/kube/KubeApi.ts"
import type { Container, PodSpec } from "../../../core/kube/Pod.ts"
import { RuntimeError } from "../../../core/pod/ContainerRuntime.ts"
import { Cluster, namespace } from "../Cluster.ts"
import {
  base64,
  createPod,
  deletePod,
  must,
  mustEqual,
  podEnds,
  podIsGone,
  podOf,
  podUntil,
  shell,
  statusOf
} from "../podVocabulary.ts"
import { busybox } from "../process/images.ts"
import { suite } from "../Scenario.ts"

/** The message a container of this kind is said to have ended with. */
const messageOf = Effect.fnUntraced(function*(
  main: Partial<Container>,
  phase: string,
  message: string
) {
  const after = yield* podEnds(podOf("ends", main))
  yield* mustEqual(after.status?.phase, phase, "phase")
  const terminated = statusOf(after, "main")?.state?.terminated
  yield* must(terminated !== undefined, "the container is not said to be terminated")
  yield* mustEqual(terminated?.message ?? "", message, "termination message")
})

/** Waits for the same reason as upstream's table of cases: running, or waiting for an image. */
const imageCase = Effect.fnUntraced(function*(
  image: string,
  spec: Partial<PodSpec>,
  wanted: "running" | "refused"
) {
  yield* createPod(podOf("image", { image, imagePullPolicy: "Always", command: ["pause"] }, {
    restartPolicy: "Always",
    ...spec
  }))
  const seen = yield* podUntil("image", (pod) => {
    const state = statusOf(pod, "main")?.state
    const reason = state?.waiting?.reason ?? ""
    return wanted === "running" ? state?.running !== undefined : /^(ErrImagePull|ImagePullBackOff)$/.test(reason)
  }, wanted === "running" ? "runs" : "waits for its image")
  yield* mustEqual(seen.status?.phase, wanted === "running" ? "Running" : "Pending", "phase")
  if (wanted === "refused") {
    const settled = yield* podUntil(
      "image",
      (pod) => statusOf(pod, "main")?.state?.waiting?.reason === "ImagePullBackOff",
      "backs off"
    )
    yield* mustEqual(settled.status?.phase, "Pending", "phase in back-off")
  }
})

const privateImage = "registry.example/private/pause:1.0"

const privateRegistry = Effect.flatMap(
  Cluster,
  ({ device }) => device.runtime.image(privateImage, { password: "open sesame" })
)

export const containerRuntime = suite("[sig-node] Container Runtime", {
  "blackbox test when starting a container that exits should run with the expected status [NodeConformance] [Conformance]":
    Effect.gen(function*() {
      // Fails the first time, succeeds the second, and goes on for ever the third.
      const script = "once /marks/first 1 once /marks/second 0 pause"
      const cases = [
        { name: "always", policy: "Always", phase: "Running", ready: true, restarts: 2 },
        { name: "on-failure", policy: "OnFailure", phase: "Succeeded", ready: false, restarts: 1 },
        { name: "never", policy: "Never", phase: "Failed", ready: false, restarts: 0 }
      ]
      for (const { name, phase, policy, ready, restarts } of cases) {
        yield* createPod(podOf(name, {
          ...shell(script),
          volumeMounts: [{ name: "marks", mountPath: "/marks" }]
        }, { restartPolicy: policy, volumes: [{ name: "marks", emptyDir: {} }] }))
        const after = yield* podUntil(
          name,
          (pod) => {
            const status = statusOf(pod, "main")
            const settled = phase === "Running" ? status?.state?.running : status?.state?.terminated
            return pod.status?.phase === phase && settled !== undefined && (status?.restartCount ?? 0) >= restarts
          },
          `comes to ${phase}`,
          300
        )
        const status = statusOf(after, "main")
        yield* mustEqual(status?.restartCount, restarts, `${name}: restarts`)
        yield* mustEqual(status?.ready, ready, `${name}: ready`)
        yield* deletePod(name)
        yield* podIsGone(name)
      }
    }),

  "blackbox test on terminated container should report termination message if TerminationMessagePath is set [NodeConformance]":
    messageOf(
      { ...shell("echo -n DONE > /dev/termination-log"), terminationMessagePath: "/dev/termination-log" },
      "Succeeded",
      "DONE"
    ),
  "blackbox test on terminated container should report termination message if TerminationMessagePath is set as non-root user and at a non-default path [NodeConformance] [Conformance]":
    messageOf(
      {
        ...shell("echo -n DONE > /dev/termination-custom-log"),
        terminationMessagePath: "/dev/termination-custom-log",
        securityContext: { runAsUser: 10001 }
      },
      "Succeeded",
      "DONE"
    ),
  "blackbox test on terminated container should report termination message from log output if TerminationMessagePolicy FallbackToLogsOnError is set [NodeConformance] [Conformance]":
    messageOf(
      { ...shell("echo -n DONE; false"), terminationMessagePolicy: "FallbackToLogsOnError" },
      "Failed",
      "DONE"
    ),
  "blackbox test on terminated container should report termination message as empty when pod succeeds and TerminationMessagePolicy FallbackToLogsOnError is set [NodeConformance] [Conformance]":
    messageOf({ ...shell("echo DONE; true"), terminationMessagePolicy: "FallbackToLogsOnError" }, "Succeeded", ""),
  "blackbox test on terminated container should report termination message from file when pod succeeds and TerminationMessagePolicy FallbackToLogsOnError is set [NodeConformance] [Conformance]":
    messageOf(
      {
        ...shell("echo -n OK > /dev/termination-log; echo DONE; true"),
        terminationMessagePolicy: "FallbackToLogsOnError"
      },
      "Succeeded",
      "OK"
    ),

  "blackbox test when running a container with a new image should be able to pull image [NodeConformance]": imageCase(
    busybox,
    {},
    "running"
  ),
  "blackbox test when running a container with a new image should not be able to pull image from invalid registry [NodeConformance]":
    Effect.gen(function*() {
      const image = "invalid.example/invalid/alpine:3.1"
      const { device } = yield* Cluster
      yield* device.runtime.image(image, {
        refused: new RuntimeError({ reason: "ImageUnavailable", detail: "lookup invalid.example: no such host" })
      })
      yield* imageCase(image, {}, "refused")
    }),
  "blackbox test when running a container with a new image should not be able to pull from private registry without secret [NodeConformance]":
    Effect.andThen(privateRegistry, imageCase(privateImage, {}, "refused")),
  "blackbox test when running a container with a new image should be able to pull from private registry with secret [NodeConformance]":
    Effect.gen(function*() {
      const api = yield* KubeApi
      yield* privateRegistry
      const auths = { "registry.example": { auth: base64("someone:open sesame") } }
      yield* api.create(Secrets, {
        apiVersion: "v1",
        kind: "Secret",
        metadata: { namespace, name: "registry" },
        type: "kubernetes.io/dockerconfigjson",
        data: { ".dockerconfigjson": base64(JSON.stringify({ auths })) }
      })
      yield* imageCase(privateImage, { imagePullSecrets: [{ name: "registry" }] }, "running")
    })
})

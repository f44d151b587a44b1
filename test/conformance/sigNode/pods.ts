/** Pods from their creation to their end, and what may change on the way. */
import { Effect } from "effect"
import { Services } from "../../../core/kube/kinds.ts"
import { KubeApi } from "../../../core/kube/KubeApi.ts"
import { Pods } from "../../../core/kube/Pod.ts"
import { Cluster, namespace } from "../Cluster.ts"
import { collection, removeCollection } from "../collection.ts"
import {
  createPod,
  deletePod,
  getPod,
  isReady,
  must,
  mustContain,
  mustEqual,
  podIsGone,
  podOf,
  podRuns,
  podUntil,
  printedBy
} from "../podVocabulary.ts"
import { pause, talker } from "../process/images.ts"
import { skipped, suite } from "../Scenario.ts"

const running = (name: string, labels: Readonly<Record<string, string>> = {}) =>
  podOf(name, { command: ["pause"] }, { restartPolicy: "Always", terminationGracePeriodSeconds: 5 }, {
    namespace,
    name,
    labels
  })

/** Seconds from the end of each run to the start of the next. */
const waits = Effect.gen(function*() {
  const { device } = yield* Cluster
  const runs = yield* device.runtime.runs
  return runs.slice(1).map(({ startedAt }, at) => (startedAt - (runs[at]?.finishedAt ?? startedAt)) / 1000)
})

const failing = (name: string) =>
  podOf(name, { image: talker, command: ["sh", "-c", "sleep 5; false"] }, { restartPolicy: "Always" })

export const pods = suite("[sig-node] Pods", {
  "should get a host IP [NodeConformance] [Conformance]": Effect.gen(function*() {
    yield* podRuns(running("hostip"))
    const { status } = yield* podUntil("hostip", ({ status }) => (status?.hostIP ?? "") !== "", "has a host IP")
    yield* mustEqual(status?.hostIPs?.[0]?.ip, status?.hostIP, "the first of hostIPs")
  }),

  "should be submitted and removed [NodeConformance] [Conformance]": Effect.gen(function*() {
    const api = yield* KubeApi
    const { device } = yield* Cluster
    const labelSelector = "scenario=submitted"
    yield* mustEqual(yield* api.list(Pods, { namespace, labelSelector }), [], "before")
    yield* podRuns(running("submitted", { scenario: "submitted" }))
    yield* mustEqual((yield* api.list(Pods, { namespace, labelSelector })).length, 1, "listed")
    yield* deletePod("submitted", 30)
    const ending = yield* getPod("submitted")
    yield* mustEqual(ending.metadata.deletionGracePeriodSeconds, 30, "grace")
    yield* podIsGone("submitted")
    const [run] = yield* device.runtime.runs
    yield* must(run?.finishedAt !== undefined, "its process still runs")
    yield* mustEqual((yield* api.list(Pods, { namespace, labelSelector })).length, 0, "after")
  }),

  "should be updated [NodeConformance] [Conformance]": Effect.gen(function*() {
    const api = yield* KubeApi
    const before = yield* podRuns(running("updated", { time: "before" }))
    const labels = { ...before.metadata.labels, time: "after" }
    yield* api.patch(Pods, { namespace, name: "updated" }, { type: "strategic", body: { metadata: { labels } } })
    const listed = yield* api.list(Pods, { namespace, labelSelector: "time=after" })
    yield* mustEqual(listed.map(({ metadata }) => metadata.uid), [before.metadata.uid], "found by its new label")
    const after = yield* podUntil("updated", isReady, "is Ready")
    yield* mustEqual(after.status?.containerStatuses?.[0]?.restartCount, 0, "restarts")
  }),

  "should allow activeDeadlineSeconds to be updated [NodeConformance] [Conformance]": Effect.gen(function*() {
    const api = yield* KubeApi
    yield* podRuns(running("deadline"))
    yield* api.patch(Pods, { namespace, name: "deadline" }, {
      type: "strategic",
      body: { spec: { activeDeadlineSeconds: 5 } }
    })
    const after = yield* podUntil("deadline", ({ status }) => status?.phase === "Failed", "is over", 60)
    yield* mustEqual(after.status?.reason, "DeadlineExceeded", "reason")
  }),

  "should contain environment variables for services [NodeConformance] [Conformance]": Effect.gen(function*() {
    const api = yield* KubeApi
    yield* podRuns(running("server", { name: "fooserver" }))
    yield* api.create(Services, {
      apiVersion: "v1",
      kind: "Service",
      metadata: { namespace, name: "fooservice" },
      spec: { selector: { name: "fooserver" }, ports: [{ port: 8765, targetPort: 8080 }] }
    })
    const service = yield* api.get(Services, { namespace, name: "fooservice" })
    const address = service.spec?.clusterIP ?? ""
    yield* must(address !== "", "the Service has no address")
    // The operator's watch of Services and its watch of pods are two: a kubelet's are as well.
    yield* Effect.sleep("1 second")
    const printed = yield* printedBy(podOf("client", { command: ["env"] }))
    yield* mustContain(
      printed,
      `FOOSERVICE_SERVICE_HOST=${address}\n`,
      "FOOSERVICE_SERVICE_PORT=8765\n",
      `FOOSERVICE_PORT=tcp://${address}:8765\n`,
      "FOOSERVICE_PORT_8765_TCP_PORT=8765\n",
      "FOOSERVICE_PORT_8765_TCP_PROTO=tcp\n",
      `FOOSERVICE_PORT_8765_TCP=tcp://${address}:8765\n`,
      `FOOSERVICE_PORT_8765_TCP_ADDR=${address}\n`
    )
  }),

  "should cap back-off at MaxContainerBackOff [Slow] [NodeConformance]": Effect.gen(function*() {
    yield* createPod(failing("capped"))
    yield* Effect.sleep("1 hour")
    const seen = yield* waits
    const cap = 300
    yield* must(seen.length > 8, `only ${seen.length} restarts in an hour`)
    yield* must(seen.every((wait) => wait < cap * 1.1), `a wait exceeds ${cap} s: ${seen.join(", ")}`)
    yield* must(seen.slice(-3).every((wait) => wait > cap * 0.9), `the last waits are no ${cap} s: ${seen.join(", ")}`)
  }),

  "should have their auto-restart back-off timer reset on image update [Slow] [NodeConformance]": Effect.gen(
    function*() {
      const api = yield* KubeApi
      yield* createPod(failing("reset"))
      yield* Effect.sleep("8 minutes")
      const before = yield* waits
      const longest = Math.max(...before)
      yield* must(longest > 60, `the back-off has not grown: ${before.join(", ")}`)
      yield* api.patch(Pods, { namespace, name: "reset" }, {
        type: "strategic",
        body: { spec: { containers: [{ name: "main", image: pause }] } }
      })
      yield* Effect.sleep("2 minutes")
      const after = (yield* waits).slice(before.length)
      yield* must(after.length > 1, `no restarts after the update: ${after.join(", ")}`)
      yield* must(
        after.slice(1).every((wait) => wait < longest),
        `still ${after.join(", ")} after the update, ${longest} before`
      )
    }
  ),

  "should delete a collection of pods [Conformance]": Effect.gen(function*() {
    const names = ["one", "two", "three"]
    for (const name of names) yield* podRuns(running(name, { type: "testing" }))
    yield* removeCollection(collection(Pods, "type=testing"))
    for (const name of names) yield* podIsGone(name)
  }),

  "should run through the lifecycle of Pods and PodStatus [Conformance]": Effect.gen(function*() {
    const api = yield* KubeApi
    const at = { namespace, name: "lifecycle" }
    yield* podRuns(running("lifecycle", { scenario: "lifecycle" }))
    yield* api.patch(Pods, at, {
      type: "strategic",
      body: {
        metadata: { labels: { patched: "yes" } },
        spec: { terminationGracePeriodSeconds: 5, containers: [{ name: "main", image: pause }] }
      }
    })
    const patched = yield* podUntil(
      "lifecycle",
      (pod) => pod.status?.containerStatuses?.[0]?.image === pause && isReady(pod),
      "runs its new image"
    )
    yield* mustEqual(patched.metadata.labels?.["patched"], "yes", "label")
    yield* mustEqual(patched.status?.containerStatuses?.[0]?.restartCount, 1, "restarts")

    const conditions = (patched.status?.conditions ?? []).map((each) =>
      each.type === "Ready" ? { ...each, status: "False" } : each
    )
    const unready = yield* api.patch(Pods, { ...at, subresource: "status" }, {
      type: "strategic",
      body: { status: { conditions } }
    })
    yield* mustEqual(isReady(unready), false, "Ready, as written into the status")
    yield* removeCollection(collection(Pods, "scenario=lifecycle"))
    yield* podIsGone("lifecycle")
  }),

  "should patch a pod status [Conformance]": Effect.gen(function*() {
    const api = yield* KubeApi
    const at = { namespace, name: "patched", subresource: "status" }
    yield* podRuns(running("patched"))
    const after = yield* api.patch(Pods, at, {
      type: "strategic",
      body: {
        metadata: { annotations: { patchedstatus: "true" } },
        status: { message: "Patched by a scenario", reason: "Scenario" }
      }
    })
    yield* mustEqual([after.status?.message, after.status?.reason], ["Patched by a scenario", "Scenario"], "status")
    yield* mustEqual(after.metadata.annotations?.["patchedstatus"], "true", "annotation")
  }),

  "should support remote command execution over websockets [NodeConformance] [Conformance]": skipped(
    "a WebSocket needs sockets, which the virtual world has not; test/adapters/kubelet/webSocket.test.ts has them"
  ),
  "should support retrieving logs from the container over websockets [NodeConformance] [Conformance]": skipped(
    "the WebSocket is the API server's own way to its client, and needs sockets, which the virtual world has not"
  ),
  "should support pod readiness gates [NodeConformance]": skipped(
    "readiness gates are not offered yet: a pod that has one is refused by name of the field"
  )
})

export const podsExtended = suite("[sig-node] Pods Extended", {
  "Pods Set QOS Class should be set on Pods with matching resource requests and limits for memory and cpu [Conformance]":
    Effect.gen(function*() {
      const amounts = { cpu: "100m", memory: "100Mi" }
      yield* createPod(podOf("guaranteed", { command: ["pause"], resources: { requests: amounts, limits: amounts } }))
      yield* mustEqual((yield* getPod("guaranteed")).status?.qosClass, "Guaranteed", "QoS class")
      const after = yield* podUntil("guaranteed", isReady, "is Ready")
      yield* mustEqual(after.status?.qosClass, "Guaranteed", "QoS class once it runs")
    })
})

export const podOs = suite("[sig-node] PodOSRejection", {
  "[NodeConformance] Kubelet should reject pod when the node OS doesn't match pod's OS": Effect.gen(function*() {
    yield* createPod(podOf("wrong-os", { command: ["pause"] }, { os: { name: "windows" } }))
    const after = yield* podUntil("wrong-os", ({ status }) => status?.phase === "Failed", "is rejected")
    yield* mustEqual(after.status?.reason, "PodOSNotSupported", "reason")
  })
})

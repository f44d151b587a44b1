/** A day apart, policy keep: everything of the device's pods is as it was, while the same pod on a plain Node is evicted. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Leases } from "../../../../core/kube/kinds.ts"
import { KubeApi } from "../../../../core/kube/KubeApi.ts"
import { Nodes } from "../../../../core/kube/Node.ts"
import { Pods } from "../../../../core/kube/Pod.ts"
import { microTimestamp, timestamp } from "../../../../core/kube/time.ts"
import { isMirrorPod } from "../../../../core/node/hostPod.ts"
import { inScene, type Scene } from "./scene.ts"

/** A Node that nobody is behind, Ready, with a pod that says it runs; nobody renews anything of either. */
const plainNode = (now: number) =>
  Effect.gen(function*() {
    const api = yield* KubeApi
    const time = timestamp(now)
    const condition = (type: string, status: "True" | "False") => ({
      type,
      status,
      lastHeartbeatTime: time,
      lastTransitionTime: time
    })
    yield* api.create(Nodes, { apiVersion: "v1", kind: "Node", metadata: { name: "plain" }, spec: {} })
    yield* api.create(Leases, {
      apiVersion: "coordination.k8s.io/v1",
      kind: "Lease",
      metadata: { namespace: "kube-node-lease", name: "plain" },
      spec: { holderIdentity: "plain", leaseDurationSeconds: 40, renewTime: microTimestamp(now) }
    })
    yield* api.patch(Nodes, { name: "plain", subresource: "status" }, {
      type: "strategic",
      body: { status: { conditions: [condition("Ready", "True"), condition("MemoryPressure", "False")] } }
    })
    yield* api.create(Pods, {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { namespace: "edge", name: "control" },
      spec: { nodeName: "plain", containers: [{ name: "main", image: "busybox:1.36" }] }
    })
    yield* api.patch(Pods, { namespace: "edge", name: "control", subresource: "status" }, {
      type: "merge",
      body: { status: { phase: "Running", conditions: [{ type: "Ready", status: "True" }] } }
    })
  })

const control = Effect.gen(function*() {
  const api = yield* KubeApi
  const { metadata, status } = yield* api.get(Pods, { namespace: "edge", name: "control" })
  const target = status?.conditions?.find(({ type }) => type === "DisruptionTarget")
  return metadata.deletionTimestamp === undefined ? "stays" : target?.reason
})

/** What may not change of the device's pods. */
const lasting = Effect.gen(function*() {
  const api = yield* KubeApi
  const workloads = (yield* api.list(Pods, {})).filter((pod) => pod.spec.nodeName === "edge-1" && !isMirrorPod(pod))
  return workloads.map(({ metadata, status }) => ({
    name: metadata.name,
    uid: metadata.uid,
    deleted: metadata.deletionTimestamp,
    container: status?.containerStatuses?.[0]?.containerID,
    restarts: status?.containerStatuses?.[0]?.restartCount
  }))
})

const day = (leave: (scene: Scene) => Effect.Effect<void>, comeBack: (scene: Scene) => Effect.Effect<void>) =>
  inScene({}, (scene) =>
    Effect.gen(function*() {
      const before = yield* lasting
      const runs = (yield* scene.runs).length
      assert.lengthOf(before, 4)
      yield* plainNode(scene.time.now)
      assert.strictEqual(yield* control, "stays")
      yield* leave(scene)
      yield* scene.wait("24 hours")
      assert.strictEqual(yield* control, "DeletionByTaintManager", "the control pod is evicted")
      assert.deepStrictEqual(yield* lasting, before)
      yield* comeBack(scene)
      yield* scene.wait("6 minutes")
      yield* scene.wait("1 minute")
      assert.deepStrictEqual(yield* lasting, before)
      assert.lengthOf(yield* scene.runs, runs, "no container ever began again")
      const back = (yield* scene.pods).filter(({ pod }) => pod.endsWith("edge-1"))
      assert.deepStrictEqual(back.map(({ ready }) => ready), ["True", "True", "True", "True"])
    }))

describe("a day apart, policy keep", () => {
  it.live(
    "with the device cut off: uids, containers and restart counts are as before",
    () => day(({ apart }) => apart(true), ({ apart }) => apart(false)),
    600_000
  )

  it.live(
    "with aranya stopped, while another Node stays Ready: uids, containers and restart counts are as before",
    () =>
      day(
        // The other device's Node is kept by nobody then: a Node with a kubelet of its own stands beside it.
        ({ operator, startOther }) => Effect.andThen(startOther, operator.kill),
        ({ operator }) => operator.start
      ),
    600_000
  )
})

describe("an hour without aranya, policy keep", () => {
  it.live(
    "keeps a pod that tolerates any taint for a minute, and its minute for other taints",
    () =>
      inScene({}, ({ allReady, node, operator, startOther, wait }) =>
        Effect.gen(function*() {
          const api = yield* KubeApi
          const any = { operator: "Exists", effect: "NoExecute", tolerationSeconds: 60 }
          yield* api.create(Pods, {
            metadata: { namespace: "edge", name: "brief" },
            spec: { nodeName: "edge-1", containers: [{ name: "main", image: "busybox:1.36" }], tolerations: [any] }
          })
          yield* allReady(6)
          const before = yield* lasting
          yield* startOther
          yield* operator.kill
          yield* wait("1 hour")
          assert.include((yield* node).taints, "node.kubernetes.io/unreachable:NoExecute")
          assert.deepStrictEqual(yield* lasting, before)
          const brief = yield* api.get(Pods, { namespace: "edge", name: "brief" })
          assert.deepInclude(brief.spec.tolerations ?? [], any)
        })),
    300_000
  )
})

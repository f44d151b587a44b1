/** The controllers of nodes and owners in virtual time: scheduling, node lifecycle, eviction, collection of orphans. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { at, type JsonObject, objectsAt, stringAt } from "../../../../adapters/kube/plane/object/json.ts"
import { ask, node, planeLayer, pod } from "./asking.ts"
import { pass, settled } from "./stepping.ts"

const pods = "/api/v1/namespaces/default/pods"

const nodeOf = (name: string) =>
  Effect.map(ask("GET", `${pods}/${name}`), ({ json }) => stringAt(json, "spec", "nodeName"))
const message = (name: string) =>
  Effect.map(
    ask("GET", `${pods}/${name}`),
    ({ json }) => stringAt(objectsAt(json, "status", "conditions")[0], "message")
  )

describe("the scheduler", () => {
  it.effect("respects selectors, affinity, taints, cordon and room, and says why a pod waits", () =>
    Effect.gen(function*() {
      yield* ask("POST", "/api/v1/nodes", {
        body: node("small", { labels: { zone: "a" }, status: { capacity: { cpu: "1", pods: "2" } } })
      })
      yield* ask("POST", "/api/v1/nodes", {
        body: node("tainted", { labels: { zone: "b" }, spec: { taints: [{ key: "edge", effect: "NoSchedule" }] } })
      })
      yield* ask("POST", "/api/v1/nodes", {
        body: node("closed", { labels: { zone: "a" }, spec: { unschedulable: true } })
      })
      yield* settled
      yield* ask("POST", pods, { body: pod("plain") })
      yield* ask("POST", pods, {
        body: pod("hungry", {
          spec: { containers: [{ name: "c", image: "x:1", resources: { requests: { cpu: "2" } } }] }
        })
      })
      yield* ask("POST", pods, {
        body: pod("tolerant", {
          spec: { nodeSelector: { zone: "b" }, tolerations: [{ key: "edge", operator: "Exists" }] }
        })
      })
      const term = { matchExpressions: [{ key: "zone", operator: "NotIn", values: ["a", "b"] }] }
      const affinity = {
        nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [term] } }
      }
      yield* ask("POST", pods, { body: pod("elsewhere", { spec: { affinity } }) })
      yield* settled
      assert.strictEqual(yield* nodeOf("plain"), "small")
      assert.strictEqual(yield* nodeOf("tolerant"), "tainted", yield* message("tolerant"))
      assert.strictEqual(yield* nodeOf("hungry"), undefined)
      assert.match((yield* message("hungry")) ?? "", /0\/3 nodes are available: .*Insufficient cpu/)
      assert.strictEqual(yield* nodeOf("elsewhere"), undefined)
      yield* ask("PATCH", "/api/v1/nodes/closed", { patch: "merge", body: { spec: { unschedulable: null } } })
      yield* settled
      assert.strictEqual(yield* nodeOf("hungry"), "closed")
    }).pipe(Effect.provide(planeLayer(["scheduler", "node-lifecycle"]))))

  it.effect("gives a node's port to one pod at a time, of each protocol and address", () =>
    Effect.gen(function*() {
      yield* ask("POST", "/api/v1/nodes", { body: node("one") })
      yield* settled
      const holding = (name: string, port: JsonObject, where: "containers" | "initContainers" = "containers") => {
        const holder = { name: "p", image: "x:1", ports: [{ containerPort: 80, ...port }] }
        const plain = { name: "c", image: "x:1" }
        return ask("POST", pods, {
          body: pod(name, {
            spec: where === "containers"
              ? { containers: [holder] }
              : { containers: [plain], initContainers: [{ ...holder, restartPolicy: "Always" }] }
          })
        })
      }
      yield* holding("first", { hostPort: 8080 })
      yield* holding("inside", {})
      yield* settled
      yield* holding("second", { hostPort: 8080 })
      yield* holding("addressed", { hostPort: 8080, hostIP: "10.0.0.1" })
      yield* holding("beside", { hostPort: 8080 }, "initContainers")
      yield* holding("datagrams", { hostPort: 8080, protocol: "UDP", hostIP: "10.0.0.1" })
      yield* settled
      yield* holding("elsewhere", { hostPort: 8080, protocol: "UDP", hostIP: "10.0.0.2" })
      yield* settled
      for (const name of ["first", "inside", "datagrams", "elsewhere"]) assert.strictEqual(yield* nodeOf(name), "one")
      for (const name of ["second", "addressed", "beside"]) {
        assert.isUndefined(yield* nodeOf(name))
        assert.strictEqual(
          yield* message(name),
          "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports."
        )
      }
      yield* ask("PATCH", `${pods}/first/status`, { patch: "strategic", body: { status: { phase: "Succeeded" } } })
      yield* settled
      const nodes = yield* Effect.forEach(["second", "addressed", "beside"], nodeOf)
      assert.deepStrictEqual(nodes.filter((name) => name === "one").length, 1)
    }).pipe(Effect.provide(planeLayer(["scheduler", "node-lifecycle"]))))
})

const lease = (name: string) => `/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/${name}`

const renewing = (name: string) =>
  Effect.gen(function*() {
    const body = {
      apiVersion: "coordination.k8s.io/v1",
      kind: "Lease",
      metadata: { name },
      spec: { holderIdentity: name, renewTime: "2026-01-01T00:00:00.000000Z" }
    }
    yield* ask("POST", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases", { body })
    let count = 0
    yield* Effect.gen(function*() {
      count += 1
      yield* ask("PATCH", lease(name), {
        patch: "merge",
        body: { spec: { renewTime: `2026-01-01T00:00:00.${String(count).padStart(6, "0")}Z` } }
      })
    }).pipe(Effect.delay("10 seconds"), Effect.forever, Effect.forkScoped)
  })

const readiness = (name: string) =>
  Effect.map(ask("GET", `/api/v1/nodes/${name}`), ({ json }) => ({
    ready: stringAt(
      objectsAt(json, "status", "conditions").find((condition) => condition["type"] === "Ready"),
      "status"
    ),
    taints: objectsAt(json, "spec", "taints").map((taint) =>
      `${stringAt(taint, "key")?.split("/")[1]}:${stringAt(taint, "effect")}`
    )
  }))

describe("the node lifecycle", () => {
  it.effect("calls a silent node unknown after 50 s, taints it, and evicts what does not tolerate that any more", () =>
    Effect.gen(function*() {
      yield* ask("POST", "/api/v1/nodes", { body: node("alive") })
      yield* ask("POST", "/api/v1/nodes", { body: node("silent") })
      yield* renewing("alive")
      const always = { key: "node.kubernetes.io/unreachable", operator: "Exists", effect: "NoExecute" }
      const brief = [{ ...always, tolerationSeconds: 10 }]
      yield* ask("POST", pods, { body: pod("brief", { spec: { nodeName: "silent", tolerations: brief } }) })
      yield* ask("POST", pods, {
        body: pod("patient", { spec: { nodeName: "silent", tolerations: [{ operator: "Exists" }] } })
      })
      const any = { operator: "Exists", effect: "NoExecute", tolerationSeconds: 10 }
      yield* ask("POST", pods, { body: pod("first", { spec: { nodeName: "silent", tolerations: [always, any] } }) })
      yield* ask("POST", pods, { body: pod("behind", { spec: { nodeName: "silent", tolerations: [any, always] } }) })
      yield* pass(40)
      assert.deepStrictEqual(yield* readiness("silent"), { ready: "True", taints: [] })
      yield* pass(20)
      assert.deepStrictEqual(yield* readiness("silent"), {
        ready: "Unknown",
        taints: ["unreachable:NoSchedule", "unreachable:NoExecute"]
      })
      assert.deepStrictEqual(yield* readiness("alive"), { ready: "True", taints: [] })
      yield* pass(15)
      const { json } = yield* ask("GET", `${pods}/brief`)
      assert.isString(at(json, "metadata", "deletionTimestamp"))
      assert.strictEqual(
        stringAt(objectsAt(json, "status", "conditions").find((c) => c["type"] === "DisruptionTarget"), "reason"),
        "DeletionByTaintManager"
      )
      const leaves = (name: string) =>
        Effect.map(ask("GET", `${pods}/${name}`), ({ json }) => at(json, "metadata", "deletionTimestamp") !== undefined)
      assert.isFalse(yield* leaves("patient"))
      assert.isFalse(yield* leaves("first"), "the first that tolerates a taint counts")
      assert.isTrue(yield* leaves("behind"))
      const conditions = [{ type: "Ready", status: "True", lastHeartbeatTime: "2026-01-01T00:02:00Z" }]
      yield* ask("PATCH", "/api/v1/nodes/silent/status", { patch: "strategic", body: { status: { conditions } } })
      yield* settled
      assert.deepStrictEqual(yield* readiness("silent"), { ready: "True", taints: [] })
    }).pipe(Effect.provide(planeLayer(["node-lifecycle", "taint-eviction"]))))

  it.effect("evicts in time under a taint that says nothing of when it came, however often the Node changes", () =>
    Effect.gen(function*() {
      yield* ask("POST", "/api/v1/nodes", { body: node("one") })
      const tolerations = [{ key: "edge", operator: "Exists", effect: "NoExecute", tolerationSeconds: 10 }]
      yield* ask("POST", pods, { body: pod("brief", { spec: { nodeName: "one", tolerations } }) })
      yield* ask("PATCH", "/api/v1/nodes/one", {
        patch: "merge",
        body: { spec: { taints: [{ key: "edge", effect: "NoExecute" }] } }
      })
      const leaves = Effect.map(
        ask("GET", `${pods}/brief`),
        ({ json }) => at(json, "metadata", "deletionTimestamp") !== undefined
      )
      for (const turn of [1, 2, 3, 4]) {
        yield* pass(2)
        yield* ask("PATCH", "/api/v1/nodes/one", {
          patch: "merge",
          body: { metadata: { labels: { turn: `${turn}` } } }
        })
        assert.isFalse(yield* leaves)
      }
      yield* pass(4)
      assert.isTrue(yield* leaves)
    }).pipe(Effect.provide(planeLayer(["taint-eviction"]))))

  it.effect("evicts nobody while every node is silent", () =>
    Effect.gen(function*() {
      yield* ask("POST", "/api/v1/nodes", { body: node("one") })
      yield* pass(70)
      assert.deepStrictEqual(yield* readiness("one"), { ready: "Unknown", taints: ["unreachable:NoSchedule"] })
    }).pipe(Effect.provide(planeLayer(["node-lifecycle"]))))
})

describe("garbage collection", () => {
  const map = (name: string, owner?: { readonly name: string; readonly uid: string }): JsonObject => ({
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: {
      name,
      ...(owner === undefined
        ? {}
        : {
          ownerReferences: [{
            apiVersion: "v1",
            kind: "ConfigMap",
            name: owner.name,
            uid: owner.uid,
            blockOwnerDeletion: true
          }]
        })
    }
  })
  const maps = "/api/v1/namespaces/default/configmaps"
  const family = Effect.gen(function*() {
    const { json } = yield* ask("POST", maps, { body: map("parent") })
    yield* ask("POST", maps, { body: map("child", { name: "parent", uid: stringAt(json, "metadata", "uid") ?? "" }) })
    yield* settled
  })
  const status = (name: string) => Effect.map(ask("GET", `${maps}/${name}`), (answer) => answer.status)

  it.effect("takes dependents with their owner", () =>
    Effect.gen(function*() {
      yield* family
      assert.strictEqual(yield* status("child"), 200)
      yield* ask("DELETE", `${maps}/parent`)
      yield* settled
      assert.strictEqual(yield* status("child"), 404)
    }).pipe(Effect.provide(planeLayer(["garbage-collector"]))))

  it.effect("keeps an owner in foreground deletion until its dependents are gone, and frees orphans", () =>
    Effect.gen(function*() {
      yield* family
      yield* ask("PATCH", `${maps}/child`, { patch: "merge", body: { metadata: { finalizers: ["a/b"] } } })
      yield* ask("DELETE", `${maps}/parent?propagationPolicy=Foreground`)
      yield* settled
      assert.strictEqual(yield* status("parent"), 200)
      yield* ask("PATCH", `${maps}/child`, { patch: "merge", body: { metadata: { finalizers: null } } })
      yield* settled
      assert.deepStrictEqual([yield* status("parent"), yield* status("child")], [404, 404])
      yield* family
      yield* ask("DELETE", `${maps}/parent?propagationPolicy=Orphan`)
      yield* settled
      assert.deepStrictEqual([yield* status("parent"), yield* status("child")], [404, 200])
    }).pipe(Effect.provide(planeLayer(["garbage-collector"]))))

  it.effect("finishes the pods of a node that is gone, after the quarantine", () =>
    Effect.gen(function*() {
      yield* ask("POST", pods, { body: pod("left", { spec: { nodeName: "gone" } }) })
      yield* pass(30)
      assert.strictEqual((yield* ask("GET", `${pods}/left`)).status, 200)
      yield* pass(40)
      assert.strictEqual((yield* ask("GET", `${pods}/left`)).status, 404)
    }).pipe(Effect.provide(planeLayer(["pod-garbage-collector"]))))
})

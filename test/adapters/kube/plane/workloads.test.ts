/** The controllers of workloads in virtual time: how they roll, replace, shrink, and hold evictions back. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { at, type JsonObject, objectAt, objectsAt, stringAt } from "../../../../adapters/kube/plane/object/json.ts"
import { ask, node, planeLayer } from "./asking.ts"
import { kubelets } from "./kubelets.ts"
import { pass, settled } from "./stepping.ts"

const pods = "/api/v1/namespaces/default/pods"

describe("a DaemonSet", () => {
  it.effect("has one pod on each node that fits, also on a node that comes later", () =>
    Effect.gen(function*() {
      const template = {
        metadata: { labels: { app: "d" } },
        spec: { nodeSelector: { zone: "a" }, containers: [{ name: "c", image: "x:1" }] }
      }
      yield* ask("POST", "/api/v1/nodes", { body: node("n1", { labels: { zone: "a" } }) })
      yield* ask("POST", "/api/v1/nodes", { body: node("n2", { labels: { zone: "b" } }) })
      yield* settled
      yield* ask("POST", "/apis/apps/v1/namespaces/default/daemonsets", {
        body: {
          apiVersion: "apps/v1",
          kind: "DaemonSet",
          metadata: { name: "d" },
          spec: { selector: { matchLabels: { app: "d" } }, template }
        }
      })
      yield* settled
      yield* ask("POST", "/api/v1/nodes", { body: node("n3", { labels: { zone: "a" } }) })
      yield* pass(2)
      const { json } = yield* ask("GET", `${pods}?labelSelector=app%3Dd`)
      assert.deepStrictEqual(objectsAt(json, "items").map((item) => stringAt(item, "spec", "nodeName")).toSorted(), [
        "n1",
        "n3"
      ])
    }).pipe(Effect.provide(planeLayer(["daemonset", "scheduler", "node-lifecycle"]))))

  it.effect("rolls when anything of its template changes, node by node, and counts who is up to date", () =>
    Effect.gen(function*() {
      const url = "/apis/apps/v1/namespaces/default/daemonsets"
      for (const name of ["n1", "n2"]) yield* ask("POST", "/api/v1/nodes", { body: node(name) })
      yield* settled
      const labels = { app: "d" }
      const container = { name: "c", image: "x:1", env: [{ name: "A", value: "1" }] }
      const set = {
        apiVersion: "apps/v1",
        kind: "DaemonSet",
        metadata: { name: "d" },
        spec: {
          selector: { matchLabels: labels },
          template: { metadata: { labels }, spec: { containers: [container] } }
        }
      }
      yield* ask("POST", url, { body: set })
      const status = Effect.map(ask("GET", `${url}/d`), ({ json }) => [
        at(json, "status", "updatedNumberScheduled"),
        at(json, "status", "numberReady")
      ])
      const values = Effect.map(
        ask("GET", pods),
        ({ json }) =>
          objectsAt(json, "items").map((item) =>
            stringAt(objectsAt(objectsAt(item, "spec", "containers")[0], "env")[0], "value")
          )
      )
      const round = Effect.andThen(settled, kubelets)
      yield* Effect.repeat(round, { times: 2 })
      yield* settled
      assert.deepStrictEqual(yield* status, [2, 2])
      const change = (env: JsonObject) =>
        ask("PATCH", `${url}/d`, {
          patch: "merge",
          body: {
            spec: {
              revisionHistoryLimit: 5,
              template: { spec: { containers: [{ env: [env], image: "x:1", name: "c" }] } }
            }
          }
        })
      yield* change({ value: "1", name: "A" })
      yield* settled
      assert.deepStrictEqual(yield* status, [2, 2], "the same in another order changes nothing")
      yield* change({ name: "A", value: "2" })
      yield* settled
      assert.deepStrictEqual(yield* status, [0, 1])
      for (let turn = 0; turn < 6; turn++) {
        assert.isAtLeast(Number((yield* status)[1]), 1, "one is ready at any time")
        yield* round
        yield* settled
      }
      assert.deepStrictEqual(yield* status, [2, 2])
      assert.deepStrictEqual(yield* values, ["2", "2"])
    }).pipe(Effect.provide(planeLayer(["daemonset", "scheduler", "node-lifecycle"]))))
})

describe("a StatefulSet", () => {
  const url = "/apis/apps/v1/namespaces/default/statefulsets"
  const labels = { app: "s" }
  const controllers = ["statefulset", "scheduler", "node-lifecycle"]

  const started = (replicas: number, strategy: JsonObject = { type: "RollingUpdate" }) =>
    Effect.gen(function*() {
      yield* ask("POST", "/api/v1/nodes", { body: node("one") })
      yield* settled
      yield* ask("POST", url, {
        body: {
          apiVersion: "apps/v1",
          kind: "StatefulSet",
          metadata: { name: "s" },
          spec: {
            replicas,
            serviceName: "s",
            updateStrategy: strategy,
            selector: { matchLabels: labels },
            template: { metadata: { labels }, spec: { containers: [{ name: "c", image: "x:1" }] } }
          }
        }
      })
      yield* Effect.repeat(round, { times: replicas })
    })
  const round = Effect.andThen(settled, Effect.andThen(kubelets, settled))
  const change = (spec: JsonObject) => ask("PATCH", `${url}/s`, { patch: "strategic", body: { spec } })
  const restarted = (turn: string) => change({ template: { metadata: { annotations: { turn } } } })
  /** Each pod with what its annotation says, `-` where it is going and `?` where it is not ready. */
  const seen = Effect.map(ask("GET", pods), ({ json }) =>
    objectsAt(json, "items").map((item) => {
      const ready = objectsAt(item, "status", "conditions").some((c) => c["type"] === "Ready" && c["status"] === "True")
      return [
        stringAt(item, "metadata", "name"),
        stringAt(item, "metadata", "annotations", "turn") ?? "",
        at(item, "metadata", "deletionTimestamp") === undefined ? "" : "-",
        ready ? "" : "?"
      ].join("")
    }).toSorted())
  const status = Effect.map(ask("GET", `${url}/s`), ({ json }) => objectAt(json, "status"))

  it.effect("rolls from the highest ordinal down, each ready before the next goes, and counts who is up to date", () =>
    Effect.gen(function*() {
      yield* started(3)
      const before = yield* status
      assert.deepStrictEqual([before["updatedReplicas"], before["currentReplicas"]], [3, 3])
      assert.strictEqual(before["currentRevision"], before["updateRevision"])
      yield* restarted("+")
      yield* settled
      assert.deepStrictEqual(yield* seen, ["s-0", "s-1", "s-2-"])
      const rolling = yield* status
      assert.deepStrictEqual([rolling["updatedReplicas"], rolling["currentReplicas"]], [0, 2])
      assert.strictEqual(rolling["currentRevision"], before["currentRevision"])
      assert.notStrictEqual(rolling["updateRevision"], before["updateRevision"])
      yield* round
      assert.deepStrictEqual(yield* seen, ["s-0", "s-1", "s-2+?"])
      yield* round
      assert.deepStrictEqual(yield* seen, ["s-0", "s-1-", "s-2+"])
      yield* Effect.repeat(round, { times: 4 })
      assert.deepStrictEqual(yield* seen, ["s-0+", "s-1+", "s-2+"])
      const after = yield* status
      assert.deepStrictEqual([after["updatedReplicas"], after["currentReplicas"]], [3, 3])
      assert.strictEqual(after["currentRevision"], rolling["updateRevision"])
    }).pipe(Effect.provide(planeLayer(controllers))))

  it.effect("leaves ordinals below its partition as they are, and all of them under OnDelete", () =>
    Effect.gen(function*() {
      yield* started(2, { type: "RollingUpdate", rollingUpdate: { partition: 1 } })
      yield* restarted("+")
      yield* Effect.repeat(round, { times: 5 })
      assert.deepStrictEqual(yield* seen, ["s-0", "s-1+"])
      yield* change({ updateStrategy: { type: "OnDelete", rollingUpdate: null } })
      yield* Effect.repeat(round, { times: 5 })
      assert.deepStrictEqual(yield* seen, ["s-0", "s-1+"])
    }).pipe(Effect.provide(planeLayer(controllers))))

  it.effect("rolls nothing while one of its pods is not ready", () =>
    Effect.gen(function*() {
      yield* started(2)
      yield* ask("PATCH", `${pods}/s-0/status`, {
        patch: "strategic",
        body: { status: { conditions: [{ type: "Ready", status: "False" }] } }
      })
      yield* restarted("+")
      yield* Effect.repeat(round, { times: 3 })
      assert.deepStrictEqual(yield* seen, ["s-0?", "s-1"])
    }).pipe(Effect.provide(planeLayer(controllers))))

  it.effect("shrinks from the highest number down, one after another", () =>
    Effect.gen(function*() {
      yield* started(11)
      yield* ask("DELETE", `${pods}/s-3`)
      yield* change({ replicas: 9 })
      yield* settled
      const going = Effect.map(seen, (all) => all.filter((each) => each.endsWith("-")))
      assert.deepStrictEqual(yield* going, ["s-3-"])
      yield* round
      assert.deepStrictEqual(yield* going, ["s-10-"])
      yield* round
      assert.deepStrictEqual(yield* going, ["s-9-"])
      yield* round
      assert.strictEqual((yield* seen).length, 9)
    }).pipe(Effect.provide(planeLayer(controllers))))
})

describe("a PodDisruptionBudget", () => {
  const url = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
  const apps = "/apis/apps/v1/namespaces/default"
  const labels = { app: "kept" }
  const round = Effect.andThen(settled, Effect.andThen(kubelets, settled))
  const workload = (kind: string, replicas: number) => ({
    apiVersion: "apps/v1",
    kind,
    metadata: { name: "kept" },
    spec: {
      replicas,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [{ name: "c", image: "x:1" }] } }
    }
  })
  const budget = (spec: JsonObject) => ({
    apiVersion: "policy/v1",
    kind: "PodDisruptionBudget",
    metadata: { name: "b" },
    spec: { selector: { matchLabels: labels }, ...spec }
  })
  const counts = Effect.map(
    ask("GET", `${url}/b`),
    ({ json }) =>
      ["expectedPods", "currentHealthy", "desiredHealthy", "disruptionsAllowed"].map((field) =>
        at(json, "status", field)
      )
  )
  const controllers = ["replicaset", "deployment", "disruption", "scheduler", "node-lifecycle"]

  it.effect("lets as many go as are ready beyond what it needs, and others once their replacements are ready", () =>
    Effect.gen(function*() {
      yield* ask("POST", "/api/v1/nodes", { body: node("one") })
      yield* ask("POST", url, { body: budget({ minAvailable: 2 }) })
      yield* settled
      assert.deepStrictEqual(yield* counts, [0, 0, 2, 0])
      yield* ask("POST", `${apps}/replicasets`, { body: workload("ReplicaSet", 3) })
      yield* round
      assert.deepStrictEqual(yield* counts, [3, 3, 2, 1])
      const names = Effect.map(
        ask("GET", pods),
        ({ json }) => objectsAt(json, "items").map((item) => stringAt(item, "metadata", "name") ?? "")
      )
      const [first = "", second = ""] = yield* names
      const evict = (name: string) =>
        Effect.map(
          ask("POST", `${pods}/${name}/eviction`, {
            body: { apiVersion: "policy/v1", kind: "Eviction", metadata: { name } }
          }),
          ({ status }) => status
        )
      assert.strictEqual(yield* evict(first), 201)
      assert.strictEqual(yield* evict(second), 429)
      yield* settled
      assert.deepStrictEqual(yield* counts, [4, 2, 2, 0], "one goes and another has begun")
      assert.strictEqual(yield* evict(second), 429)
      yield* Effect.repeat(round, { times: 1 })
      assert.deepStrictEqual(yield* counts, [3, 3, 2, 1])
      assert.strictEqual(yield* evict(second), 201)
    }).pipe(Effect.provide(planeLayer(controllers))))

  it.effect("measures shares by what a Deployment asks for", () =>
    Effect.gen(function*() {
      yield* ask("POST", "/api/v1/nodes", { body: node("one") })
      yield* ask("POST", url, { body: budget({ maxUnavailable: "30%" }) })
      yield* ask("POST", `${apps}/deployments`, { body: workload("Deployment", 4) })
      yield* Effect.repeat(round, { times: 2 })
      assert.deepStrictEqual(yield* counts, [4, 4, 2, 2])
      yield* ask("PATCH", `${url}/b`, { patch: "merge", body: { spec: { maxUnavailable: null, minAvailable: "60%" } } })
      yield* settled
      assert.deepStrictEqual(yield* counts, [4, 4, 3, 1])
      yield* ask("PATCH", `${apps}/deployments/kept`, { patch: "merge", body: { spec: { replicas: 10 } } })
      yield* settled
      assert.deepStrictEqual(yield* counts, [10, 4, 6, 0])
    }).pipe(Effect.provide(planeLayer(controllers))))
})

describe("a Job", () => {
  const url = "/apis/batch/v1/namespaces/default/jobs"
  const started = (spec: JsonObject) =>
    Effect.andThen(
      ask("POST", url, {
        body: {
          apiVersion: "batch/v1",
          kind: "Job",
          metadata: { name: "j" },
          spec: { template: { spec: { restartPolicy: "Never", containers: [{ name: "c", image: "x:1" }] } }, ...spec }
        }
      }),
      settled
    )
  const phases = Effect.map(ask("GET", pods), ({ json }) =>
    objectsAt(json, "items").map((item) => [
      stringAt(item, "metadata", "name") ?? "",
      stringAt(item, "status", "phase") ?? ""
    ]))
  const count = Effect.map(phases, (all) => all.length)
  const end = (phase: string) =>
    Effect.gen(function*() {
      for (const [name, before] of yield* phases) {
        if (before !== "Pending") continue
        yield* ask("PATCH", `${pods}/${name}/status`, { patch: "strategic", body: { status: { phase } } })
      }
      yield* settled
    })
  const conditions = Effect.map(
    ask("GET", `${url}/j`),
    ({ json }) => objectsAt(json, "status", "conditions").map((condition) => stringAt(condition, "reason"))
  )

  it.effect("replaces a pod that failed after 10 s, twice as long after each further one, at once after a success", () =>
    Effect.gen(function*() {
      yield* started({ completions: 2, backoffLimit: 4 })
      assert.strictEqual(yield* count, 1)
      for (const [made, seconds] of [[1, 10], [2, 20], [3, 40]] as const) {
        yield* end("Failed")
        yield* pass(seconds - 1)
        assert.strictEqual(yield* count, made)
        yield* pass(2)
        assert.strictEqual(yield* count, made + 1)
      }
      yield* end("Succeeded")
      assert.strictEqual(yield* count, 5)
      yield* end("Failed")
      yield* pass(11)
      assert.strictEqual(yield* count, 6)
      yield* end("Failed")
      assert.deepStrictEqual(yield* conditions, ["BackoffLimitExceeded"])
      yield* pass(60)
      assert.strictEqual(yield* count, 6)
    }).pipe(Effect.provide(planeLayer(["job"]))))

  it.effect("fails and takes its pods with it when its time is up, which does not run while it is suspended", () =>
    Effect.gen(function*() {
      yield* started({ activeDeadlineSeconds: 30, suspend: true })
      const suspend = (suspend: boolean) =>
        Effect.andThen(ask("PATCH", `${url}/j`, { patch: "merge", body: { spec: { suspend } } }), settled)
      yield* pass(40)
      assert.strictEqual(yield* count, 0)
      yield* suspend(false)
      yield* pass(20)
      assert.strictEqual(yield* count, 1)
      yield* suspend(true)
      yield* pass(20)
      yield* suspend(false)
      yield* pass(20)
      assert.strictEqual(yield* count, 1)
      yield* pass(12)
      assert.deepStrictEqual([yield* count, yield* conditions], [0, ["DeadlineExceeded"]])
    }).pipe(Effect.provide(planeLayer(["job"]))))
})

describe("a CronJob", () => {
  const url = "/apis/batch/v1/namespaces/default"
  const jobTemplate = {
    metadata: { labels: { errand: "yes" } },
    spec: { template: { spec: { restartPolicy: "Never", containers: [{ name: "c", image: "x:1" }] } } }
  }
  const create = (spec: JsonObject) =>
    ask("POST", `${url}/cronjobs`, {
      body: { apiVersion: "batch/v1", kind: "CronJob", metadata: { name: "c" }, spec: { jobTemplate, ...spec } }
    })
  const edit = (spec: JsonObject) =>
    Effect.andThen(ask("PATCH", `${url}/cronjobs/c`, { patch: "merge", body: { spec } }), settled)
  const jobs = Effect.map(
    ask("GET", `${url}/jobs?labelSelector=errand%3Dyes`),
    ({ json }) => objectsAt(json, "items").map((item) => stringAt(item, "metadata", "name")).toSorted()
  )
  const end = (name: string, type: "Complete" | "Failed") =>
    Effect.andThen(
      ask("PATCH", `${url}/jobs/${name}/status`, {
        patch: "merge",
        body: { status: { conditions: [{ type, status: "True" }] } }
      }),
      settled
    )

  it.effect("makes a Job each time it is due, not while it is suspended, and only the latest of those it missed", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* create({ schedule: "*/5 * * * *" })).status, 201)
      yield* pass(290)
      assert.deepStrictEqual(yield* jobs, [])
      yield* pass(15)
      assert.deepStrictEqual(yield* jobs, ["c-5"])
      const { json } = yield* ask("GET", `${url}/cronjobs/c`)
      assert.strictEqual(at(json, "status", "lastScheduleTime"), "1970-01-01T00:05:00Z")
      assert.deepStrictEqual(objectsAt(json, "status", "active").map((job) => job["name"]), ["c-5"])
      yield* edit({ suspend: true })
      yield* pass(1000)
      assert.deepStrictEqual(yield* jobs, ["c-5"])
      yield* edit({ suspend: false })
      assert.deepStrictEqual(yield* jobs, ["c-20", "c-5"])
      yield* edit({ suspend: true, startingDeadlineSeconds: 20 })
      yield* pass(400)
      yield* edit({ suspend: false })
      assert.deepStrictEqual(yield* jobs, ["c-20", "c-5"], "what is due for longer than its deadline is let go")
    }).pipe(Effect.provide(planeLayer(["cronjob"]))))

  it.effect("waits for the Job before under Forbid, ends it under Replace, and keeps as many as it should", () =>
    Effect.gen(function*() {
      yield* create({ schedule: "@hourly", concurrencyPolicy: "Forbid", successfulJobsHistoryLimit: 1 })
      yield* pass(3602)
      yield* pass(3600)
      assert.deepStrictEqual(yield* jobs, ["c-60"])
      yield* end("c-60", "Complete")
      assert.deepStrictEqual(yield* jobs, ["c-120", "c-60"])
      yield* edit({ concurrencyPolicy: "Replace" })
      yield* pass(3600)
      assert.deepStrictEqual(yield* jobs, ["c-180", "c-60"])
      yield* end("c-180", "Complete")
      assert.deepStrictEqual(yield* jobs, ["c-180"])
      yield* pass(3600)
      yield* end("c-240", "Failed")
      assert.deepStrictEqual(yield* jobs, ["c-180", "c-240"])
    }).pipe(Effect.provide(planeLayer(["cronjob"]))))

  it.effect("goes by its time zone, and is refused where it could never be followed", () =>
    Effect.gen(function*() {
      const refused = (spec: JsonObject) =>
        Effect.map(create(spec), ({ status, json }) => {
          assert.strictEqual(status, 422)
          return objectsAt(json, "details", "causes").map((cause) => stringAt(cause, "field"))
        })
      const schedules = ["* * * * * *", "61 * * * *", "0 0 31 2 *", "soon", ""]
      for (const schedule of schedules) assert.deepStrictEqual(yield* refused({ schedule }), ["spec.schedule"])
      assert.deepStrictEqual(yield* refused({ schedule: "@daily", timeZone: "Nowhere/At-all" }), ["spec.schedule"])
      assert.deepStrictEqual(yield* refused({ schedule: "@daily", concurrencyPolicy: "Maybe" }), [
        "spec.concurrencyPolicy"
      ])
      const template = { spec: { containers: [{ name: "c", image: "x:1" }] } }
      assert.deepStrictEqual(yield* refused({ schedule: "@daily", jobTemplate: { spec: { template } } }), [
        "spec.jobTemplate.spec.template.spec.restartPolicy"
      ])
      yield* create({ schedule: "0 2 * * *", timeZone: "Europe/Berlin" })
      yield* pass(3590)
      assert.deepStrictEqual(yield* jobs, [])
      yield* pass(15)
      assert.deepStrictEqual(yield* jobs, ["c-60"])
    }).pipe(Effect.provide(planeLayer(["cronjob"]))))
})

/** Objects through the handler: metadata, admission, validation, locking, deletion. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { at, type JsonObject, listAt, objectsAt, stringAt } from "../../../../adapters/kube/plane/object/json.ts"
import { ask, node, planeLayer, pod } from "./asking.ts"

const pods = "/api/v1/namespaces/default/pods"
const maps = "/api/v1/namespaces/default/configmaps"
const map = (name: string, more: JsonObject = {}): JsonObject => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name },
  ...more
})

describe("objects of the control plane", () => {
  it.layer(planeLayer())((it) => {
    it.effect("are born with uid, creation time and version", () =>
      Effect.gen(function*() {
        const { status, json } = yield* ask("POST", maps, { body: { ...map("x"), metadata: { generateName: "x-" } } })
        assert.strictEqual(status, 201)
        assert.match(stringAt(json, "metadata", "name") ?? "", /^x-[bcdfghjklmnpqrstvwxz2456789]{5}$/)
        assert.match(
          stringAt(json, "metadata", "uid") ?? "",
          /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
        )
        assert.strictEqual(at(json, "metadata", "creationTimestamp"), "1970-01-01T00:00:00Z")
      }))

    it.effect("refuse a write on an older version, and do not move on a write that changes nothing", () =>
      Effect.gen(function*() {
        const { json: first } = yield* ask("POST", maps, { body: map("lock") })
        const { json: second } = yield* ask("PATCH", `${maps}/lock`, { patch: "merge", body: { data: { a: "1" } } })
        const { json: same } = yield* ask("PATCH", `${maps}/lock`, { patch: "merge", body: { data: { a: "1" } } })
        assert.strictEqual(at(same, "metadata", "resourceVersion"), at(second, "metadata", "resourceVersion"))
        const stale = yield* ask("PUT", `${maps}/lock`, { body: first })
        assert.deepStrictEqual([stale.status, stale.json["reason"]], [409, "Conflict"])
        assert.strictEqual((yield* ask("POST", maps, { body: map("lock") })).json["reason"], "AlreadyExists")
      }))

    it.effect("go only if uid and version are those the deleter saw", () =>
      Effect.gen(function*() {
        yield* ask("POST", maps, { body: map("guarded") })
        const wrong = yield* ask("DELETE", `${maps}/guarded`, { body: { preconditions: { uid: "other" } } })
        assert.strictEqual(wrong.status, 409)
        assert.match(String(wrong.json["message"]), /the UID in the precondition \(other\) does not match/)
        assert.strictEqual((yield* ask("DELETE", `${maps}/guarded`)).status, 200)
        assert.strictEqual((yield* ask("GET", `${maps}/guarded`)).status, 404)
      }))

    it.effect("wait for their finalizers, and take no new ones while they go", () =>
      Effect.gen(function*() {
        yield* ask("POST", maps, { body: { ...map("held"), metadata: { name: "held", finalizers: ["a/b"] } } })
        yield* ask("DELETE", `${maps}/held`)
        const { json } = yield* ask("GET", `${maps}/held`)
        assert.isString(at(json, "metadata", "deletionTimestamp"))
        const more = yield* ask("PATCH", `${maps}/held`, {
          patch: "merge",
          body: { metadata: { finalizers: ["a/b", "c/d"] } }
        })
        assert.strictEqual(more.status, 422)
        yield* ask("PATCH", `${maps}/held`, { patch: "merge", body: { metadata: { finalizers: null } } })
        assert.strictEqual((yield* ask("GET", `${maps}/held`)).status, 404)
      }))

    it.effect("of kind Pod get the defaults, token volume, tolerations and QoS class of a real API server", () =>
      Effect.gen(function*() {
        const resources = { limits: { cpu: "1", memory: "1Gi" } }
        const probe = { httpGet: { port: 80 } }
        const spec = {
          containers: [{ name: "c", image: "nginx", resources, livenessProbe: probe, ports: [{ containerPort: 80 }] }]
        }
        const { json } = yield* ask("POST", pods, { body: pod("full", { spec }) })
        const container = objectsAt(json, "spec", "containers")[0]
        assert.strictEqual(at(container, "imagePullPolicy"), "Always")
        assert.deepStrictEqual(at(container, "resources", "requests"), resources.limits)
        assert.deepStrictEqual(at(container, "livenessProbe"), {
          httpGet: { port: 80, path: "/", scheme: "HTTP" },
          timeoutSeconds: 1,
          periodSeconds: 10,
          successThreshold: 1,
          failureThreshold: 3
        })
        assert.strictEqual(at(container, "ports", "0"), undefined)
        assert.strictEqual(at(json, "status", "qosClass"), "Guaranteed")
        assert.strictEqual(at(json, "spec", "serviceAccountName"), "default")
        const volume = objectsAt(json, "spec", "volumes")[0]
        assert.match(stringAt(volume, "name") ?? "", /^kube-api-access-/)
        assert.strictEqual(objectsAt(volume, "projected", "sources").length, 3)
        assert.strictEqual(
          stringAt(objectsAt(container, "volumeMounts")[0], "mountPath"),
          "/var/run/secrets/kubernetes.io/serviceaccount"
        )
        assert.deepStrictEqual(objectsAt(json, "spec", "tolerations").map((t) => [t["key"], t["tolerationSeconds"]]), [
          ["node.kubernetes.io/not-ready", 300],
          ["node.kubernetes.io/unreachable", 300]
        ])
        assert.strictEqual(at(json, "spec", "priority"), 0)
      }))

    it.effect("of kind Pod are refused with one cause per wrong field", () =>
      Effect.gen(function*() {
        const spec = {
          restartPolicy: "Sometimes",
          containers: [{ name: "C", image: "x" }, { name: "d", volumeMounts: [{ name: "nowhere", mountPath: "/x" }] }]
        }
        const { status, json } = yield* ask("POST", pods, { body: pod("wrong", { spec }) })
        assert.strictEqual(status, 422)
        assert.deepStrictEqual(listAt(json, "details", "causes").map((cause) => stringAt(cause, "field")), [
          "spec.containers[0].name",
          "spec.containers[1].image",
          "spec.containers[1].volumeMounts[0].name",
          "spec.restartPolicy"
        ])
      }))

    it.effect("of kind Pod are refused for a RuntimeClass that is not there, and for sysctls that are none or come twice", () =>
      Effect.gen(function*() {
        const classless = yield* ask("POST", pods, { body: pod("classless", { spec: { runtimeClassName: "gone" } }) })
        assert.strictEqual(classless.status, 403)
        assert.match(String(classless.json["message"]), /RuntimeClass "gone" not found/)
        const sysctls = ["foo-", "kernel.shmmax", "bar..", "net/ipv4/x", "net.ipv4.x", "safe-and-unsafe"]
          .map((name) => ({ name, value: "1" }))
        const { json } = yield* ask("POST", pods, { body: pod("set", { spec: { securityContext: { sysctls } } }) })
        assert.deepStrictEqual(listAt(json, "details", "causes").map((cause) => stringAt(cause, "field")), [
          "spec.securityContext.sysctls[0].name",
          "spec.securityContext.sysctls[2].name",
          "spec.securityContext.sysctls[4].name"
        ])
      }))

    it.effect("that are immutable stay so: neither their data nor that may change, their labels may", () =>
      Effect.gen(function*() {
        const body = { metadata: { name: "stone" }, immutable: true, data: { a: "1" } }
        yield* ask("POST", maps, { body: { apiVersion: "v1", kind: "ConfigMap", ...body } })
        const change = (body: JsonObject) =>
          Effect.map(ask("PATCH", `${maps}/stone`, { patch: "merge", body }), ({ status }) => status)
        assert.strictEqual(yield* change({ data: { a: "2" } }), 422)
        assert.strictEqual(yield* change({ immutable: false }), 422)
        assert.strictEqual(yield* change({ immutable: null }), 422)
        assert.strictEqual(yield* change({ metadata: { labels: { a: "b" } } }), 200)
      }))

    it.effect("of kind Pod change only in image, tolerations and deadline; a new toleration time is allowed", () =>
      Effect.gen(function*() {
        yield* ask("POST", pods, { body: pod("frozen") })
        const change = (body: JsonObject) => ask("PATCH", `${pods}/frozen`, { patch: "strategic", body })
        assert.strictEqual((yield* change({ spec: { containers: [{ name: "c", image: "busybox:2" }] } })).status, 200)
        assert.strictEqual((yield* change({ spec: { hostNetwork: true } })).status, 422)
        const forever = ["not-ready", "unreachable"].map((key) => ({
          key: `node.kubernetes.io/${key}`,
          operator: "Exists",
          effect: "NoExecute"
        }))
        assert.strictEqual((yield* change({ spec: { tolerations: forever } })).status, 200)
        assert.strictEqual((yield* change({ spec: { tolerations: [] } })).status, 422)
        const { json } = yield* ask("GET", `${pods}/frozen`)
        assert.strictEqual(at(json, "metadata", "generation"), 3)
      }))

    it.effect("keep status and spec apart; a status patch for another uid is refused", () =>
      Effect.gen(function*() {
        yield* ask("POST", pods, { body: pod("apart") })
        yield* ask("PATCH", `${pods}/apart`, { patch: "merge", body: { status: { phase: "Running" } } })
        assert.strictEqual(at((yield* ask("GET", `${pods}/apart`)).json, "status", "phase"), "Pending")
        const written = yield* ask("PATCH", `${pods}/apart/status`, {
          patch: "strategic",
          body: { metadata: { labels: { ride: "along" } }, spec: { nodeName: "sneaky" }, status: { phase: "Running" } }
        })
        assert.strictEqual(at(written.json, "status", "phase"), "Running")
        assert.strictEqual(at(written.json, "metadata", "labels", "ride"), "along")
        assert.strictEqual(at(written.json, "spec", "nodeName"), undefined)
        const other = yield* ask("PATCH", `${pods}/apart/status`, {
          patch: "strategic",
          body: { metadata: { uid: "other" }, status: { phase: "Failed" } }
        })
        assert.strictEqual(other.status, 422)
        assert.match(String(other.json["message"]), /metadata.uid: Invalid value: "other": field is immutable/)
      }))

    it.effect("let no container leave its end that their restart policy keeps there", () =>
      Effect.gen(function*() {
        const ended = (exitCode: number) => ({ terminated: { exitCode } })
        const says = (name: string, key: string, container: string, state: JsonObject) =>
          ask("PATCH", `${pods}/${name}/status`, {
            patch: "strategic",
            body: {
              status: { [key]: [{ name: container, image: "", imageID: "", ready: false, restartCount: 0, state }] }
            }
          })
        const init = [{ name: "i", image: "busybox" }]
        const sidecar = [{ name: "i", image: "busybox", restartPolicy: "Always" }]
        const cases = [
          ["Always", {}, "containerStatuses", "c", 0, 200],
          ["OnFailure", {}, "containerStatuses", "c", 1, 200],
          ["OnFailure", {}, "containerStatuses", "c", 0, 422],
          ["Never", {}, "containerStatuses", "c", 1, 422],
          ["Always", { initContainers: init }, "initContainerStatuses", "i", 0, 200],
          ["OnFailure", { initContainers: init }, "initContainerStatuses", "i", 0, 422],
          ["Never", { initContainers: sidecar }, "initContainerStatuses", "i", 0, 200],
          ["Always", {}, "ephemeralContainerStatuses", "e", 0, 422]
        ] as const
        for (const [index, [restartPolicy, more, key, container, code, expected]] of cases.entries()) {
          const name = `ends-${index}`
          const spec = { restartPolicy, containers: [{ name: "c", image: "busybox" }], ...more }
          assert.strictEqual((yield* ask("POST", pods, { body: pod(name, { spec }) })).status, 201)
          assert.strictEqual((yield* says(name, key, container, ended(code))).status, 200)
          assert.strictEqual((yield* says(name, key, container, ended(2))).status, 200)
          yield* says(name, key, container, ended(code))
          const { json, status } = yield* says(name, key, container, { running: {} })
          assert.strictEqual(status, expected, `${restartPolicy} ${key} ${code}`)
          if (expected === 200) continue
          assert.include(
            String(json["message"]),
            `status.${key}[0].state: Forbidden: may not be transitioned to non-terminated state`
          )
        }
      }))

    it.effect("keep the class that they were born with", () =>
      Effect.gen(function*() {
        yield* ask("POST", pods, { body: pod("classed") })
        const says = (qosClass: string) =>
          ask("PATCH", `${pods}/classed/status`, { patch: "strategic", body: { status: { qosClass } } })
        assert.strictEqual((yield* says("BestEffort")).status, 200)
        const { json, status } = yield* says("Guaranteed")
        assert.strictEqual(status, 422)
        assert.include(String(json["message"]), `status.qosClass: Invalid value: "Guaranteed": field is immutable`)
      }))

    it.effect("of kind Node start with the not-ready taint and their own status", () =>
      Effect.gen(function*() {
        const { json } = yield* ask("POST", "/api/v1/nodes", { body: node("fresh") })
        assert.deepStrictEqual(objectsAt(json, "spec", "taints"), [{
          key: "node.kubernetes.io/not-ready",
          effect: "NoSchedule"
        }])
        assert.deepStrictEqual(at(json, "status", "allocatable"), at(json, "status", "capacity"))
      }))

    it.effect("of kind Node have their amounts in the largest unit in which they are whole", () =>
      Effect.gen(function*() {
        yield* ask("POST", "/api/v1/nodes", { body: node("large") })
        const given = {
          cpu: "4000m",
          memory: "16777216Ki",
          "ephemeral-storage": "0Ki",
          pods: 1000,
          small: "1500m",
          odd: "1025Ki",
          part: "1.5Gi",
          tiny: "0.5Ki",
          power: "2e3"
        }
        const { json } = yield* ask("PATCH", "/api/v1/nodes/large/status", {
          patch: "strategic",
          body: { status: { capacity: given } }
        })
        assert.deepInclude(at(json, "status", "capacity"), {
          cpu: "4",
          memory: "16Gi",
          "ephemeral-storage": "0",
          pods: "1k",
          small: "1500m",
          odd: "1025Ki",
          part: "1536Mi",
          tiny: "512",
          power: "2e3"
        })
      }))
  })
})

describe("the deletion of a pod", () => {
  const bound = (name: string) => ask("POST", pods, { body: pod(name, { spec: { nodeName: "n" } }) })

  it.effect("is immediate while the pod is not bound", () =>
    Effect.gen(function*() {
      yield* ask("POST", pods, { body: pod("a") })
      yield* ask("DELETE", `${pods}/a`)
      assert.strictEqual((yield* ask("GET", `${pods}/a`)).status, 404)
    }).pipe(Effect.provide(planeLayer())))

  it.effect("leaves a bound pod to its node for the grace period, which a second DELETE can only shorten", () =>
    Effect.gen(function*() {
      yield* bound("b")
      yield* TestClock.adjust("10 seconds")
      const { json: first } = yield* ask("DELETE", `${pods}/b`)
      assert.strictEqual(at(first, "metadata", "deletionTimestamp"), "1970-01-01T00:00:40Z")
      assert.strictEqual(at(first, "metadata", "generation"), 2)
      const { json: longer } = yield* ask("DELETE", `${pods}/b`, { body: { gracePeriodSeconds: 100 } })
      assert.strictEqual(at(longer, "metadata", "deletionGracePeriodSeconds"), 30)
      const { json: shorter } = yield* ask("DELETE", `${pods}/b`, { body: { gracePeriodSeconds: 5 } })
      assert.strictEqual(at(shorter, "metadata", "deletionGracePeriodSeconds"), 5)
      assert.strictEqual(at(shorter, "metadata", "deletionTimestamp"), "1970-01-01T00:00:15Z")
      yield* ask("DELETE", `${pods}/b`, { body: { gracePeriodSeconds: 0 } })
      assert.strictEqual((yield* ask("GET", `${pods}/b`)).status, 404)
    }).pipe(Effect.provide(planeLayer())))

  it.effect("takes a negative grace for one second, and none for a pod that has ended", () =>
    Effect.gen(function*() {
      yield* bound("c")
      const { json } = yield* ask("DELETE", `${pods}/c`, { body: { gracePeriodSeconds: -1 } })
      assert.strictEqual(at(json, "metadata", "deletionGracePeriodSeconds"), 1)
      yield* bound("d")
      yield* ask("PATCH", `${pods}/d/status`, { patch: "strategic", body: { status: { phase: "Failed" } } })
      yield* ask("DELETE", `${pods}/d`)
      assert.strictEqual((yield* ask("GET", `${pods}/d`)).status, 404)
    }).pipe(Effect.provide(planeLayer())))

  it.effect("is only rehearsed where the options alone ask for a dry run: DELETE, deletecollection and eviction", () =>
    Effect.gen(function*() {
      const dry = { dryRun: ["All"] }
      yield* bound("e")
      yield* ask("DELETE", `${pods}/e`, { body: dry })
      yield* ask("DELETE", pods, { body: dry })
      const evict = (deleteOptions: JsonObject) =>
        ask("POST", `${pods}/e/eviction`, {
          body: { apiVersion: "policy/v1", kind: "Eviction", metadata: { name: "e" }, deleteOptions }
        })
      assert.strictEqual((yield* evict(dry)).status, 201)
      assert.isUndefined(at((yield* ask("GET", `${pods}/e`)).json, "metadata", "deletionTimestamp"))
      yield* evict({})
      assert.isString(at((yield* ask("GET", `${pods}/e`)).json, "metadata", "deletionTimestamp"))
    }).pipe(Effect.provide(planeLayer())))

  it.effect("by eviction draws upon a budget at once, unless it is rehearsed or takes nothing from anybody", () =>
    Effect.gen(function*() {
      const labels = { app: "kept" }
      const status = (name: string, ready: string) =>
        ask("PATCH", `${pods}/${name}/status`, {
          patch: "strategic",
          body: { status: { phase: "Running", conditions: [{ type: "Ready", status: ready }] } }
        })
      for (const name of ["f", "g", "h"]) {
        yield* ask("POST", pods, { body: pod(name, { metadata: { labels }, spec: { nodeName: "n" } }) })
        yield* status(name, "True")
      }
      const url = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
      yield* ask("POST", url, {
        body: {
          apiVersion: "policy/v1",
          kind: "PodDisruptionBudget",
          metadata: { name: "b" },
          spec: { minAvailable: 2, selector: { matchLabels: labels } }
        }
      })
      const evict = (name: string, deleteOptions: JsonObject = {}) =>
        Effect.map(
          ask("POST", `${pods}/${name}/eviction`, {
            body: { apiVersion: "policy/v1", kind: "Eviction", metadata: { name }, deleteOptions }
          }),
          (answer) => answer.status
        )
      const counted = (body: JsonObject) => ask("PATCH", `${url}/b/status`, { patch: "merge", body: { status: body } })
      const allowed = Effect.map(ask("GET", `${url}/b`), ({ json }) => at(json, "status", "disruptionsAllowed"))
      assert.strictEqual(yield* evict("f"), 429, "nobody has counted")
      yield* counted({ observedGeneration: 1, disruptionsAllowed: 1, currentHealthy: 3, desiredHealthy: 2 })
      assert.strictEqual(yield* evict("f", { dryRun: ["All"] }), 201)
      assert.strictEqual(yield* allowed, 1)
      assert.strictEqual(yield* evict("f"), 201)
      assert.strictEqual(yield* allowed, 0)
      assert.strictEqual(yield* evict("g"), 429)
      yield* status("h", "False")
      assert.strictEqual(yield* evict("h"), 201, "a pod that is not ready is missed by nobody while enough others are")
      assert.strictEqual(yield* allowed, 0)
    }).pipe(Effect.provide(planeLayer())))
})

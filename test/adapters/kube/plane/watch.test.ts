/** Watches in virtual time: what comes, in which order, and when a watcher must list again. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"
import { ControlPlane } from "../../../../adapters/kube/plane/ControlPlane.ts"
import { at, type JsonObject, stringAt } from "../../../../adapters/kube/plane/object/json.ts"
import { ask, planeLayer, pod, type Seen, watched } from "./asking.ts"

const maps = "/api/v1/namespaces/default/configmaps"
const map = (name: string, labels: JsonObject = {}): JsonObject => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, labels }
})
const short = ({ type, object }: Seen) =>
  `${type} ${stringAt(object, "metadata", "name") ?? stringAt(object, "reason") ?? ""}`

/** Collects a watch in the background; the test clock's next step lets it open. */
const recording = (url: string) =>
  Effect.gen(function*() {
    const seen: Array<Seen> = []
    const fiber = yield* watched(url).pipe(
      Stream.runForEach((event) => Effect.sync(() => seen.push(event))),
      Effect.forkScoped
    )
    yield* TestClock.adjust("1 millis")
    return { seen, fiber }
  })

const settled = TestClock.adjust("1 millis")

describe("a watch", () => {
  it.effect("brings the current state, then each change once", () =>
    Effect.gen(function*() {
      yield* ask("POST", maps, { body: map("a") })
      const { seen } = yield* recording(`${maps}?watch=true&fieldSelector=metadata.name!=kube-root-ca.crt`)
      yield* ask("PATCH", `${maps}/a`, { patch: "merge", body: { data: { k: "v" } } })
      yield* ask("POST", maps, { body: map("b") })
      yield* ask("DELETE", `${maps}/a`)
      yield* settled
      assert.deepStrictEqual(seen.map(short), ["ADDED a", "MODIFIED a", "ADDED b", "DELETED a"])
      assert.isAbove(
        Number(at(seen[3]?.object, "metadata", "resourceVersion")),
        Number(at(seen[2]?.object, "metadata", "resourceVersion"))
      )
    }).pipe(Effect.provide(planeLayer())))

  it.effect("resumes after a version without missing or repeating anything", () =>
    Effect.gen(function*() {
      yield* ask("POST", maps, { body: map("a") })
      const { json } = yield* ask("GET", maps)
      yield* ask("POST", maps, { body: map("b") })
      yield* ask("DELETE", `${maps}/a`)
      const { seen } = yield* recording(
        `${maps}?watch=true&resourceVersion=${stringAt(json, "metadata", "resourceVersion")}`
      )
      assert.deepStrictEqual(seen.map(short), ["ADDED b", "DELETED a"])
    }).pipe(Effect.provide(planeLayer())))

  it.effect("shows objects entering and leaving a selection", () =>
    Effect.gen(function*() {
      const { seen } = yield* recording(`${maps}?watch=true&labelSelector=tier%3Dedge`)
      yield* ask("POST", maps, { body: map("a") })
      yield* ask("PATCH", `${maps}/a`, { patch: "merge", body: { metadata: { labels: { tier: "edge" } } } })
      yield* ask("PATCH", `${maps}/a`, { patch: "merge", body: { metadata: { labels: { tier: null } } } })
      yield* settled
      assert.deepStrictEqual(seen.map(short), ["ADDED a", "DELETED a"])
    }).pipe(Effect.provide(planeLayer())))

  it.effect("of one node's pods costs and shows only those", () =>
    Effect.gen(function*() {
      const { seen } = yield* recording("/api/v1/pods?watch=true&fieldSelector=spec.nodeName%3Dn1")
      yield* ask("POST", "/api/v1/namespaces/default/pods", { body: pod("other", { spec: { nodeName: "n2" } }) })
      yield* ask("POST", "/api/v1/namespaces/default/pods", { body: pod("late") })
      yield* ask("POST", "/api/v1/namespaces/default/pods/late/binding", { body: { target: { name: "n1" } } })
      yield* settled
      assert.deepStrictEqual(seen.map(short), ["ADDED late"])
    }).pipe(Effect.provide(planeLayer())))

  it.effect("shows a pod's grace reach 0 before the pod is gone", () =>
    Effect.gen(function*() {
      const pods = "/api/v1/namespaces/default/pods"
      yield* ask("POST", pods, { body: pod("p", { spec: { nodeName: "n" } }) })
      const { seen } = yield* recording(`${pods}?watch=true`)
      yield* ask("DELETE", `${pods}/p`)
      yield* ask("DELETE", `${pods}/p?gracePeriodSeconds=0`)
      yield* settled
      assert.deepStrictEqual(
        seen.map((event) => [event.type, at(event.object, "metadata", "deletionGracePeriodSeconds")]),
        [["ADDED", undefined], ["MODIFIED", 30], ["MODIFIED", 0], ["DELETED", 0]]
      )
    }).pipe(Effect.provide(planeLayer())))

  it.effect("ends its initial events with an annotated bookmark, and bookmarks progress of others each minute", () =>
    Effect.gen(function*() {
      const url = `${maps}?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true`
      const { seen } = yield* recording(url)
      assert.deepStrictEqual(seen.map(({ type }) => type), ["ADDED", "BOOKMARK"])
      assert.strictEqual(at(seen[1]?.object, "metadata", "annotations", "k8s.io/initial-events-end"), "true")
      yield* ask("POST", "/api/v1/namespaces/default/secrets", {
        body: { apiVersion: "v1", kind: "Secret", metadata: { name: "s" } }
      })
      yield* TestClock.adjust("61 seconds")
      const { world } = yield* ControlPlane
      assert.strictEqual(seen[2]?.type, "BOOKMARK")
      assert.strictEqual(at(seen[2]?.object, "metadata", "resourceVersion"), String(world.store.version))
    }).pipe(Effect.provide(planeLayer())))

  it.effect("of a version that history no longer holds says 410", () =>
    Effect.gen(function*() {
      for (let i = 0; i < 40; i++) yield* ask("POST", maps, { body: map(`m${i}`) })
      const { seen } = yield* recording(`${maps}?watch=true&resourceVersion=1`)
      assert.strictEqual(seen[0]?.type, "ERROR")
      assert.strictEqual(at(seen[0]?.object, "code"), 410)
      assert.strictEqual(at(seen[0]?.object, "reason"), "Expired")
    }).pipe(Effect.provide(planeLayer([], { historyWindow: 8 }))))

  it.effect("ends after timeoutSeconds and leaves nothing behind", () =>
    Effect.gen(function*() {
      const { world } = yield* ControlPlane
      const before = world.store.listeners
      const { fiber } = yield* recording(`${maps}?watch=true&timeoutSeconds=30`)
      assert.strictEqual(world.store.listeners, before + 1)
      yield* TestClock.adjust("31 seconds")
      yield* Fiber.join(fiber)
      assert.strictEqual(world.store.listeners, before)
    }).pipe(Effect.provide(planeLayer())))

  it.effect("lists in pages that continue where the last one ended", () =>
    Effect.gen(function*() {
      for (let i = 0; i < 5; i++) yield* ask("POST", maps, { body: map(`page${i}`, { of: "five" }) })
      const names: Array<string> = []
      let next = ""
      do {
        const { json } = yield* ask(
          "GET",
          `${maps}?labelSelector=of%3Dfive&limit=2&continue=${encodeURIComponent(next)}`
        )
        names.push(
          ...(json["items"] as ReadonlyArray<JsonObject>).map((item) => stringAt(item, "metadata", "name") ?? "")
        )
        next = stringAt(json, "metadata", "continue") ?? ""
      } while (next !== "")
      assert.deepStrictEqual(names, ["page0", "page1", "page2", "page3", "page4"])
    }).pipe(Effect.provide(planeLayer())))
})

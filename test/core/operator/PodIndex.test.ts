import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Layer, Queue, Stream } from "effect"
import { KubeApi, type Observation } from "../../../core/kube/KubeApi.ts"
import type { Pod } from "../../../core/kube/Pod.ts"
import { PodIndex } from "../../../core/operator/PodIndex.ts"

const pod = (uid: string, version: number, { name = uid, node = "edge-1" } = {}): Pod => ({
  metadata: { namespace: "edge", name, uid, resourceVersion: String(version) },
  spec: { nodeName: node, containers: [] }
})

type Answer = Effect.Effect<ReadonlyArray<Pod>>

/** An index over a watch and lists that say what a test has them say. */
const made = Effect.gen(function*() {
  const told = yield* Queue.unbounded<Observation<Pod>>()
  const answers = yield* Queue.unbounded<Answer>()
  let keep = (_: Pod): boolean => true
  const api = Layer.mock(KubeApi, {
    observe: ((_: unknown, __: unknown, options: { readonly keep: (raw: Pod) => boolean }) => {
      keep = options.keep
      return Stream.fromQueue(told)
    }) as unknown as KubeApi["Service"]["observe"],
    list: (() => Effect.flatten(Queue.take(answers))) as unknown as KubeApi["Service"]["list"]
  })
  const index = Context.get(yield* Layer.build(Layer.provide(PodIndex.layer, api)), PodIndex)
  const rest = Effect.forEach(Array.from({ length: 20 }), () => Effect.yieldNow, { discard: true })
  /** As the reflector says it: what is not to be kept is passed over. */
  const happens = (...observations: ReadonlyArray<Observation<Pod>>) =>
    Effect.andThen(
      Effect.sync(() => {
        for (const observation of observations) {
          if (observation._tag === "Synced" || keep(observation.object)) Queue.offerUnsafe(told, observation)
        }
      }),
      rest
    )
  const answer = (...found: ReadonlyArray<Pod>) => Queue.offer(answers, Effect.succeed(found))
  const changes: Array<string> = []
  return {
    index,
    happens,
    answer,
    rest,
    /** Lists wait in line for these. */
    answers,
    changes,
    serve: index.serve("edge-1", (uid) => void changes.push(uid)),
    uids: () => index.onNode("edge-1").map(({ metadata }) => metadata.uid)
  }
})

const set = (object: Pod): Observation<Pod> => ({ _tag: "Set", object })
const deleted = (object: Pod): Observation<Pod> => ({ _tag: "Deleted", object })
const synced: Observation<Pod> = { _tag: "Synced" }

describe("PodIndex", () => {
  it.effect("has the pods that the watch passed over before their node was served", () =>
    Effect.gen(function*() {
      const { answer, changes, happens, index, serve, uids } = yield* made
      yield* happens(set(pod("a", 1)), set(pod("other", 2, { node: "elsewhere" })), synced)
      yield* answer(pod("a", 1))
      yield* serve
      assert.deepStrictEqual(uids(), ["a"])
      assert.deepStrictEqual(changes, ["a"])
      yield* happens(set(pod("a", 5)))
      assert.strictEqual(index.byName("edge", "a")?.metadata.resourceVersion, "5")
    }).pipe(Effect.scoped))

  it.effect("tells when one of those is deleted that never changed", () =>
    Effect.gen(function*() {
      const { answer, changes, happens, serve, uids } = yield* made
      yield* happens(set(pod("a", 1)), synced)
      yield* answer(pod("a", 1))
      yield* serve
      yield* happens(deleted(pod("a", 7)))
      assert.deepStrictEqual(uids(), [])
      assert.deepStrictEqual(changes, ["a", "a"])
    }).pipe(Effect.scoped))

  it.effect("asks again for those when the watch begins anew without them, and tells that they are gone", () =>
    Effect.gen(function*() {
      const { answer, changes, happens, index, rest, serve, uids } = yield* made
      yield* happens(set(pod("web-1", 1, { name: "web" })), set(pod("stays", 2)), synced)
      yield* answer(pod("web-1", 1, { name: "web" }), pod("stays", 2))
      yield* serve
      // Deleted and made anew elsewhere under its name while nobody watched; the other one is listed.
      yield* answer(pod("stays", 2))
      yield* happens(set(pod("stays", 2)), synced)
      yield* rest
      assert.deepStrictEqual(uids(), ["stays"])
      assert.include(changes.slice(3), "web-1")
      assert.isUndefined(index.byName("edge", "web"))
    }).pipe(Effect.scoped))

  it.effect("does not ask again for what the watch has told", () =>
    Effect.gen(function*() {
      const { answer, answers, happens, rest, serve, uids } = yield* made
      yield* happens(set(pod("a", 1)), synced)
      yield* answer(pod("a", 1))
      yield* serve
      yield* answer()
      yield* happens(set(pod("a", 3)), synced)
      yield* rest
      assert.deepStrictEqual(uids(), ["a"])
      assert.strictEqual(yield* Queue.size(answers), 1)
    }).pipe(Effect.scoped))

  it.effect("does not bring back what is deleted while it asks", () =>
    Effect.gen(function*() {
      const { answers, happens, rest, serve, uids } = yield* made
      yield* happens(set(pod("a", 1)), synced)
      const slow = yield* Deferred.make<ReadonlyArray<Pod>>()
      yield* Queue.offer(answers, Deferred.await(slow))
      const serving = yield* Effect.forkScoped(serve)
      yield* rest
      yield* happens(deleted(pod("a", 4)))
      yield* Deferred.succeed(slow, [pod("a", 1)])
      yield* rest
      assert.deepStrictEqual(uids(), [])
      assert.isDefined(serving.pollUnsafe())
    }).pipe(Effect.scoped))

  it.effect("asks anew where the watch began anew meanwhile", () =>
    Effect.gen(function*() {
      const { answer, answers, happens, rest, serve, uids } = yield* made
      yield* happens(set(pod("a", 1)), synced)
      const slow = yield* Deferred.make<ReadonlyArray<Pod>>()
      yield* Queue.offer(answers, Deferred.await(slow))
      yield* Effect.forkScoped(serve)
      yield* rest
      // Listed without the pod: nothing will tell that it is gone.
      yield* happens(synced)
      yield* answer()
      yield* Deferred.succeed(slow, [pod("a", 1)])
      yield* rest
      assert.deepStrictEqual(uids(), [])
    }).pipe(Effect.scoped))
})

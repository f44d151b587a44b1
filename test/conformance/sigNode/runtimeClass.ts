/** RuntimeClasses: admission of pods that ask for one, and their life in the API. A device itself has none. */
import { Effect } from "effect"
import { KubeApi } from "../../../core/kube/KubeApi.ts"
import { resourcePath } from "../../../core/kube/KubeResource.ts"
import type { Pod } from "../../../core/kube/Pod.ts"
import { type AnyObject, RuntimeClasses } from "../anyResource.ts"
import { removeCollection } from "../collection.ts"
import { createPod, mustBeRefused, mustEqual, podOf } from "../podVocabulary.ts"
import { suite } from "../Scenario.ts"

const runtimeClass = (name: string, more: object = {}): AnyObject => ({
  apiVersion: "node.k8s.io/v1",
  kind: "RuntimeClass",
  metadata: { name, labels: { scenario: "classes" } },
  handler: "test-handler",
  ...more
})

const podFor = (runtimeClassName: string): Pod => podOf("with-class", {}, { runtimeClassName })

const overheadOf = ({ spec }: Pod): unknown => (spec as { readonly overhead?: unknown }).overhead

export const runtimeClasses = suite("[sig-node] RuntimeClass", {
  "should reject a Pod requesting a non-existent RuntimeClass [NodeConformance] [Conformance]": mustBeRefused(
    createPod(podFor("nonexistent")),
    "Forbidden"
  ),

  "should reject a Pod requesting a deleted RuntimeClass [NodeConformance] [Conformance]": Effect.gen(function*() {
    const api = yield* KubeApi
    yield* api.create(RuntimeClasses, runtimeClass("deleted"))
    yield* api.delete(RuntimeClasses, { name: "deleted" })
    yield* mustBeRefused(createPod(podFor("deleted")), "Forbidden")
  }),

  "should schedule a Pod requesting a RuntimeClass without PodOverhead [NodeConformance] [Conformance]": Effect.gen(
    function*() {
      const api = yield* KubeApi
      yield* api.create(RuntimeClasses, runtimeClass("plain"))
      yield* mustEqual(overheadOf(yield* createPod(podFor("plain"))), undefined, "overhead")
    }
  ),

  "should schedule a Pod requesting a RuntimeClass and initialize its Overhead [NodeConformance] [Conformance]": Effect
    .gen(function*() {
      const api = yield* KubeApi
      const podFixed = { cpu: "10m", memory: "1Mi" }
      yield* api.create(RuntimeClasses, runtimeClass("heavy", { overhead: { podFixed } }))
      yield* mustEqual(overheadOf(yield* createPod(podFor("heavy"))), podFixed, "overhead")
    }),

  "should support RuntimeClasses API operations [Conformance]": Effect.gen(function*() {
    const api = yield* KubeApi
    const labelSelector = "scenario=classes"
    for (const name of ["one", "two", "three"]) yield* api.create(RuntimeClasses, runtimeClass(name))
    yield* mustBeRefused(api.create(RuntimeClasses, runtimeClass("one")), "AlreadyExists")
    const read = yield* api.get(RuntimeClasses, { name: "one" })
    yield* mustEqual(read["handler"], "test-handler", "handler")
    yield* mustEqual((yield* api.list(RuntimeClasses, { labelSelector })).length, 3, "listed")
    const annotations = { patched: "true" }
    yield* api.patch(RuntimeClasses, { name: "one" }, { type: "merge", body: { metadata: { annotations } } })
    const patched = yield* api.get(RuntimeClasses, { name: "one" })
    yield* mustEqual(patched.metadata.annotations, annotations, "patched")
    yield* api.replace(RuntimeClasses, {
      ...patched,
      metadata: { ...patched.metadata, annotations: { ...annotations, updated: "true" } }
    })
    const updated = yield* api.get(RuntimeClasses, { name: "one" })
    yield* mustEqual(updated.metadata.annotations?.["updated"], "true", "updated")
    yield* api.delete(RuntimeClasses, { name: "one" })
    yield* mustBeRefused(api.get(RuntimeClasses, { name: "one" }), "NotFound")
    yield* removeCollection(
      `${resourcePath(RuntimeClasses, {})}?labelSelector=${encodeURIComponent(labelSelector)}`
    )
    yield* mustEqual((yield* api.list(RuntimeClasses, { labelSelector })).length, 0, "left over")
  })
})

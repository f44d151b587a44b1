/** PodTemplates in the API. */
import { Effect } from "effect"
import { KubeApi } from "../../../core/kube/KubeApi.ts"
import { type AnyObject, PodTemplates } from "../anyResource.ts"
import { namespace } from "../Cluster.ts"
import { collection, removeCollection } from "../collection.ts"
import { containerOf, mustBeRefused, mustEqual } from "../podVocabulary.ts"
import { suite } from "../Scenario.ts"

const labelSelector = "scenario=templates"

const template = (name: string): AnyObject => ({
  apiVersion: "v1",
  kind: "PodTemplate",
  metadata: { namespace, name, labels: { scenario: "templates" } },
  template: { metadata: { labels: { name } }, spec: { containers: [containerOf({})] } }
})

export const podTemplates = suite("[sig-node] PodTemplates", {
  "should run the lifecycle of PodTemplates [Conformance]": Effect.gen(function*() {
    const api = yield* KubeApi
    const at = { namespace, name: "nginx" }
    yield* api.create(PodTemplates, template("nginx"))
    const labels = { patched: "yes" }
    yield* api.patch(PodTemplates, at, { type: "strategic", body: { metadata: { labels } } })
    const read = yield* api.get(PodTemplates, at)
    yield* mustEqual(read.metadata.labels, { patched: "yes", scenario: "templates" }, "labels")
    yield* api.delete(PodTemplates, at)
    yield* mustBeRefused(api.get(PodTemplates, at), "NotFound")
    yield* mustEqual(yield* api.list(PodTemplates, { labelSelector }), [], "in all namespaces")
  }),

  "should delete a collection of pod templates [Conformance]": Effect.gen(function*() {
    const api = yield* KubeApi
    for (const name of ["one", "two", "three"]) yield* api.create(PodTemplates, template(name))
    yield* mustEqual((yield* api.list(PodTemplates, { namespace, labelSelector })).length, 3, "listed")
    yield* removeCollection(collection(PodTemplates, labelSelector))
    yield* mustEqual((yield* api.list(PodTemplates, { namespace, labelSelector })).length, 0, "left over")
  }),

  "should replace a pod template [Conformance]": Effect.gen(function*() {
    const api = yield* KubeApi
    const created = yield* api.create(PodTemplates, template("one"))
    const annotations = { updated: "true" }
    yield* api.replace(PodTemplates, { ...created, metadata: { ...created.metadata, annotations } })
    const read = yield* api.get(PodTemplates, { namespace, name: "one" })
    yield* mustEqual(read.metadata.annotations, annotations, "annotations")
  })
})

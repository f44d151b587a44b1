/** Secrets as environment, and their life in the API. */
import { Effect } from "effect"
import { type Secret, Secrets } from "../../../core/kube/kinds.ts"
import { KubeApi } from "../../../core/kube/KubeApi.ts"
import { namespace } from "../Cluster.ts"
import { collection, removeCollection } from "../collection.ts"
import { base64, mustBeRefused, mustContain, mustEqual, podOf, printedBy } from "../podVocabulary.ts"
import { suite } from "../Scenario.ts"

const secret = (name: string, data: Readonly<Record<string, string>>, labels = {}): Secret => ({
  apiVersion: "v1",
  kind: "Secret",
  metadata: { namespace, name, labels },
  data: Object.fromEntries(Object.entries(data).map(([key, value]) => [key, base64(value)]))
})

export const secrets = suite("[sig-node] Secrets", {
  "should be consumable from pods in env vars [NodeConformance] [Conformance]": Effect.gen(function*() {
    const api = yield* KubeApi
    yield* api.create(Secrets, secret("credentials", { "data-1": "value-1" }))
    const valueFrom = { secretKeyRef: { name: "credentials", key: "data-1" } }
    const printed = yield* printedBy(podOf("reader", { command: ["env"], env: [{ name: "SECRET_DATA", valueFrom }] }))
    yield* mustContain(printed, "SECRET_DATA=value-1\n")
  }),

  "should be consumable via the environment [NodeConformance] [Conformance]": Effect.gen(function*() {
    const api = yield* KubeApi
    yield* api.create(Secrets, secret("credentials", { data_1: "value-1", data_2: "value-2", data_3: "value-3" }))
    const printed = yield* printedBy(podOf("reader", {
      command: ["env"],
      envFrom: [{ secretRef: { name: "credentials" } }, { prefix: "p-", secretRef: { name: "credentials" } }]
    }))
    yield* mustContain(printed, "data_1=value-1\n", "data_2=value-2\n", "data_3=value-3\n")
    yield* mustContain(printed, "p-data_1=value-1\n", "p-data_2=value-2\n", "p-data_3=value-3\n")
  }),

  "should fail to create secret due to empty secret key [Conformance]": Effect.gen(function*() {
    const api = yield* KubeApi
    yield* mustBeRefused(api.create(Secrets, secret("credentials", { "": "value-1" })), "Invalid")
  }),

  "should patch a secret [Conformance]": Effect.gen(function*() {
    const api = yield* KubeApi
    yield* api.create(Secrets, secret("credentials", { key: "before" }, { scenario: "patch" }))
    const everywhere = yield* api.list(Secrets, { labelSelector: "scenario=patch" })
    yield* mustEqual(everywhere.map(({ metadata }) => metadata.name), ["credentials"], "listed in all namespaces")
    yield* api.patch(Secrets, { namespace, name: "credentials" }, {
      type: "strategic",
      body: { metadata: { labels: { patched: "yes" } }, data: { key: base64("after") } }
    })
    const patched = yield* api.get(Secrets, { namespace, name: "credentials" })
    yield* mustEqual(patched.data, { key: base64("after") }, "the data")
    yield* mustEqual(patched.metadata.labels, { patched: "yes", scenario: "patch" }, "the labels")
    yield* removeCollection(collection(Secrets, "scenario=patch"))
    yield* mustEqual((yield* api.list(Secrets, { labelSelector: "scenario=patch" })).length, 0, "left over")
  })
})

/** ConfigMaps as environment, and their life in the API. */
import { Effect } from "effect"
import { type ConfigMap, ConfigMaps } from "../../../core/kube/kinds.ts"
import { KubeApi } from "../../../core/kube/KubeApi.ts"
import { namespace } from "../Cluster.ts"
import { collection, removeCollection } from "../collection.ts"
import { mustBeRefused, mustContain, mustEqual, podOf, printedBy } from "../podVocabulary.ts"
import { suite } from "../Scenario.ts"

const configMap = (name: string, data: Readonly<Record<string, string>>, labels = {}): ConfigMap => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { namespace, name, labels },
  data
})

export const configMaps = suite("[sig-node] ConfigMap", {
  "should be consumable via environment variable [NodeConformance] [Conformance]": Effect.gen(function*() {
    const api = yield* KubeApi
    yield* api.create(ConfigMaps, configMap("settings", { "data-1": "value-1" }))
    const valueFrom = { configMapKeyRef: { name: "settings", key: "data-1" } }
    const printed = yield* printedBy(podOf("reader", { command: ["env"], env: [{ name: "CONFIG_DATA_1", valueFrom }] }))
    yield* mustContain(printed, "CONFIG_DATA_1=value-1\n")
  }),

  "should be consumable via the environment [NodeConformance] [Conformance]": Effect.gen(function*() {
    const api = yield* KubeApi
    yield* api.create(ConfigMaps, configMap("settings", { data_1: "value-1", data_2: "value-2", data_3: "value-3" }))
    const printed = yield* printedBy(podOf("reader", {
      command: ["env"],
      envFrom: [{ configMapRef: { name: "settings" } }, { prefix: "p-", configMapRef: { name: "settings" } }]
    }))
    yield* mustContain(printed, "data_1=value-1\n", "data_2=value-2\n", "data_3=value-3\n")
    yield* mustContain(printed, "p-data_1=value-1\n", "p-data_2=value-2\n", "p-data_3=value-3\n")
  }),

  "should fail to create ConfigMap with empty key [Conformance]": Effect.gen(function*() {
    const api = yield* KubeApi
    yield* mustBeRefused(api.create(ConfigMaps, configMap("settings", { "": "value-1" })), "Invalid")
  }),

  "should run through a ConfigMap lifecycle [Conformance]": Effect.gen(function*() {
    const api = yield* KubeApi
    yield* api.create(ConfigMaps, configMap("settings", { key: "before" }, { scenario: "lifecycle" }))
    yield* api.patch(ConfigMaps, { namespace, name: "settings" }, {
      type: "strategic",
      body: { metadata: { labels: { patched: "yes" } }, data: { key: "after" } }
    })
    const patched = yield* api.get(ConfigMaps, { namespace, name: "settings" })
    yield* mustEqual([patched.data, patched.metadata.labels?.["patched"]], [{ key: "after" }, "yes"], "the ConfigMap")
    const everywhere = yield* api.list(ConfigMaps, { labelSelector: "scenario=lifecycle" })
    yield* mustEqual(everywhere.map(({ metadata }) => metadata.name), ["settings"], "listed in all namespaces")
    yield* removeCollection(collection(ConfigMaps, "scenario=lifecycle"))
    yield* mustEqual((yield* api.list(ConfigMaps, { labelSelector: "scenario=lifecycle" })).length, 0, "left over")
  })
})

/** ConfigMap, Secret and downward fields in one directory. */
import { Effect } from "effect"
import { mustContain, podOf, printedBy, shell } from "../podVocabulary.ts"
import { suite } from "../Scenario.ts"
import { configMapVolume, secretVolume } from "./DataVolume.ts"

export const projectedCombined = suite("[sig-storage] Projected combined", {
  "should project all components that make up the projection API [Projection] [NodeConformance] [Conformance]": Effect
    .gen(function*() {
      yield* configMapVolume.create("settings", { "configmap-data": "configmap-value-1" })
      yield* secretVolume.create("credentials", { "secret-data": "secret-value-1" })
      const printed = yield* printedBy(podOf("reader", {
        ...shell("cat /all/podname; echo; cat /all/secret-data; echo; cat /all/configmap-data; echo"),
        volumeMounts: [{ name: "all", mountPath: "/all" }]
      }, {
        volumes: [{
          name: "all",
          projected: {
            sources: [
              { downwardAPI: { items: [{ path: "podname", fieldRef: { fieldPath: "metadata.name" } }] } },
              { secret: { name: "credentials" } },
              { configMap: { name: "settings" } }
            ]
          }
        }]
      }))
      yield* mustContain(printed, "reader\n", "secret-value-1\n", "configmap-value-1\n")
    })
})

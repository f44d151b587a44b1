/** ConfigMaps as volumes, by themselves and projected. */
import { Effect } from "effect"
import { ConfigMaps } from "../../../core/kube/kinds.ts"
import { KubeApi } from "../../../core/kube/KubeApi.ts"
import { namespace } from "../Cluster.ts"
import { mustContain, podOf, printedBy, shell } from "../podVocabulary.ts"
import { suite } from "../Scenario.ts"
import { isConsumed, isConsumedTwice, isUpdated, isUpdatedWhereOptional, nonRoot } from "./consumed.ts"
import { configMapVolume, type DataVolume, projectedConfigMap } from "./DataVolume.ts"
import { isImmutable } from "./immutable.ts"

const mapped = { path: "path/to/data-2", value: "value-2" }
const items = [{ key: "data-2", path: "path/to/data-2" }]

/** What upstream asks of both kinds. */
const both = (kind: DataVolume) => ({
  "should be consumable from pods in volume [NodeConformance] [Conformance]": isConsumed(kind),
  "should be consumable from pods in volume with defaultMode set [LinuxOnly] [NodeConformance] [Conformance]":
    isConsumed(kind, { shown: { defaultMode: 0o400 }, mode: "-r--------" }),
  "should be consumable from pods in volume as non-root [NodeConformance] [Conformance]": isConsumed(kind, {
    spec: nonRoot
  }),
  "should be consumable from pods in volume with mappings [NodeConformance] [Conformance]": isConsumed(kind, {
    ...mapped,
    shown: { items }
  }),
  "should be consumable from pods in volume with mappings and Item mode set [LinuxOnly] [NodeConformance] [Conformance]":
    isConsumed(kind, {
      ...mapped,
      shown: { items: items.map((item) => ({ ...item, mode: 0o400 })) },
      mode: "-r--------"
    }),
  "should be consumable from pods in volume with mappings as non-root [NodeConformance] [Conformance]": isConsumed(
    kind,
    { ...mapped, shown: { items }, spec: nonRoot }
  ),
  "should be consumable in multiple volumes in the same pod [NodeConformance] [Conformance]": isConsumedTwice(kind),
  "updates should be reflected in volume [NodeConformance] [Conformance]": isUpdated(kind),
  "optional updates should be reflected in volume [NodeConformance] [Conformance]": isUpdatedWhereOptional(kind)
})

/** No text in any encoding. */
const binary = Buffer.from([0xde, 0xca, 0xfe, 0xba, 0xd0, 0xfe, 0xff]).toString("base64")

export const configMapVolumes = [
  ...suite("[sig-storage] ConfigMap", {
    ...both(configMapVolume),
    "binary data should be reflected in volume [NodeConformance] [Conformance]": Effect.gen(function*() {
      const api = yield* KubeApi
      yield* api.create(ConfigMaps, {
        apiVersion: "v1",
        kind: "ConfigMap",
        metadata: { namespace, name: "settings" },
        data: { "data-1": "value-1" },
        binaryData: { "dump.bin": binary }
      })
      const printed = yield* printedBy(podOf("reader", {
        ...shell("cat /etc/settings/data-1; echo; base64 /etc/settings/dump.bin"),
        volumeMounts: [{ name: "settings", mountPath: "/etc/settings" }]
      }, { volumes: [configMapVolume.volume("settings", "settings")] }))
      yield* mustContain(printed, "value-1\n", `${binary}\n`)
    }),
    "should be immutable if `immutable` field is set [Conformance]": isImmutable(ConfigMaps, {
      before: "before",
      after: "after"
    })
  }),
  ...suite("[sig-storage] Projected configMap", both(projectedConfigMap))
]

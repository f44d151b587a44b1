/** Secrets as volumes, by themselves and projected. */
import { Secrets } from "../../../core/kube/kinds.ts"
import { base64 } from "../podVocabulary.ts"
import { suite } from "../Scenario.ts"
import {
  isConsumed,
  isConsumedFromItsNamespace,
  isConsumedTwice,
  isUpdatedWhereOptional,
  nonRootInGroup,
  someGroup
} from "./consumed.ts"
import { type DataVolume, projectedSecret, secretVolume } from "./DataVolume.ts"
import { isImmutable } from "./immutable.ts"

const items = [{ key: "data-1", path: "new-path-data-1" }]
const path = "new-path-data-1"

/** What upstream asks of both kinds. */
const both = (kind: DataVolume) => ({
  "should be consumable from pods in volume [NodeConformance] [Conformance]": isConsumed(kind),
  "should be consumable from pods in volume with defaultMode set [LinuxOnly] [NodeConformance] [Conformance]":
    isConsumed(kind, { shown: { defaultMode: 0o400 }, mode: "-r--------" }),
  "should be consumable from pods in volume as non-root with defaultMode and fsGroup set [LinuxOnly] [NodeConformance] [Conformance]":
    isConsumed(kind, { shown: { defaultMode: 0o440 }, mode: "-r--r-----", spec: nonRootInGroup, group: someGroup }),
  "should be consumable from pods in volume with mappings [NodeConformance] [Conformance]": isConsumed(kind, {
    shown: { items },
    path
  }),
  "should be consumable from pods in volume with mappings and Item Mode set [LinuxOnly] [NodeConformance] [Conformance]":
    isConsumed(kind, { shown: { items: items.map((item) => ({ ...item, mode: 0o400 })) }, path, mode: "-r--------" }),
  "should be consumable in multiple volumes in a pod [NodeConformance] [Conformance]": isConsumedTwice(kind),
  "optional updates should be reflected in volume [NodeConformance] [Conformance]": isUpdatedWhereOptional(kind)
})

const elsewhere =
  "should be able to mount in a volume regardless of a different secret existing with same name in different namespace"

export const secretVolumes = [
  ...suite("[sig-storage] Secrets", {
    ...both(secretVolume),
    [`${elsewhere} [NodeConformance] [Conformance]`]: isConsumedFromItsNamespace(secretVolume),
    "should be immutable if `immutable` field is set [Conformance]": isImmutable(Secrets, {
      before: base64("before"),
      after: base64("after")
    })
  }),
  ...suite("[sig-storage] Projected secret", {
    ...both(projectedSecret),
    [`${elsewhere} [NodeConformance]`]: isConsumedFromItsNamespace(projectedSecret)
  })
]

/** Single files and directories of volumes that are written atomically. */
import { Effect } from "effect"
import type { Container, Volume } from "../../../core/kube/Pod.ts"
import { mustEqual, podOf, printedBy } from "../podVocabulary.ts"
import { suite } from "../Scenario.ts"
import { configMapVolume, projectedConfigMap, secretVolume } from "./DataVolume.ts"

const isMounted = Effect.fnUntraced(function*(
  volume: Volume,
  mount: Omit<NonNullable<Container["volumeMounts"]>[number], "name">,
  wanted: string
) {
  const printed = yield* printedBy(podOf("sub-path", {
    command: ["cat", mount.mountPath],
    volumeMounts: [{ name: "data", ...mount }]
  }, { volumes: [volume] }))
  yield* mustEqual(printed, wanted, "what the mounted file holds")
})

const data = { "the-key": "the value" }
const atFile = { mountPath: "/data/file", subPath: "the-key" }

export const subPaths = suite("[sig-storage] Subpath Atomic writer volumes", {
  "should support subpaths with configmap pod [Conformance]": Effect.andThen(
    configMapVolume.create("settings", data),
    isMounted(configMapVolume.volume("data", "settings"), atFile, "the value")
  ),
  "should support subpaths with configmap pod with mountPath of existing file [Conformance]": Effect.andThen(
    configMapVolume.create("settings", data),
    isMounted(
      configMapVolume.volume("data", "settings"),
      { mountPath: "/etc/resolv.conf", subPath: "the-key" },
      "the value"
    )
  ),
  "should support subpaths with secret pod [Conformance]": Effect.andThen(
    secretVolume.create("credentials", data),
    isMounted(secretVolume.volume("data", "credentials"), atFile, "the value")
  ),
  "should support subpaths with downward pod [Conformance]": isMounted(
    {
      name: "data",
      downwardAPI: { items: [{ path: "downward/podname", fieldRef: { fieldPath: "metadata.name" } }] }
    },
    { mountPath: "/data/file", subPath: "downward/podname" },
    "sub-path"
  ),
  "should support subpaths with projected pod [Conformance]": Effect.andThen(
    configMapVolume.create("settings", data),
    isMounted(projectedConfigMap.volume("data", "settings"), atFile, "the value")
  )
})

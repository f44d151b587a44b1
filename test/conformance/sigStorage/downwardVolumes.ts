/** What a pod is told about itself by files, in a volume of its own kind and in a projected one. */
import { Effect } from "effect"
import { KubeApi } from "../../../core/kube/KubeApi.ts"
import { Nodes } from "../../../core/kube/Node.ts"
import { type Container, Pods, type Volume } from "../../../core/kube/Pod.ts"
import { parseQuantity, toWhole } from "../../../core/pod/resolve/quantity.ts"
import { namespace, nodeName } from "../Cluster.ts"
import { mustContain, podOf, podPrints, podRuns, printedBy, shell } from "../podVocabulary.ts"
import { type Program, suite } from "../Scenario.ts"

type Items = NonNullable<NonNullable<Volume["downwardAPI"]>["items"]>
type Make = (items: Items, defaultMode?: number) => Volume

const own: Make = (items, defaultMode) => ({
  name: "podinfo",
  downwardAPI: { items, ...(defaultMode === undefined ? {} : { defaultMode }) }
})

const projected: Make = (items, defaultMode) => ({
  name: "podinfo",
  projected: { sources: [{ downwardAPI: { items } }], ...(defaultMode === undefined ? {} : { defaultMode }) }
})

const volumeMounts = [{ name: "podinfo", mountPath: "/etc/podinfo" }]

const podName: Items = [{ path: "podname", fieldRef: { apiVersion: "v1", fieldPath: "metadata.name" } }]

const tells = Effect.fnUntraced(function*(make: Make, resource: string, wanted: string, main: Partial<Container> = {}) {
  const items = [{ path: "amount", resourceFieldRef: { containerName: "main", resource } }]
  const printed = yield* printedBy(podOf("downward", {
    ...shell("cat /etc/podinfo/amount; echo"),
    volumeMounts,
    ...main
  }, { volumes: [make(items)] }))
  yield* mustContain(printed, `${wanted}\n`)
})

const resources = { requests: { cpu: "250m", memory: "32Mi" }, limits: { cpu: "1250m", memory: "64Mi" } }

const tellsAllocatable = Effect.fnUntraced(function*(make: Make, name: "cpu" | "memory") {
  const api = yield* KubeApi
  const { status } = yield* api.get(Nodes, { name: nodeName })
  yield* tells(make, `limits.${name}`, String(toWhole(parseQuantity(status?.allocatable?.[name] ?? "") ?? 0n)))
})

const hasMode = Effect.fnUntraced(function*(volume: Volume) {
  const printed = yield* printedBy(
    podOf("downward", { ...shell("permissions /etc/podinfo/podname"), volumeMounts }, { volumes: [volume] })
  )
  yield* mustContain(printed, "/etc/podinfo/podname -r--------\n")
})

const follows = Effect.fnUntraced(function*(make: Make, what: "labels" | "annotations") {
  const api = yield* KubeApi
  const items = [{ path: what, fieldRef: { apiVersion: "v1", fieldPath: `metadata.${what}` } }]
  const pod = yield* podRuns(podOf(
    "downward",
    { ...shell(`repeat cat /etc/podinfo/${what}`), volumeMounts },
    { volumes: [make(items)] },
    { namespace, name: "downward", [what]: { builder: "bar" } }
  ))
  yield* podPrints(pod, "builder=\"bar\"")
  yield* api.patch(Pods, { namespace, name: "downward" }, {
    type: "merge",
    body: { metadata: { [what]: { builder: "foo" } } }
  })
  yield* podPrints(pod, "builder=\"foo\"")
})

const each = (make: Make): Readonly<Record<string, Program>> => ({
  "should provide podname only [NodeConformance] [Conformance]": Effect.gen(function*() {
    const printed = yield* printedBy(
      podOf("downward", { command: ["cat", "/etc/podinfo/podname"], volumeMounts }, { volumes: [make(podName)] })
    )
    yield* mustContain(printed, "downward")
  }),
  "should set DefaultMode on files [LinuxOnly] [NodeConformance] [Conformance]": hasMode(make(podName, 0o400)),
  "should set mode on item file [LinuxOnly] [NodeConformance] [Conformance]": hasMode(
    make(podName.map((item) => ({ ...item, mode: 0o400 })))
  ),
  "should update labels on modification [NodeConformance] [Conformance]": follows(make, "labels"),
  "should update annotations on modification [NodeConformance] [Conformance]": follows(make, "annotations"),
  "should provide container's cpu limit [NodeConformance] [Conformance]": tells(make, "limits.cpu", "2", { resources }),
  "should provide container's memory limit [NodeConformance] [Conformance]": tells(make, "limits.memory", "67108864", {
    resources
  }),
  "should provide container's cpu request [NodeConformance] [Conformance]": tells(make, "requests.cpu", "1", {
    resources
  }),
  "should provide container's memory request [NodeConformance] [Conformance]": tells(
    make,
    "requests.memory",
    "33554432",
    { resources }
  ),
  "should provide node allocatable (cpu) as default cpu limit if the limit is not set [NodeConformance] [Conformance]":
    tellsAllocatable(make, "cpu"),
  "should provide node allocatable (memory) as default memory limit if the limit is not set [NodeConformance] [Conformance]":
    tellsAllocatable(make, "memory")
})

export const downwardVolumes = [
  ...suite("[sig-storage] Downward API volume", each(own)),
  ...suite("[sig-storage] Projected downwardAPI", each(projected))
]

/** What a pod is told about itself and its node by its environment. */
import { Effect } from "effect"
import { KubeApi } from "../../../core/kube/KubeApi.ts"
import { Nodes } from "../../../core/kube/Node.ts"
import type { Container } from "../../../core/kube/Pod.ts"
import { parseQuantity, toWhole } from "../../../core/pod/resolve/quantity.ts"
import { nodeName } from "../Cluster.ts"
import { getPod, must, mustContain, podOf, printedBy } from "../podVocabulary.ts"
import { suite } from "../Scenario.ts"

type Variables = NonNullable<Container["env"]>

const fields = (given: Readonly<Record<string, string>>): Variables =>
  Object.entries(given).map(([name, fieldPath]) => ({ name, valueFrom: { fieldRef: { apiVersion: "v1", fieldPath } } }))

const amounts: Variables = [
  { name: "CPU_LIMIT", valueFrom: { resourceFieldRef: { resource: "limits.cpu" } } },
  { name: "MEMORY_LIMIT", valueFrom: { resourceFieldRef: { resource: "limits.memory" } } },
  { name: "CPU_REQUEST", valueFrom: { resourceFieldRef: { resource: "requests.cpu" } } },
  { name: "MEMORY_REQUEST", valueFrom: { resourceFieldRef: { resource: "requests.memory" } } }
]

const address = /^(\d+\.){3}\d+$/

const mustBeAddresses = (printed: string, ...names: ReadonlyArray<string>) =>
  Effect.forEach(names, (name) => {
    const value = new RegExp(`^${name}=(.*)$`, "m").exec(printed)?.[1] ?? ""
    return must(address.test(value), `${name} is ${JSON.stringify(value)}, no address`)
  }, { discard: true })

export const downwardApi = suite("[sig-node] Downward API", {
  "should provide pod name, namespace and IP address as env vars [NodeConformance] [Conformance]": Effect.gen(
    function*() {
      const env = fields({
        POD_NAME: "metadata.name",
        POD_NAMESPACE: "metadata.namespace",
        POD_IP: "status.podIP"
      })
      const printed = yield* printedBy(podOf("downward", { command: ["env"], env }))
      yield* mustContain(printed, "POD_NAME=downward\n", "POD_NAMESPACE=edge\n")
      yield* mustBeAddresses(printed, "POD_IP")
    }
  ),

  "should provide host IP as an env var [NodeConformance] [Conformance]": Effect.gen(function*() {
    const printed = yield* printedBy(podOf("downward", { command: ["env"], env: fields({ HOST_IP: "status.hostIP" }) }))
    yield* mustBeAddresses(printed, "HOST_IP")
  }),

  "should provide container's limits.cpu/memory and requests.cpu/memory as env vars [NodeConformance] [Conformance]":
    Effect.gen(function*() {
      const resources = { requests: { cpu: "250m", memory: "32Mi" }, limits: { cpu: "1250m", memory: "64Mi" } }
      const printed = yield* printedBy(podOf("downward", { command: ["env"], env: amounts, resources }))
      yield* mustContain(
        printed,
        "CPU_LIMIT=2\n",
        "MEMORY_LIMIT=67108864\n",
        "CPU_REQUEST=1\n",
        "MEMORY_REQUEST=33554432\n"
      )
    }),

  "should provide default limits.cpu/memory from node allocatable [NodeConformance] [Conformance]": Effect.gen(
    function*() {
      const api = yield* KubeApi
      const printed = yield* printedBy(podOf("downward", { command: ["env"], env: amounts.slice(0, 2) }))
      const { status } = yield* api.get(Nodes, { name: nodeName })
      const whole = (resource: string) => toWhole(parseQuantity(status?.allocatable?.[resource] ?? "") ?? 0n)
      yield* mustContain(printed, `CPU_LIMIT=${whole("cpu")}\n`, `MEMORY_LIMIT=${whole("memory")}\n`)
    }
  ),

  "should provide pod UID as env vars [NodeConformance] [Conformance]": Effect.gen(function*() {
    const printed = yield* printedBy(podOf("downward", { command: ["env"], env: fields({ POD_UID: "metadata.uid" }) }))
    const { metadata } = yield* getPod("downward")
    yield* mustContain(printed, `POD_UID=${metadata.uid}\n`)
  })
})

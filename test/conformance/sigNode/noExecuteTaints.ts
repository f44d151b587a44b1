/** Eviction by taints: in its time, or not at all where the taint goes before. */
import { Effect } from "effect"
import { KubeApi } from "../../../core/kube/KubeApi.ts"
import { Nodes } from "../../../core/kube/Node.ts"
import { nodeName } from "../Cluster.ts"
import { getPod, must, podIsGone, podOf, podRuns } from "../podVocabulary.ts"
import { suite } from "../Scenario.ts"

const key = "example.com/evict"
const taint = { key, value: "yes", effect: "NoExecute" } as const

/** A Node's taints with or without ours; who else changes the Node at that instant makes it try again. */
const setTaint = (there: boolean) =>
  Effect.gen(function*() {
    const api = yield* KubeApi
    const node = yield* api.get(Nodes, { name: nodeName })
    const others = (node.spec?.taints ?? []).filter((each) => each.key !== key)
    yield* api.replace(Nodes, { ...node, spec: { ...node.spec, taints: there ? [...others, taint] : others } })
  }).pipe(Effect.retry({ times: 5, while: (error) => error.reason === "Conflict" }))

const tolerant = (name: string, tolerationSeconds: number) =>
  podOf(name, { command: ["pause"] }, {
    restartPolicy: "Always",
    terminationGracePeriodSeconds: 1,
    tolerations: [{ key, operator: "Equal", value: "yes", effect: "NoExecute", tolerationSeconds }]
  })

const isLeftAlone = Effect.fnUntraced(function*(name: string) {
  const { metadata } = yield* getPod(name)
  yield* must(metadata.deletionTimestamp === undefined, `pod ${name} is being deleted`)
})

export const noExecuteTaints = suite("[sig-node] NoExecuteTaintManager", {
  "Single Pod [Serial] removing taint cancels eviction [Disruptive] [Conformance]": Effect.gen(function*() {
    yield* podRuns(tolerant("evictable", 60))
    yield* setTaint(true)
    yield* Effect.sleep("30 seconds")
    yield* isLeftAlone("evictable")
    yield* setTaint(false)
    yield* Effect.sleep("2 minutes")
    yield* isLeftAlone("evictable")
  }),

  "Multiple Pods [Serial] evicts pods with minTolerationSeconds [Disruptive] [Conformance]": Effect.gen(function*() {
    yield* podRuns(tolerant("sooner", 20))
    yield* podRuns(tolerant("later", 60))
    yield* setTaint(true)
    yield* Effect.sleep("10 seconds")
    yield* isLeftAlone("sooner")
    yield* podIsGone("sooner", 40)
    yield* isLeftAlone("later")
    yield* podIsGone("later", 90)
  })
})

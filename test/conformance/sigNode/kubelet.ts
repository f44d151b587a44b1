/** Plain pods: logs, failures, a read-only root, and /etc/hosts. */
import { Effect } from "effect"
import {
  containerOf,
  createPod,
  deletePod,
  logsOf,
  must,
  mustContain,
  mustEqual,
  podEnds,
  podIsGone,
  podOf,
  podPrints,
  podRuns,
  podUntil,
  printedBy,
  shell,
  statusOf
} from "../podVocabulary.ts"
import { suite } from "../Scenario.ts"

const aliases = { hostAliases: [{ ip: "123.45.67.89", hostnames: ["foo", "bar"] }] }
const aliasLine = "123.45.67.89\tfoo\tbar"

const alwaysFails = podOf("bin-false", { command: ["false"] }, { restartPolicy: "Always" })

export const kubelet = suite("[sig-node] Kubelet", {
  "when scheduling a busybox command in a pod should print the output to logs [NodeConformance] [Conformance]": Effect
    .gen(function*() {
      const pod = yield* podRuns(podOf("busybox", shell("echo 'Hello World'; sleep 240")))
      yield* podPrints(pod, "Hello World\n")
    }),

  "when scheduling a busybox command that always fails in a pod should have an terminated reason [NodeConformance] [Conformance]":
    Effect.gen(function*() {
      yield* createPod(alwaysFails)
      const after = yield* podUntil(
        "bin-false",
        (pod) => {
          const status = statusOf(pod, "main")
          return (status?.state?.terminated ?? status?.lastState?.terminated) !== undefined
        },
        "has a container that ended"
      )
      const status = statusOf(after, "main")
      const terminated = status?.state?.terminated ?? status?.lastState?.terminated
      yield* must(terminated?.exitCode !== 0 && (terminated?.reason ?? "") !== "", "no reason of the failure is told")
    }),

  "when scheduling a busybox command that always fails in a pod should be possible to delete [NodeConformance] [Conformance]":
    Effect.gen(function*() {
      yield* createPod(alwaysFails)
      yield* podUntil("bin-false", (pod) => statusOf(pod, "main")?.lastState?.terminated !== undefined, "failed")
      yield* deletePod("bin-false")
      yield* podIsGone("bin-false")
    }),

  "when scheduling an agnhost Pod with hostAliases should write entries to /etc/hosts [NodeConformance] [Conformance]":
    Effect.gen(function*() {
      const printed = yield* printedBy(podOf("aliases", { command: ["cat", "/etc/hosts"] }, aliases))
      yield* mustContain(printed, "# Kubernetes-managed hosts file.", aliasLine)
    }),

  "when scheduling a read only busybox container should not write to root filesystem [LinuxOnly] [NodeConformance] [Conformance]":
    Effect.gen(function*() {
      const after = yield* podEnds(podOf("read-only", {
        ...shell("echo test > /file"),
        securityContext: { readOnlyRootFilesystem: true }
      }))
      yield* mustEqual(yield* logsOf(after), "/file: Read-only file system\n", "the log")
    }),

  "with pods in a privileged namespace when scheduling an agnhost Pod with hostAliases and hostNetwork should write entries to /etc/hosts when hostNetwork is enabled [NodeConformance]":
    Effect.gen(function*() {
      const printed = yield* printedBy(
        podOf("aliases", { command: ["cat", "/etc/hosts"] }, { hostNetwork: true, ...aliases })
      )
      yield* mustContain(printed, "# Kubernetes-managed hosts file (host network).", aliasLine)
    })
})

const managed = "# Kubernetes-managed hosts file."

export const etcHosts = suite("[sig-node] KubeletManagedEtcHosts", {
  "should test kubelet managed /etc/hosts file [LinuxOnly] [NodeConformance] [Conformance]": Effect.gen(function*() {
    const reads = { command: ["cat", "/etc/hosts"] }
    const own = { volumeMounts: [{ name: "host", mountPath: "/etc/hosts", subPath: "hosts" }] }
    const ordinary = podOf("pod-network", {}, {
      initContainers: [containerOf({
        name: "writer",
        ...shell("echo '127.0.0.1 own' > /here/hosts"),
        volumeMounts: [{ name: "host", mountPath: "/here" }]
      })],
      containers: [
        containerOf({ name: "one", ...reads }),
        containerOf({ name: "two", ...reads }),
        containerOf({ name: "own", ...reads, ...own })
      ],
      volumes: [{ name: "host", emptyDir: {} }]
    })
    const after = yield* podEnds(ordinary)
    for (const name of ["one", "two"]) yield* mustContain(yield* logsOf(after, name), managed)
    yield* mustEqual(yield* logsOf(after, "own"), "127.0.0.1 own\n", "a file of one's own")

    const onHost = yield* podEnds(podOf("host-network", reads, { hostNetwork: true }))
    const shown = yield* logsOf(onHost)
    yield* must(!shown.includes(managed), `on the host's network the file is managed: ${shown}`)
  })
})

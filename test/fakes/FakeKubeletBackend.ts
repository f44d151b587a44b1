/** Virtual nodes in memory: pods with statuses, and logs that a test writes line by line; a diary tells what was asked of them. */
import { Context, Effect, Layer, Stream } from "effect"
import type { Pod } from "../../core/kube/Pod.ts"
import { KubeletBackend } from "../../core/kubelet/KubeletBackend.ts"
import { RuntimeError } from "../../core/pod/ContainerRuntime.ts"
import type { PodLogQuery, PodStreamError } from "../../core/pod/PodRuntime.ts"

export type FakeLogs = (query: PodLogQuery) => Stream.Stream<Uint8Array, PodStreamError | RuntimeError>

export type FakeExec = KubeletBackend["Service"]["exec"]
export type FakeLogFile = KubeletBackend["Service"]["logFile"]
export type FakeDial = KubeletBackend["Service"]["dial"]

const nothing = () => Effect.fail(new RuntimeError({ reason: "Unsupported", detail: "the test offers none" }))

export class FakeKubeletBackend extends Context.Service<FakeKubeletBackend, {
  readonly add: (node: string, pod: Pod) => Effect.Effect<void>
  /** What every container logs from now on. */
  readonly log: (logs: FakeLogs) => Effect.Effect<void>
  /** What exec does from now on; attach does the same without a command. */
  readonly exec: (exec: FakeExec) => Effect.Effect<void>
  readonly dial: (dial: FakeDial) => Effect.Effect<void>
  readonly logFile: (logFile: FakeLogFile) => Effect.Effect<void>
  readonly diary: Effect.Effect<ReadonlyArray<string>>
}>()("test/FakeKubeletBackend") {
  static readonly layer: Layer.Layer<FakeKubeletBackend | KubeletBackend> = Layer.unwrap(Effect.sync(() => {
    const pods = new Map<string, { readonly node: string; readonly pod: Pod }>()
    const diary: Array<string> = []
    /** The newest thousands: fuzzers ask for more than is ever read. */
    const note = (entry: string) => {
      if (diary.push(entry) > 10_000) diary.splice(0, 5000)
    }
    let logs: FakeLogs = () => Stream.empty
    let exec: FakeExec = nothing
    let dial: FakeDial = nothing
    let logFile: FakeLogFile = nothing
    const on = (node: string) => [...pods.values()].filter((served) => served.node === node).map(({ pod }) => pod)

    return Layer.merge(
      Layer.succeed(
        FakeKubeletBackend,
        FakeKubeletBackend.of({
          add: (node, pod) =>
            Effect.sync(() => void pods.set(`${pod.metadata.namespace}/${pod.metadata.name}`, { node, pod })),
          log: (next) => Effect.sync(() => void (logs = next)),
          exec: (next) => Effect.sync(() => void (exec = next)),
          dial: (next) => Effect.sync(() => void (dial = next)),
          logFile: (next) => Effect.sync(() => void (logFile = next)),
          diary: Effect.sync(() => diary.slice())
        })
      ),
      Layer.succeed(
        KubeletBackend,
        KubeletBackend.of({
          pod: (namespace, name) => Effect.sync(() => pods.get(`${namespace}/${name}`)),
          serves: (node) => Effect.sync(() => on(node).length > 0),
          logs: (at, query) =>
            Stream.suspend(() => {
              note(`logs of ${at.uid} on ${at.node}: ${JSON.stringify(query)}`)
              return logs(query)
            }).pipe(Stream.onExit((exit) => Effect.sync(() => note(`logs closed: ${exit._tag}`)))),
          exec: (at, container, spec) =>
            Effect.suspend(() => {
              note(`exec in ${container} of ${at.uid} on ${at.node}: ${JSON.stringify(spec)}`)
              return exec(at, container, spec)
            }),
          attach: (at, container, spec) =>
            Effect.suspend(() => {
              note(`attach to ${container} of ${at.uid} on ${at.node}: ${JSON.stringify(spec)}`)
              return exec(at, container, { ...spec, command: [] })
            }),
          dial: (at, port) =>
            Effect.suspend(() => {
              note(`dial ${port} of ${at.uid} on ${at.node}`)
              return dial(at, port)
            }),
          logFile: (node, path) =>
            Effect.suspend(() => {
              note(`log file "${path}" of ${node}`)
              return logFile(node, path)
            }),
          pods: (node) => Effect.sync(() => on(node)),
          runningPods: () => Effect.succeed(undefined),
          summary: (node) => Effect.succeed({ node: { nodeName: node }, pods: [] }),
          metrics: (node, page) =>
            Effect.succeed(page === "slis" ? undefined : `${page}_scrape_error{node="${node}"} 0\n`),
          configuration: () => Effect.succeed(undefined)
        })
      )
    )
  }))
}

/** A pod with one container, in the state given. */
export const podWith = (name: string, state: object, more: object = {}): Pod => ({
  metadata: { namespace: "shop", name, uid: `uid-${name}` },
  spec: { containers: [{ name: "main" }] },
  status: {
    containerStatuses: [
      { name: "main", image: "i", imageID: "", ready: true, restartCount: 0, state, ...more }
    ]
  }
})

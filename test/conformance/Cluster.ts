/** What a scenario may touch besides the API: the device's runtime, and what the kubelet API serves. */
import { Context, Deferred, Effect, Layer, Schedule, Stream } from "effect"
import type { HttpClient } from "effect/http"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DiskPodFiles } from "../../adapters/store/DiskPodFiles.ts"
import { EdgeDevices } from "../../core/device/EdgeDevice.ts"
import { KubeApi } from "../../core/kube/KubeApi.ts"
import { Nodes } from "../../core/kube/Node.ts"
import { KubeletBackend } from "../../core/kubelet/KubeletBackend.ts"
import { createNamespaces, makeDevice, makeOperator, type SimulatedDevice, worldLayer } from "../simulation/World.ts"
import { Deviation } from "./Deviation.ts"
import { processOf } from "./process/processOf.ts"

export class Cluster extends Context.Service<Cluster, {
  readonly device: SimulatedDevice
  /** A directory of the device that is gone after the scenario: what host paths lead to. */
  readonly hostDirectory: string
  /** What `kubectl logs` shows, by way of the operator, the link and the agent. */
  readonly logs: (
    at: { readonly uid: string; readonly container: string },
    options?: { readonly previous?: boolean }
  ) => Effect.Effect<string, Deviation>
  /** What `kubectl exec` prints, by the same way. */
  readonly exec: (
    at: { readonly uid: string; readonly container: string },
    command: ReadonlyArray<string>
  ) => Effect.Effect<string, Deviation>
  /** Programs that ended by themselves, which none should. */
  readonly died: ReadonlyArray<string>
}>()("test/Cluster") {}

export const nodeName = "edge-1"
export const namespace = "edge"

const scratch = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "conformance-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
)

const nodeIsReady = Effect.gen(function*() {
  const api = yield* KubeApi
  const { status } = yield* api.get(Nodes, { name: nodeName })
  const ready = status?.conditions?.some(({ status, type }) => type === "Ready" && status === "True")
  if (ready !== true) return yield* new Deviation({ detail: "the Node is not Ready" })
}).pipe(Effect.retry(Schedule.spaced("1 second").pipe(Schedule.upTo({ times: 60 }))))

const make = Effect.gen(function*() {
  const folder = yield* scratch
  const api = yield* KubeApi
  const died: Array<string> = []
  const note = (who: string) => (why: string) =>
    Effect.sync(() => {
      died.push(`${who}: ${why}`)
    })
  const hosts = join(folder, "hosts")
  writeFileSync(hosts, "127.0.0.1\tlocalhost\n")
  yield* createNamespaces
  const device = yield* makeDevice(
    nodeName,
    1,
    note("the agent"),
    DiskPodFiles.layer({ root: join(folder, "pods"), memory: "never", hosts })
  )
  yield* device.runtime.script(() => true, processOf(device.runtime))
  const kubelet = yield* Deferred.make<KubeletBackend["Service"]>()
  const operator = yield* makeOperator(
    [device],
    note("the operator"),
    Effect.asVoid(Effect.flatMap(KubeletBackend, (backend) => Deferred.succeed(kubelet, backend)))
  )
  yield* operator.start
  yield* api.create(EdgeDevices, device.object())
  yield* device.agent.start
  yield* nodeIsReady

  const logs: Cluster["Service"]["logs"] = ({ container, uid }, { previous = false } = {}) =>
    Effect.gen(function*() {
      const backend = yield* Deferred.await(kubelet)
      return yield* backend.logs(
        { node: nodeName, uid },
        { container, follow: false, previous, timestamps: false }
      ).pipe(Stream.decodeText, Stream.mkString)
    }).pipe(
      Effect.timeout("1 minute"),
      Effect.mapError((error) => new Deviation({ detail: `no logs of container ${container}: ${error.message}` }))
    )

  const exec: Cluster["Service"]["exec"] = ({ container, uid }, command) =>
    Effect.gen(function*() {
      const backend = yield* Deferred.await(kubelet)
      const spec = { command, stdin: false, stdout: true, stderr: true, tty: false }
      const { output } = yield* backend.exec({ node: nodeName, uid }, container, spec)
      return yield* output.pipe(Stream.map(({ bytes }) => bytes), Stream.decodeText, Stream.mkString)
    }).pipe(
      Effect.scoped,
      Effect.timeout("1 minute"),
      Effect.mapError((error) => new Deviation({ detail: `no exec in container ${container}: ${error.message}` }))
    )
  return { device, hostDirectory: folder, logs, exec, died }
})

/** A cluster with one device that is Ready: API, operator, link, agent and pod machine are the shipped ones, and so is the disk's adapter. */
export const clusterLayer: Layer.Layer<Cluster | KubeApi | HttpClient.HttpClient> = Layer.effect(
  Cluster,
  Effect.orDie(make)
).pipe(Layer.provideMerge(worldLayer), Layer.orDie)

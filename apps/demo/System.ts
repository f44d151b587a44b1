/** The demo's process tree: control plane, operator, one agent; each a process of its own, all ended with the scope. */
import { Effect, Layer, Schedule, Schema } from "effect"
import { Base64 } from "effect/encoding"
import { spawnSync } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { fileURLToPath } from "node:url"
import { stringify } from "yaml"
import { NodeCryptography } from "../../adapters/crypto/NodeCryptography.ts"
import { layerKubeConfig } from "../../adapters/kube/client/layerKubeConfig.ts"
import { loadOrCreateDeviceKey } from "../../adapters/store/DeviceKeys.ts"
import { customResourceDefinition } from "../../core/device/customResourceDefinition.ts"
import { type EdgeDeviceObject, EdgeDevices } from "../../core/device/EdgeDevice.ts"
import { Secrets } from "../../core/kube/kinds.ts"
import { KubeApi, KubeApiError } from "../../core/kube/KubeApi.ts"
import type { KubeResource } from "../../core/kube/KubeResource.ts"
import type { KubeObject } from "../../core/kube/ObjectMeta.ts"
import { Cryptography } from "../../core/link/Cryptography.ts"
import { operatorKey } from "../../core/operator/operatorKey.ts"
import { startChild } from "./Child.ts"
import { step } from "./Progress.ts"

const main = (program: string) => fileURLToPath(new URL(`../${program}/main.ts`, import.meta.url))
const planeMain = fileURLToPath(new URL("./plane.ts", import.meta.url))

/** Kinds the demo only writes: any JSON will do. */
const written = (
  group: string,
  version: string,
  kind: string,
  plural: string,
  namespaced: boolean
): KubeResource<KubeObject> => ({
  group,
  version,
  kind,
  plural,
  namespaced,
  schema: Schema.Unknown as unknown as KubeResource<KubeObject>["schema"]
})
export const CustomResourceDefinitions = written(
  "apiextensions.k8s.io",
  "v1",
  "CustomResourceDefinition",
  "customresourcedefinitions",
  false
)
export const Namespaces = written("", "v1", "Namespace", "namespaces", false)
export const Deployments = written("apps", "v1", "Deployment", "deployments", true)

/** Kubeconfig, configurations, logs and the agent's data; `keep` leaves it for a look. */
const folder = (keep: boolean) =>
  Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(`${tmpdir()}/aranya-demo-`)),
    (path) =>
      keep ? Effect.void : Effect.sync(() => {
        // An agent leaves pods' secrets mounted in memory, for its next life; the demo has none.
        const mounts = existsSync("/proc/mounts") ? readFileSync("/proc/mounts", "utf8").split("\n") : []
        for (const mount of mounts.map((line) => line.split(" ")[1] ?? "")) {
          if (mount.startsWith(`${path}/`)) spawnSync("umount", ["-l", mount])
        }
        rmSync(path, { recursive: true, force: true })
      })
  )

const freePort = Effect.callback<number>((resume) => {
  const server = createServer()
  server.listen(0, "127.0.0.1", () => {
    const address = server.address()
    const port = typeof address === "object" && address !== null ? address.port : 0
    server.close(() => resume(Effect.succeed(port)))
  })
})

const soon = Schedule.spaced("200 millis").pipe(Schedule.upTo({ times: 150 }))

const waitForFile = (path: string) =>
  Effect.sync(() => existsSync(path)).pipe(
    Effect.flatMap((there) =>
      there
        ? Effect.void
        : Effect.fail(new KubeApiError({ reason: "Unavailable", status: 0, detail: `${path} does not appear` }))
    ),
    Effect.retry(soon)
  )

export interface DemoRuntime {
  /** For people: `docker` or `processes`. */
  readonly name: string
  /** The `runtime` section of the agent's configuration. */
  readonly config: object
  /** The image of the sample workload. */
  readonly image: string
}

export const startSystem = Effect.fnUntraced(function*(runtime: DemoRuntime, options: { readonly keep: boolean }) {
  const path = yield* folder(options.keep)
  const kubeconfig = `${path}/kubeconfig`
  const plane = yield* step(
    "embedded control plane",
    Effect.gen(function*() {
      const child = yield* startChild("the control plane", planeMain, [kubeconfig, "15"], {
        logFile: `${path}/plane.log`
      })
      yield* Effect.raceFirst(waitForFile(kubeconfig), child.ended)
      return child
    })
  )
  const api = yield* Layer.build(layerKubeConfig({ kubeconfigPath: kubeconfig }))
  const cryptography = yield* Layer.build(NodeCryptography.layer)

  const prepared = yield* step(
    "EdgeDevice resource, namespaces, operator's key",
    Effect.gen(function*() {
      const kube = yield* KubeApi
      yield* kube.create(CustomResourceDefinitions, customResourceDefinition() as unknown as KubeObject)
      for (const name of ["aranya", "edge"]) {
        yield* kube.create(Namespaces, { apiVersion: "v1", kind: "Namespace", metadata: { name } })
      }
      const key = yield* operatorKey("aranya")
      const { x25519Public } = yield* Cryptography
      return { publicKey: Base64.encode(x25519Public(key)) }
    }).pipe(Effect.provideContext(api), Effect.provideContext(cryptography))
  )

  const grpcPort = yield* freePort
  const kubeletPort = yield* freePort
  const operator = yield* step(
    "aranya, the operator",
    Effect.gen(function*() {
      const kube = yield* KubeApi
      writeFileSync(
        `${path}/aranya.yaml`,
        stringify({
          aranya: { namespace: "aranya" },
          connectivity: { grpc: { listen: `127.0.0.1:${grpcPort}` } },
          kubelet: { listen: "127.0.0.1", port: kubeletPort, address: "127.0.0.1", serving: { mode: "csr" } },
          // For `kubectl top` half a minute after the start; on a real line each sample costs.
          metrics: { minInterval: "10s" }
        })
      )
      const child = yield* startChild("aranya", main("aranya"), [
        "run",
        "-c",
        `${path}/aranya.yaml`,
        "--kubeconfig",
        kubeconfig
      ], {
        logFile: `${path}/aranya.log`
      })
      // The certificate of its gRPC door is what agents trust.
      const secret = yield* Effect.raceFirst(
        kube.get(Secrets, { namespace: "aranya", name: "aranya-grpc-tls" }).pipe(Effect.retry(soon)),
        child.ended
      )
      return { child, caData: secret.data?.["ca.crt"] ?? "" }
    }).pipe(Effect.provideContext(api))
  )

  const agent = yield* step(
    `arhat, the agent of device edge-1 (${runtime.name})`,
    Effect.gen(function*() {
      const kube = yield* KubeApi
      const dataDir = `${path}/edge-1`
      mkdirSync(dataDir, { mode: 0o700 })
      const key = yield* loadOrCreateDeviceKey(`${dataDir}/device.key`)
      const { x25519Public } = yield* Cryptography
      const device: EdgeDeviceObject = {
        apiVersion: "aranya.arhat.dev/v1alpha1",
        kind: "EdgeDevice",
        metadata: { namespace: "edge", name: "edge-1" },
        spec: { connectivity: { method: "grpc" }, identity: { publicKey: Base64.encode(x25519Public(key)) } }
      }
      yield* kube.create(EdgeDevices, device)
      writeFileSync(
        `${path}/arhat.yaml`,
        stringify({
          arhat: { namespace: "edge", device: "edge-1", dataDir },
          connectivity: {
            operatorKey: prepared.publicKey,
            initialBackoff: "200ms",
            maxBackoff: "2s",
            methods: [{
              name: "grpc",
              config: { endpoint: `localhost:${grpcPort}`, tls: { caCertData: operator.caData } }
            }]
          },
          runtime: runtime.config
        })
      )
      return yield* startChild("arhat", main("arhat"), ["run", "-c", `${path}/arhat.yaml`], {
        logFile: `${path}/arhat.log`
      })
    }).pipe(Effect.provideContext(api), Effect.provideContext(cryptography))
  )

  return { kubeconfig, path, api, children: [plane, operator.child, agent] }
})

import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Option, Schema, Scope } from "effect"
import { existsSync } from "node:fs"
import { mkdtemp, readFile } from "node:fs/promises"
import { createServer } from "node:https"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import type { TLSSocket } from "node:tls"
import { processesNaming } from "../e2e/program.ts"
import { makeCertificateAuthority } from "./certificateAuthority.ts"
import { ControlPlane } from "./ControlPlane.ts"

const reason = await Effect.runPromise(ControlPlane.whyItCannotRun)
if (Option.isSome(reason)) console.warn(`skipped: the control plane tests, because ${reason.value}`)

const node = (name: string, kubeletPort = 10250) => ({
  apiVersion: "v1",
  kind: "Node",
  metadata: { name, labels: { "kubernetes.io/hostname": name } },
  status: {
    capacity: { cpu: "4", memory: "4Gi", pods: "10" },
    allocatable: { cpu: "4", memory: "4Gi", pods: "10" },
    addresses: [{ type: "InternalIP", address: "127.0.0.1" }],
    daemonEndpoints: { kubeletEndpoint: { Port: kubeletPort } }
  }
})

const lease = (name: string) => ({
  apiVersion: "coordination.k8s.io/v1",
  kind: "Lease",
  metadata: { name, namespace: "kube-node-lease" },
  spec: { holderIdentity: name, leaseDurationSeconds: 40, renewTime: new Date().toISOString().replace("Z", "000Z") }
})

const readyStatus = () => ({
  status: {
    conditions: [{
      type: "Ready",
      status: "True",
      reason: "KubeletReady",
      message: "speaking for a device",
      lastHeartbeatTime: new Date().toISOString(),
      lastTransitionTime: new Date().toISOString()
    }]
  }
})

const deployment = (name: string) => ({
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { name, namespace: "field" },
  spec: {
    replicas: 1,
    selector: { matchLabels: { app: name } },
    template: {
      metadata: { labels: { app: name } },
      spec: { containers: [{ name: "main", image: "aranya.test/busybox:latest", command: ["sleep", "1000"] }] }
    }
  }
})

const PodList = Schema.Struct({
  items: Schema.Array(Schema.Struct({
    metadata: Schema.Struct({ name: Schema.String }),
    spec: Schema.Struct({
      nodeName: Schema.optionalKey(Schema.String),
      serviceAccountName: Schema.String,
      tolerations: Schema.Array(Schema.Struct({ key: Schema.String, tolerationSeconds: Schema.Number })),
      containers: Schema.Array(Schema.Struct({
        volumeMounts: Schema.Array(Schema.Struct({ name: Schema.String, mountPath: Schema.String }))
      }))
    })
  }))
})

type Cluster = ControlPlane["Service"]

const create = Effect.fnUntraced(function*(cluster: Cluster, ...objects: ReadonlyArray<object>) {
  const list = { apiVersion: "v1", kind: "List", items: objects }
  const outcome = yield* cluster.kubectl(["create", "-f", "-"], { stdin: JSON.stringify(list) })
  assert.strictEqual(outcome.exitCode, 0, outcome.stderr)
})

const kubectl = Effect.fnUntraced(function*(cluster: Cluster, ...args: ReadonlyArray<string>) {
  const outcome = yield* cluster.kubectl(args)
  assert.strictEqual(outcome.exitCode, 0, outcome.stderr)
  return outcome.stdout
})

const addReadyNode = Effect.fnUntraced(function*(cluster: Cluster, name: string, kubeletPort?: number) {
  yield* create(cluster, node(name, kubeletPort), lease(name))
  yield* kubectl(cluster, "patch", "node", name, "--subresource=status", "-p", JSON.stringify(readyStatus()))
})

const podsOf = (cluster: Cluster, app: string) =>
  kubectl(cluster, "get", "pods", "-n", "field", "-l", `app=${app}`, "-o", "json").pipe(
    Effect.flatMap((text) => Schema.decodeUnknownEffect(PodList)(JSON.parse(text)))
  )

/** A kubelet's port that tells who called. */
const kubeletServer = (pair: { readonly certificate: string; readonly key: string }, clientCaFile: string) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const [cert, key, ca] = await Promise.all([
        readFile(pair.certificate),
        readFile(pair.key),
        readFile(clientCaFile)
      ])
      const server = createServer(
        { cert, key, ca, requestCert: true, rejectUnauthorized: true },
        (request, response) => {
          const caller = (request.socket as TLSSocket).getPeerCertificate().subject.CN
          response.end(`${caller} asked for ${request.url}\n`)
        }
      )
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
      return server
    }),
    (server) =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        server.closeAllConnections()
      })
  ).pipe(Effect.map((server) => (server.address() as AddressInfo).port))

describe.skipIf(Option.isSome(reason))("the real control plane of the tests", () => {
  it.live("binds a Deployment's pod to a Ready node, admitted as a cluster does it", () =>
    Effect.gen(function*() {
      const cluster = yield* ControlPlane.start()
      yield* create(cluster, { apiVersion: "v1", kind: "Namespace", metadata: { name: "field" } })
      yield* addReadyNode(cluster, "edge-1")
      yield* create(cluster, deployment("lamp"))
      yield* kubectl(cluster, "wait", "pod", "-n", "field", "-l", "app=lamp", "--for=create", "--timeout=60s")
      yield* kubectl(
        cluster,
        ...["wait", "pod", "-n", "field", "-l", "app=lamp", "--for=condition=PodScheduled", "--timeout=60s"]
      )
      const { items } = yield* podsOf(cluster, "lamp")
      assert.strictEqual(items.length, 1)
      const { spec } = items[0]!
      assert.strictEqual(spec.nodeName, "edge-1")
      assert.strictEqual(spec.serviceAccountName, "default")
      assert.sameDeepMembers([...spec.tolerations], [
        { key: "node.kubernetes.io/not-ready", tolerationSeconds: 300 },
        { key: "node.kubernetes.io/unreachable", tolerationSeconds: 300 }
      ])
      const mount = spec.containers[0]!.volumeMounts[0]!
      assert.match(mount.name, /^kube-api-access-/)
      assert.strictEqual(mount.mountPath, "/var/run/secrets/kubernetes.io/serviceaccount")
    }))

  it.live("dials kubelets with its client certificate, and only those whose certificate it can verify", () =>
    Effect.gen(function*() {
      const cluster = yield* ControlPlane.start({ kubeletCertificateAuthority: true })
      const names = ["IP:127.0.0.1"]
      const trusted = yield* cluster.issueCertificate("edge-1", { commonName: "system:node:edge-1", names })
      const elsewhere = yield* Effect.promise(() => mkdtemp(join(cluster.folder, "elsewhere-")))
      const other = yield* makeCertificateAuthority(elsewhere, "another-ca")
      const stranger = yield* other.issue("edge-2", { commonName: "system:node:edge-2", names })
      yield* create(cluster, { apiVersion: "v1", kind: "Namespace", metadata: { name: "field" } })
      for (const [name, pair] of [["edge-1", trusted], ["edge-2", stranger]] as const) {
        yield* addReadyNode(cluster, name, yield* kubeletServer(pair, cluster.clientCaFile))
        const { spec } = deployment(name).spec.template
        const metadata = { name, namespace: "field" }
        yield* create(cluster, { apiVersion: "v1", kind: "Pod", metadata, spec: { ...spec, nodeName: name } })
      }
      assert.strictEqual(
        yield* kubectl(cluster, "logs", "-n", "field", "edge-1"),
        "kube-apiserver-kubelet-client asked for /containerLogs/field/edge-1/main\n"
      )
      const refused = yield* cluster.kubectl(["logs", "-n", "field", "edge-2"])
      assert.notStrictEqual(refused.exitCode, 0)
      assert.match(refused.stderr, /certificate signed by unknown authority/)
    }))

  it.live("keeps its objects and its port over an outage of the API server", () =>
    Effect.gen(function*() {
      const cluster = yield* ControlPlane.start()
      yield* create(cluster, { apiVersion: "v1", kind: "Namespace", metadata: { name: "field" } })
      const during = yield* cluster.withoutApiserver(cluster.kubectl(["get", "namespace", "field"]))
      assert.match(during.stderr, /refused/)
      assert.include(yield* kubectl(cluster, "get", "namespace", "field"), "Active")
    }))

  it.live("leaves no process and no file behind", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const { folder, stop } = yield* ControlPlane.start().pipe(Scope.provide(scope))
      assert.strictEqual(processesNaming(folder).length, 4)
      yield* stop
      assert.deepStrictEqual(processesNaming(folder), [])
      assert.isFalse(existsSync(folder))
      yield* Scope.close(scope, Exit.void)
    }))
})

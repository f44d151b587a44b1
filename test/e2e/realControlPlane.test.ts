/** The line against a real etcd, kube-apiserver, controller-manager and scheduler, with containers in a real docker. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { ControlPlane } from "../control-plane/ControlPlane.ts"
import { olderManifests } from "../core/operator/olderManifests.ts"
import { startDocker, whyNoDocker } from "./dockerd.ts"
import { onDocker } from "./killed/DeviceRuntime.ts"
import {
  apply,
  type ClusterAccess,
  edgeDevice,
  eventually,
  grpcAuthority,
  prepareAgent,
  prepareOperator
} from "./Line.ts"
import { scratch } from "./scratch.ts"
import { client, makeColumn, withoutWebSockets } from "./verbs/Column.ts"
import { oldKubectl } from "./verbs/oldKubectl.ts"
import { rows } from "./verbs/rows.ts"
import { tryRow } from "./verbs/tryRow.ts"

const deployment = {
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { namespace: "edge", name: "web" },
  spec: {
    replicas: 1,
    selector: { matchLabels: { app: "web" } },
    template: {
      metadata: { labels: { app: "web" } },
      spec: {
        nodeSelector: { "arhat.dev/role": "EdgeDevice" },
        tolerations: [{ key: "arhat.dev/namespace", operator: "Equal", value: "edge", effect: "NoSchedule" }],
        terminationGracePeriodSeconds: 5,
        containers: [{
          name: "main",
          image: "busybox:1.36",
          imagePullPolicy: "IfNotPresent",
          command: [
            "sh",
            "-c",
            "echo colour is $COLOUR; cat /etc/settings/greeting; echo; ls /var/run/secrets/kubernetes.io/serviceaccount; trap 'exit 0' TERM; while true; do sleep 1; done"
          ],
          env: [{ name: "COLOUR", valueFrom: { configMapKeyRef: { name: "settings", key: "colour" } } }],
          resources: { limits: { memory: "32Mi", cpu: "500m" } },
          volumeMounts: [{ name: "settings", mountPath: "/etc/settings" }]
        }],
        volumes: [{ name: "settings", configMap: { name: "settings" } }]
      }
    }
  }
}

/** A kubeconfig with the rights of deploy/rbac.yaml and no more. */
const asServiceAccount = Effect.fnUntraced(function*(cluster: ClusterAccess, folder: string) {
  const must = (...args: ReadonlyArray<string>) =>
    Effect.tap(
      cluster.kubectl(args),
      ({ exitCode, stderr }) => Effect.sync(() => assert.strictEqual(exitCode, 0, stderr))
    )
  yield* must("apply", "-f", fileURLToPath(new URL("../../deploy/rbac.yaml", import.meta.url)))
  const token = (yield* must("create", "token", "aranya", "-n", "aranya", "--duration=1h")).stdout.trim()
  const config = JSON.parse((yield* must("config", "view", "--raw", "--flatten", "-o", "json")).stdout)
  const path = `${folder}/aranya.kubeconfig`
  writeFileSync(path, JSON.stringify({ ...config, users: [{ name: config.users[0].name, user: { token } }] }), {
    mode: 0o600
  })
  return path
})

const whyNot = Effect.gen(function*() {
  const reasons = [
    yield* Effect.promise(() => Effect.runPromise(ControlPlane.whyItCannotRun)),
    yield* whyNoDocker
  ].flatMap(Option.toArray)
  return reasons.length === 0 ? undefined : reasons.join("; ")
})

/** An operator with the rights of deploy/rbac.yaml and no more, and a device with docker whose Node is Ready. */
const openLine = Effect.fnUntraced(function*(options: {
  /** The API server takes no kubelet whose certificate is not of the cluster's own authority. */
  readonly verifyKubelets?: boolean
}) {
  const folder = yield* scratch
  const docker = yield* startDocker({ reuse: true })
  const verifyKubelets = options.verifyKubelets ?? false
  const cluster = yield* ControlPlane.start({ kubeletCertificateAuthority: verifyKubelets })
  const { kubectl } = cluster
  // What kubeadm and others have done for their API server.
  yield* apply(kubectl, {
    apiVersion: "rbac.authorization.k8s.io/v1",
    kind: "ClusterRoleBinding",
    metadata: { name: "apiserver-to-kubelets" },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "system:kubelet-api-admin" },
    subjects: [{ apiGroup: "rbac.authorization.k8s.io", kind: "User", name: "kube-apiserver-kubelet-client" }]
  })
  const operator = yield* prepareOperator(
    { kubectl, kubeconfigPath: yield* asServiceAccount(cluster, folder) },
    `${folder}/operator`,
    { clientCaFile: cluster.clientCaFile, ...(verifyKubelets ? { serving: { mode: "csr" } } : {}) }
  )
  yield* operator.start
  const agent = yield* prepareAgent(`${folder}/edge-1`, {
    device: "edge-1",
    operatorKey: operator.publicKey,
    caData: yield* grpcAuthority(kubectl),
    endpoint: `127.0.0.1:${operator.grpcPort}`,
    runtime: onDocker(docker).config
  })
  yield* apply(kubectl, edgeDevice("edge-1", agent.publicKey))
  yield* agent.start
  yield* eventually(kubectl, ["get", "node", "edge-1", "--no-headers"], (out) => / Ready /.test(out))
  return { folder, docker, cluster, kubectl }
})

describe("a real control plane", () => {
  it.live(
    "lets the operator keep a Service for each device that asks for one, with the rights of deploy/rbac.yaml",
    () =>
      Effect.gen(function*() {
        const reason = yield* Effect.promise(() => Effect.runPromise(ControlPlane.whyItCannotRun))
        if (Option.isSome(reason)) return console.warn(`SKIPPED Services on a real control plane: ${reason.value}`)
        const folder = yield* scratch
        const cluster = yield* ControlPlane.start({})
        const { kubectl } = cluster
        const operator = yield* prepareOperator(
          { kubectl, kubeconfigPath: yield* asServiceAccount(cluster, folder) },
          `${folder}/operator`,
          // The API server takes no loopback address in an EndpointSlice.
          { clientCaFile: cluster.clientCaFile, grpcAddress: "10.20.30.40" }
        )
        yield* operator.start
        const asking = (name: string, service: object) =>
          edgeDevice(name, `${"A".repeat(43)}=`, { method: "grpc", grpc: { service } })
        yield* apply(kubectl, asking("edge-1", {}), asking("edge-2", { name: "second", port: 443 }))
        const field = (
          kind: string,
          name: string,
          path: string
        ) => ["get", kind, name, "-n", "edge", "-o", `jsonpath=${path}`]
        for (const [device, service, port] of [["edge-1", "edge-1", 8443], ["edge-2", "second", 443]] as const) {
          const uid = (yield* kubectl(field("edgedevice", device, "{.metadata.uid}"))).stdout
          assert.match(uid, /^[0-9a-f-]{36}$/u)
          yield* eventually(
            kubectl,
            field(
              "service",
              service,
              "{.metadata.ownerReferences[0].kind} {.metadata.ownerReferences[0].uid} {.spec.selector} {.spec.ports[0].name} {.spec.ports[0].port} {.spec.ports[0].targetPort}"
            ),
            (out) => out === `EdgeDevice ${uid}  grpc ${port} ${operator.grpcPort}`,
            120
          )
          const serviceUid = (yield* kubectl(field("service", service, "{.metadata.uid}"))).stdout
          yield* eventually(
            kubectl,
            field(
              "endpointslice",
              `${service}-aranya`,
              "{.metadata.ownerReferences[0].kind} {.metadata.ownerReferences[0].uid} {.endpoints[*].addresses} {.ports[*].port}"
            ),
            (out) => out === `Service ${serviceUid} ["10.20.30.40"] ${operator.grpcPort}`,
            60
          )
        }
        // Another name: the former Service goes.
        yield* apply(kubectl, asking("edge-2", { name: "third" }))
        yield* eventually(
          kubectl,
          ["get", "services", "-n", "edge", "-o", "name", "--sort-by=.metadata.name"],
          (out) => out === "service/edge-1\nservice/third\n",
          60
        )
        const complaints = yield* kubectl([
          "get",
          "events",
          "-n",
          "edge",
          "-o",
          "jsonpath={.items[?(@.reason=='ServiceUnusable')].message}"
        ])
        assert.strictEqual(complaints.stdout, "")
        yield* kubectl(["delete", "edgedevice", "edge-1", "edge-2", "-n", "edge", "--timeout=60s"])
        yield* eventually(
          kubectl,
          ["get", "services,endpointslices", "-n", "edge", "-o", "name"],
          (out, { exitCode }) => exitCode === 0 && out === "",
          120
        )
      }).pipe(Effect.scoped),
    600_000
  )

  it.live("keeps what is written as years ago, and its owner reads what to write today", () =>
    Effect.gen(function*() {
      const reason = yield* Effect.promise(() => Effect.runPromise(ControlPlane.whyItCannotRun))
      if (Option.isSome(reason)) return console.warn(`SKIPPED older manifests on a real control plane: ${reason.value}`)
      const folder = yield* scratch
      const cluster = yield* ControlPlane.start({})
      const { kubectl } = cluster
      const operator = yield* prepareOperator(
        { kubectl, kubeconfigPath: yield* asServiceAccount(cluster, folder) },
        `${folder}/operator`,
        { clientCaFile: cluster.clientCaFile }
      )
      yield* operator.start
      for (const [at, [when, spec, warnings]] of olderManifests.entries()) {
        const name = `edge-${at}`
        const object = edgeDevice(name, `${"A".repeat(42)}${at}=`)
        yield* apply(kubectl, { ...object, spec: { ...object.spec, ...spec } })
        const understood = "jsonpath={.status.conditions[?(@.type=='Invalid')]['status','reason','message']}"
        const told = yield* eventually(
          kubectl,
          ["get", "edgedevice", name, "-n", "edge", "-o", understood],
          (out) => out !== "",
          60
        )
        assert.match(told, /^False UnderstoodWithWarnings /u, when)
        for (const warning of warnings) assert.include(told, warning, when)
        const events = ["get", "events", "-n", "edge", "--field-selector", `involvedObject.name=${name}`]
        yield* eventually(
          kubectl,
          [...events, "-o", "jsonpath={.items[?(@.reason=='OlderSpelling')].message}"],
          (out) => warnings.every((warning) => out.includes(warning)),
          60
        )
        yield* eventually(kubectl, ["get", "node", name, "-o", "name"], (out) => out === `node/${name}\n`, 60)
      }
    }).pipe(Effect.scoped), 600_000)
})

describe("a real control plane and a real docker", () => {
  it.live("schedules a Deployment onto a device, shows its logs, and lets it go", () =>
    Effect.gen(function*() {
      const why = yield* whyNot
      if (why !== undefined) return console.warn(`SKIPPED the line on a real control plane: ${why}`)
      const { docker, kubectl } = yield* openLine({})
      yield* apply(
        kubectl,
        {
          apiVersion: "v1",
          kind: "ConfigMap",
          metadata: { namespace: "edge", name: "settings" },
          data: { colour: "teal", greeting: "good morning" }
        },
        deployment
      )
      yield* eventually(kubectl, ["get", "pods", "-n", "edge", "-l", "app=web", "--no-headers"], (out) =>
        / 1\/1 +Running /.test(out))
      const logs = yield* eventually(kubectl, ["logs", "-n", "edge", "deploy/web"], (out) =>
        out.includes("ca.crt"))
      assert.include(logs, "colour is teal\ngood morning\n")
      assert.notInclude(logs, "token")
      // This API server ends WebSockets itself and speaks SPDY to the node.
      const ran = yield* kubectl([
        "exec",
        "-n",
        "edge",
        "deploy/web",
        "--",
        "/bin/busybox",
        "sh",
        "-c",
        "echo here; exit 3"
      ])
      assert.deepStrictEqual([ran.stdout, ran.exitCode], ["here\n", 3], ran.stderr)

      const name =
        (yield* kubectl(["get", "pods", "-n", "edge", "-l", "app=web", "-o", "jsonpath={.items[0].metadata.name}"]))
          .stdout
      yield* kubectl(["delete", "deployment", "web", "-n", "edge"])
      yield* eventually(kubectl, ["get", "pods", "-n", "edge", "-l", "app=web", "-o", "name"], (out, { exitCode }) =>
        exitCode === 0 && out === "")
      const left = yield* docker.engine.json("GET", "/containers/json", {
        query: { all: "1", filters: JSON.stringify({ label: [`io.kubernetes.pod.name=${name}`] }) }
      })
      assert.deepStrictEqual(left, [])

      yield* kubectl(["delete", "edgedevice", "edge-1", "-n", "edge", "--timeout=60s"])
      yield* eventually(kubectl, ["get", "nodes", "-o", "name"], (out) =>
        out === "")
    }).pipe(Effect.scoped), 300_000)

  it.live(
    "serves every verb of kubectl to an API server that verifies kubelets' certificates",
    () =>
      Effect.gen(function*() {
        const why = yield* whyNot
        if (why !== undefined) return console.warn(`SKIPPED the verbs on a real control plane: ${why}`)
        const { cluster, docker, folder, kubectl } = yield* openLine({ verifyKubelets: true })
        const newest = [...cluster.kubectlCommand, "-n", "edge"] as const
        const old = yield* Effect.result(oldKubectl)
        const always = ["--kubeconfig", cluster.kubeconfigPath, "--cache-dir", `${folder}/cache`, "-n", "edge"]
        const column = yield* makeColumn({
          name: "edge-1",
          runtime: onDocker(docker),
          // This API server ends WebSockets itself and speaks SPDY to the node; what comes by SPDY it hands through.
          clients: [
            client("WebSocket", newest),
            client("SPDY", newest, withoutWebSockets),
            ...(old._tag === "Success" ? [client("kubectl 1.20", [old.success, ...always])] : [])
          ],
          folder: `${folder}/pods`,
          kubectl
        })
        for (const row of rows.filter(({ lasts }) => lasts !== true)) yield* tryRow(row, column, folder)
      }).pipe(Effect.scoped),
    600_000
  )
})

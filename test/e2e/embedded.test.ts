/** What a person does with kubectl against the demo's parts: embedded control plane, operator and agent as processes, real docker. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Option } from "effect"
import { writeFileSync } from "node:fs"
import { connect } from "node:tls"
import { startEmbedded } from "../../adapters/kube/plane/server/startEmbedded.ts"
import { startDocker, whyNoDocker } from "./dockerd.ts"
import { apply, edgeDevice, eventually, grpcAuthority, type Kubectl, prepareAgent, prepareOperator } from "./Line.ts"
import { findProgram, runProgram } from "./program.ts"
import { scratch } from "./scratch.ts"

const objects = [
  { apiVersion: "v1", kind: "ConfigMap", metadata: { namespace: "edge", name: "settings" }, data: { colour: "teal" } },
  { apiVersion: "v1", kind: "Secret", metadata: { namespace: "edge", name: "door" }, stringData: { code: "4711" } },
  {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { namespace: "edge", name: "web", labels: { app: "web" } },
    spec: {
      nodeName: "edge-1",
      terminationGracePeriodSeconds: 5,
      tolerations: [{ key: "arhat.dev/namespace", operator: "Exists" }],
      containers: [{
        name: "main",
        image: "busybox:1.36",
        command: [
          "sh",
          "-c",
          "echo first > /cache/out; cat /cache/out /etc/door/code; echo; echo second > /part/in; cat /cache/part/in; trap 'exit 0' TERM; n=0; while true; do n=$((n+1)); echo line $n; sleep 0.2; done"
        ],
        env: [
          { name: "COLOUR", valueFrom: { configMapKeyRef: { name: "settings", key: "colour" } } },
          { name: "WHERE", value: "$(COLOUR) on $(NODE)" },
          { name: "NODE", valueFrom: { fieldRef: { fieldPath: "spec.nodeName" } } }
        ],
        resources: { limits: { memory: "32Mi", cpu: "250m" } },
        volumeMounts: [
          { name: "door", mountPath: "/etc/door", readOnly: true },
          { name: "cache", mountPath: "/cache" },
          { name: "cache", mountPath: "/part", subPath: "part" }
        ]
      }],
      volumes: [{ name: "door", secret: { secretName: "door" } }, { name: "cache", emptyDir: {} }]
    }
  }
]

interface Inspected {
  readonly Config: { readonly Env: ReadonlyArray<string>; readonly Labels: Readonly<Record<string, string>> }
  readonly HostConfig: { readonly Memory: number; readonly CpuQuota: number; readonly CpuPeriod: number }
}

/** The subject of the certificate a listener shows. */
const subjectAt = (port: number) =>
  Effect.callback<string>((resume) => {
    const socket = connect({ host: "127.0.0.1", port, rejectUnauthorized: false }, () => {
      resume(Effect.succeed(socket.getPeerX509Certificate()?.subject ?? ""))
      socket.end()
    })
    socket.on("error", (error) => resume(Effect.die(error)))
    return Effect.sync(() => socket.destroy())
  })

describe("kubectl against the embedded control plane", () => {
  it.live(
    "gets, describes, applies, follows logs and deletes; the container in docker is as it was asked for",
    () =>
      Effect.gen(function*() {
        const noDocker = yield* whyNoDocker
        const kubectlPath = findProgram("kubectl")
        if (Option.isSome(noDocker) || Option.isNone(kubectlPath)) {
          const why = Option.getOrElse(noDocker, () => "there is no kubectl on the PATH")
          return console.warn(`SKIPPED kubectl against the embedded control plane: ${why}`)
        }
        const folder = yield* scratch
        const docker = yield* startDocker({ reuse: true })
        const embedded = yield* startEmbedded()
        const kubeconfigPath = `${folder}/kubeconfig`
        writeFileSync(kubeconfigPath, embedded.adminKubeconfigYaml, { mode: 0o600 })
        const kubectl: Kubectl = (args, options) =>
          runProgram(
            kubectlPath.value,
            ["--kubeconfig", kubeconfigPath, "--cache-dir", `${folder}/cache`, ...args],
            options ?? {}
          )
        writeFileSync(`${folder}/client-ca.pem`, embedded.kubeletClientCaPem)

        const operator = yield* prepareOperator({ kubeconfigPath, kubectl }, `${folder}/operator`, {
          clientCaFile: `${folder}/client-ca.pem`,
          serving: { mode: "csr" }
        })
        yield* operator.start
        const agent = yield* prepareAgent(`${folder}/edge-1`, {
          device: "edge-1",
          operatorKey: operator.publicKey,
          caData: yield* grpcAuthority(kubectl),
          endpoint: `localhost:${operator.grpcPort}`,
          runtime: { docker: { socket: docker.socketPath, pauseImage: "aranya.test/pause:1" } }
        })
        yield* apply(kubectl, edgeDevice("edge-1", agent.publicKey))
        yield* agent.start
        yield* eventually(kubectl, ["get", "node", "edge-1", "--no-headers"], (out) => / Ready /.test(out))

        yield* apply(kubectl, ...objects)
        yield* eventually(
          kubectl,
          ["get", "pod", "web", "-n", "edge", "--no-headers"],
          (out) => / 1\/1 +Running /.test(out)
        )

        const wide = yield* kubectl(["get", "nodes,edgedevices,pods", "-A", "-o", "wide"])
        assert.match(wide.stdout, /node\/edge-1 +Ready .*docker:\/\//)
        assert.match(wide.stdout, /edge +edgedevice\S*\/edge-1 +grpc +True/)
        assert.match(wide.stdout, /edge +pod\/web +1\/1 +Running +0 .* edge-1 /)
        const described = yield* kubectl(["describe", "node", "edge-1"])
        for (
          const expected of [
            "DeviceConnected  True",
            "arhat.dev/namespace=edge:NoSchedule",
            "aranya://edge/edge-1",
            "edge                        web"
          ]
        ) {
          assert.include(described.stdout.replace(/ {3,}/g, (spaces) => spaces), expected.split("  ")[0] ?? expected)
        }

        const follower = yield* Effect.forkChild(kubectl(["logs", "-n", "edge", "web", "-f", "--tail=-1"]))
        yield* eventually(kubectl, ["logs", "-n", "edge", "web"], (out) => out.includes("line 5"))

        const [container] = (yield* docker.engine.json("GET", "/containers/json", {
          query: {
            filters: JSON.stringify({ label: ["io.kubernetes.pod.name=web", "io.kubernetes.container.name=main"] })
          }
        })) as ReadonlyArray<{ readonly Id: string }>
        const inspected = (yield* docker.engine.json("GET", `/containers/${container?.Id}/json`)) as Inspected
        assert.include(inspected.Config.Env, "COLOUR=teal")
        assert.include(inspected.Config.Env, "NODE=edge-1")
        assert.strictEqual(inspected.Config.Labels["io.kubernetes.pod.namespace"], "edge")
        assert.strictEqual(inspected.HostConfig.Memory, 32 * 1024 * 1024)
        assert.strictEqual(inspected.HostConfig.CpuQuota / inspected.HostConfig.CpuPeriod, 0.25)

        const portOf = ["get", "node", "edge-1", "-o", "jsonpath={.status.daemonEndpoints.kubeletEndpoint.Port}"]
        const shared = (yield* kubectl(portOf)).stdout
        const cert = { country: "FI", state: "Uusimaa", orgUnit: "Edge" }
        const patch = JSON.stringify({ spec: { node: { cert } } })
        const patched = yield* kubectl(["patch", "edgedevice", "edge-1", "-n", "edge", "--type=merge", "-p", patch])
        assert.strictEqual(patched.exitCode, 0, patched.stderr)
        const own = yield* eventually(kubectl, portOf, (out) => out !== "" && out !== shared)
        assert.strictEqual(
          yield* subjectAt(Number(own)),
          "C=FI\nST=Uusimaa\nO=system:nodes\nOU=Edge\nCN=system:node:edge-1"
        )
        const through = yield* kubectl(["logs", "-n", "edge", "web", "--limit-bytes=6"])
        assert.strictEqual(through.stdout, "first\n", "the API server finds the kubelet API at its new port")

        const deleted = yield* kubectl(["delete", "pod", "web", "-n", "edge", "--timeout=30s"])
        assert.strictEqual(deleted.exitCode, 0, deleted.stderr)
        const followed = yield* Fiber.join(follower)
        assert.match(followed.stdout, /^first\n4711\nsecond\nline 1\nline 2\nline 3\nline 4\nline 5\n/)
        const lines = [...followed.stdout.matchAll(/^line (\d+)$/gm)].map(([, n]) => Number(n))
        assert.deepStrictEqual(lines, lines.map((_, i) => i + 1), "no line is lost or told twice")
        yield* eventually(
          kubectl,
          [
            "get",
            "events",
            "-n",
            "edge",
            "--field-selector",
            "involvedObject.name=web",
            "-o",
            "jsonpath={.items[*].reason}"
          ],
          (out) => ["Pulled", "Created", "Started", "Killing"].every((reason) => out.includes(reason))
        )
      }).pipe(Effect.scoped),
    180_000
  )
})

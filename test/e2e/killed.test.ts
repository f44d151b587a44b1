/** kill -9 of the agent, of the operator and of both, while pods run and crash in docker: the same containers, the same counts. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { writeFileSync } from "node:fs"
import { startEmbedded } from "../../adapters/kube/plane/server/startEmbedded.ts"
import type { Daemon } from "./daemon.ts"
import { startDocker, whyNoDocker } from "./dockerd.ts"
import { apply, edgeDevice, eventually, grpcAuthority, type Kubectl, prepareAgent, prepareOperator } from "./Line.ts"
import { findProgram, runProgram } from "./program.ts"
import { scratch } from "./scratch.ts"

const pod = (name: string, restartPolicy: string, script: string) => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { namespace: "edge", name },
  spec: {
    nodeName: "edge-1",
    restartPolicy,
    terminationGracePeriodSeconds: 2,
    tolerations: [{ key: "arhat.dev/namespace", operator: "Exists" }],
    containers: [{ name: "main", image: "busybox:1.36", command: ["sh", "-c", script] }]
  }
})

interface Listed {
  readonly Id: string
  readonly State: string
  readonly Labels: Readonly<Record<string, string>>
}

/** SIGKILL at once; the scope that owns the daemon finds it gone. */
const killHard = (daemon: Daemon) => Effect.sync(() => void process.kill(daemon.pid, "SIGKILL"))

describe("programs that are killed", () => {
  it.live("leave containers, counts and exit codes as they are", () =>
    Effect.gen(function*() {
      const noDocker = yield* whyNoDocker
      const kubectlPath = findProgram("kubectl")
      if (Option.isSome(noDocker) || Option.isNone(kubectlPath)) {
        const why = Option.getOrElse(noDocker, () => "there is no kubectl on the PATH")
        return console.warn(`SKIPPED killing programs with pods in docker: ${why}`)
      }
      const folder = yield* scratch
      const docker = yield* startDocker({ reuse: true })
      const embedded = yield* startEmbedded()
      const kubeconfigPath = `${folder}/kubeconfig`
      writeFileSync(kubeconfigPath, embedded.adminKubeconfigYaml, { mode: 0o600 })
      writeFileSync(`${folder}/client-ca.pem`, embedded.kubeletClientCaPem)
      const kubectl: Kubectl = (args, options) =>
        runProgram(
          kubectlPath.value,
          ["--kubeconfig", kubeconfigPath, "--cache-dir", `${folder}/cache`, ...args],
          options ?? {}
        )
      const prepared = yield* prepareOperator({ kubeconfigPath, kubectl }, `${folder}/operator`, {
        clientCaFile: `${folder}/client-ca.pem`
      })
      let operator = yield* prepared.start
      const arhat = yield* prepareAgent(`${folder}/edge-1`, {
        device: "edge-1",
        operatorKey: prepared.publicKey,
        caData: yield* grpcAuthority(kubectl),
        endpoint: `localhost:${prepared.grpcPort}`,
        runtime: { docker: { socket: docker.socketPath, pauseImage: "aranya.test/pause:1" } }
      })
      yield* apply(kubectl, edgeDevice("edge-1", arhat.publicKey))
      let agent = yield* arhat.start
      yield* eventually(kubectl, ["get", "node", "edge-1", "--no-headers"], (out) => / Ready /.test(out))

      yield* apply(
        kubectl,
        pod("steady", "Always", "trap 'exit 0' TERM; while true; do sleep 0.2; done"),
        pod("once", "Never", "sleep 6; exit 7")
      )
      yield* eventually(kubectl, ["get", "pod", "steady", "-n", "edge", "--no-headers"], (out) => / Running /.test(out))

      const containers = Effect.map(
        docker.engine.json("GET", "/containers/json", {
          query: { all: "1", filters: JSON.stringify({ label: ["io.kubernetes.container.name=main"] }) }
        }),
        (listed) =>
          (listed as ReadonlyArray<Listed>).filter(({ Labels }) => Labels["io.kubernetes.pod.namespace"] === "edge")
      )
      const steadyId = async () =>
        (await Effect.runPromise(containers)).find(({ Labels }) => Labels["io.kubernetes.pod.name"] === "steady")?.Id
      const before = yield* Effect.promise(steadyId)
      assert.isDefined(before)

      for (const victim of ["agent", "operator", "both", "agent", "operator", "both"]) {
        if (victim !== "operator") yield* killHard(agent)
        if (victim !== "agent") yield* killHard(operator)
        if (victim !== "agent") operator = yield* prepared.start
        if (victim !== "operator") agent = yield* arhat.start
        yield* Effect.sleep("700 millis")
      }

      yield* eventually(
        kubectl,
        [
          "get",
          "pod",
          "once",
          "-n",
          "edge",
          "-o",
          "jsonpath={.status.phase} {.status.containerStatuses[0].state.terminated.exitCode} {.status.containerStatuses[0].restartCount}"
        ],
        (out) => out === "Failed 7 0"
      )
      yield* eventually(
        kubectl,
        [
          "get",
          "pod",
          "steady",
          "-n",
          "edge",
          "-o",
          "jsonpath={.status.phase} {.status.containerStatuses[0].restartCount}"
        ],
        (out) => out === "Running 0"
      )
      assert.strictEqual(yield* Effect.promise(steadyId), before)
      assert.lengthOf(yield* containers, 2, "one container for each pod, ever")

      yield* killHard(agent)
      const deleting = yield* kubectl(["delete", "pod", "steady", "once", "-n", "edge", "--wait=false"])
      assert.strictEqual(deleting.exitCode, 0, deleting.stderr)
      yield* arhat.start
      yield* eventually(kubectl, ["get", "pods", "-n", "edge", "-o", "name"], (out, { exitCode }) =>
        exitCode === 0 && out === "")
      assert.lengthOf(yield* containers, 0)
    }).pipe(Effect.scoped), 180_000)
})

/** What is shipped: the built files alone in an empty folder, with nothing of this repository beside them, run a pod. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { startEmbedded } from "../../adapters/kube/plane/server/startEmbedded.ts"
import { apply, edgeDevice, eventually, grpcAuthority, type Kubectl, prepareAgent, prepareOperator } from "./Line.ts"
import { findProgram, runProgram, runProgramOk } from "./program.ts"
import { scratch } from "./scratch.ts"

const root = fileURLToPath(new URL("../..", import.meta.url))

const pod = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { namespace: "edge", name: "hello" },
  spec: {
    nodeName: "edge-1",
    terminationGracePeriodSeconds: 2,
    tolerations: [{ key: "arhat.dev/namespace", operator: "Exists" }],
    containers: [{
      name: "main",
      image: "virtualimage.arhat.dev/hostexec",
      command: ["sh", "-c", "echo hello from $WHO; while true; do sleep 0.2; done"],
      env: [{ name: "WHO", value: "one file" }]
    }]
  }
}

/** Resident bytes of a process, as the kernel counts them. */
const residentMegabytes = (pid: number) =>
  Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * 1024 / 1e6

describe("the built programs", () => {
  it.live(
    "run alone: a pod runs, kubectl reads its log, and it ends",
    () =>
      Effect.gen(function*() {
        const kubectlPath = findProgram("kubectl")
        if (Option.isNone(kubectlPath)) {
          return console.warn("SKIPPED the built programs: there is no kubectl on the PATH")
        }
        if (process.getuid?.() !== 0) return console.warn("SKIPPED the built programs: process pods need root here")
        const folder = yield* scratch
        yield* runProgramOk(process.execPath, [`${root}scripts/build.ts`, "--outdir", `${folder}/built`])
        mkdirSync(`${folder}/alone`)
        for (const file of ["aranya.mjs", "arhat.mjs"]) {
          copyFileSync(`${folder}/built/${file}`, `${folder}/alone/${file}`)
        }
        assert.deepStrictEqual(readdirSync(`${folder}/alone`), ["aranya.mjs", "arhat.mjs"])
        // It comes with an index of Effect's; an agent has no room for it.
        assert.notMatch(readFileSync(`${folder}/alone/arhat.mjs`, "utf8"), /redis/i)

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
        const operator = yield* prepareOperator({ kubeconfigPath, kubectl }, `${folder}/operator`, {
          clientCaFile: `${folder}/client-ca.pem`,
          program: `${folder}/alone/aranya.mjs`
        })
        yield* operator.start
        const agent = yield* prepareAgent(`${folder}/edge-1`, {
          device: "edge-1",
          operatorKey: operator.publicKey,
          caData: yield* grpcAuthority(kubectl),
          endpoint: `localhost:${operator.grpcPort}`,
          runtime: { docker: { enabled: false }, process: { enabled: true, allowRoot: true } },
          program: `${folder}/alone/arhat.mjs`
        })
        yield* apply(kubectl, edgeDevice("edge-1", agent.publicKey))
        const arhat = yield* agent.start
        yield* eventually(kubectl, ["get", "node", "edge-1", "--no-headers"], (out) => / Ready /.test(out))

        yield* apply(kubectl, pod)
        yield* eventually(
          kubectl,
          ["get", "pod", "hello", "-n", "edge", "--no-headers"],
          (out) => / 1\/1 +Running /.test(out)
        )
        yield* eventually(kubectl, ["logs", "-n", "edge", "hello"], (out) => out === "hello from one file\n")
        // By WebSocket and by SPDY, as kubectl may choose: what is loaded late in a bundle is lost easily.
        for (const chosen of ["true", "false"]) {
          const said = yield* runProgram(
            kubectlPath.value,
            [
              "--kubeconfig",
              kubeconfigPath,
              "--cache-dir",
              `${folder}/cache`,
              "exec",
              "-n",
              "edge",
              "hello",
              "--",
              "echo",
              "x"
            ],
            { env: { KUBECTL_REMOTE_COMMAND_WEBSOCKETS: chosen } }
          )
          assert.strictEqual(said.stdout, "x\n", said.stderr)
        }
        const resident = residentMegabytes(arhat.pid)
        console.log(`the built agent with one pod has ${resident.toFixed(0)} MB resident`)
        assert.isAbove(resident, 0)

        const deleted = yield* kubectl(["delete", "pod", "hello", "-n", "edge", "--timeout=60s"])
        assert.strictEqual(deleted.exitCode, 0, deleted.stderr)
      }).pipe(Effect.scoped),
    180_000
  )
})

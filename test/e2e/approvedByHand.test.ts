/** `kubelet.serving.selfApprove: false`: the operator serves devices while nobody has approved its certificate yet. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { writeFileSync } from "node:fs"
import { connect } from "node:tls"
import { startEmbedded } from "../../adapters/kube/plane/server/startEmbedded.ts"
import { apply, edgeDevice, eventually, grpcAuthority, type Kubectl, prepareAgent, prepareOperator } from "./Line.ts"
import { findProgram, runProgram } from "./program.ts"
import { scratch } from "./scratch.ts"

/** The subject of the certificate a listener shows; undefined while nothing listens. */
const subjectAt = (port: number) =>
  Effect.callback<string | undefined>((resume) => {
    const socket = connect({ host: "127.0.0.1", port, rejectUnauthorized: false }, () => {
      resume(Effect.succeed(socket.getPeerX509Certificate()?.subject))
      socket.destroy()
    })
    socket.on("error", () => resume(Effect.succeed(undefined)))
    return Effect.sync(() => socket.destroy())
  })

describe("a serving certificate approved by hand", () => {
  it.live(
    "keeps no device waiting, and is shown once it was approved",
    () =>
      Effect.gen(function*() {
        const kubectlPath = findProgram("kubectl")
        if (Option.isNone(kubectlPath)) return console.warn("SKIPPED approval by hand: there is no kubectl here")
        const folder = yield* scratch
        const embedded = yield* startEmbedded()
        const kubeconfigPath = `${folder}/kubeconfig`
        writeFileSync(kubeconfigPath, embedded.adminKubeconfigYaml, { mode: 0o600 })
        writeFileSync(`${folder}/client-ca.pem`, embedded.kubeletClientCaPem)
        const at = ["--kubeconfig", kubeconfigPath, "--cache-dir", `${folder}/cache`, "-n", "edge"]
        const kubectl: Kubectl = (args, options) => runProgram(kubectlPath.value, [...at, ...args], options ?? {})
        const operator = yield* prepareOperator({ kubeconfigPath, kubectl }, `${folder}/operator`, {
          clientCaFile: `${folder}/client-ca.pem`,
          serving: { mode: "csr", selfApprove: false }
        })
        yield* operator.start
        const agent = yield* prepareAgent(`${folder}/edge-1`, {
          device: "edge-1",
          operatorKey: operator.publicKey,
          caData: yield* grpcAuthority(kubectl),
          endpoint: `localhost:${operator.grpcPort}`,
          runtime: { docker: { enabled: false }, process: { enabled: true, allowRoot: process.getuid?.() === 0 } }
        })
        yield* apply(kubectl, edgeDevice("edge-1", agent.publicKey))
        yield* agent.start
        const ready = "jsonpath={.status.conditions[?(@.type==\"Ready\")].status}"
        yield* eventually(kubectl, ["get", "node", "edge-1", "-o", ready], (stdout) => stdout === "True")
        assert.isUndefined(yield* subjectAt(operator.kubeletPort))

        const name = yield* eventually(kubectl, ["get", "csr", "-o", "name"], (stdout) => stdout !== "")
        const approved = yield* kubectl(["certificate", "approve", name.trim().split("/").at(-1) ?? ""])
        assert.strictEqual(approved.exitCode, 0, approved.stderr)
        const subject = yield* Effect.repeat(Effect.delay(subjectAt(operator.kubeletPort), "200 millis"), {
          until: (shown) => shown !== undefined,
          times: 150
        })
        assert.include(subject, "CN=system:node:aranya")
      }).pipe(Effect.scoped),
    120_000
  )
})

/** A device with a certificate, a name and a client authority of its own, at the one door of all devices. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { writeFileSync } from "node:fs"
import { startEmbedded } from "../../adapters/kube/plane/server/startEmbedded.ts"
import { createAuthority, createLeaf } from "../../adapters/x509/certificate.ts"
import { apply, edgeDevice, eventually, type Kubectl, prepareAgent, prepareOperator } from "./Line.ts"
import { findProgram, runProgram } from "./program.ts"
import { scratch } from "./scratch.ts"

const hour = 3_600_000
const base64 = (pem: string) => Buffer.from(pem).toString("base64")

/** An authority of the device's owner, with a certificate for the operator and one for the device. */
const owners = () => {
  const [notBefore, notAfter] = [new Date(Date.now() - hour), new Date(Date.now() + hour)]
  const authority = createAuthority("the owner", notBefore, notAfter)
  const issue = (name: string, purpose: "server auth" | "client auth") =>
    createLeaf(authority, {
      subject: { commonName: name },
      names: { dns: [name], ips: [] },
      purposes: [purpose],
      notBefore,
      notAfter
    })
  return {
    ca: authority.certificate,
    server: issue("edge-1.owner.example", "server auth"),
    client: issue("edge-1", "client auth")
  }
}

describe("an EdgeDevice that names its certificate", () => {
  it.live("is shown that certificate by the name it asks for, and shows its own", () =>
    Effect.gen(function*() {
      const kubectlPath = findProgram("kubectl")
      if (Option.isNone(kubectlPath)) return console.warn("SKIPPED a device's own certificate: there is no kubectl")
      const folder = yield* scratch
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
        clientCaFile: `${folder}/client-ca.pem`
      })
      yield* operator.start
      const { ca, client, server } = owners()
      const agent = yield* prepareAgent(`${folder}/edge-1`, {
        device: "edge-1",
        operatorKey: operator.publicKey,
        caData: base64(ca),
        endpoint: `localhost:${operator.grpcPort}`,
        tls: {
          serverName: "edge-1.owner.example",
          certData: base64(client.certificate),
          keyData: base64(client.key)
        },
        runtime: { docker: { enabled: false }, process: { enabled: true } }
      })
      const device = edgeDevice("edge-1", agent.publicKey)
      yield* apply(kubectl, {
        ...device,
        spec: { ...device.spec, connectivity: { method: "grpc", grpc: { tlsSecretRef: { name: "door" } } } }
      })
      yield* agent.start
      const events = ["get", "events", "-n", "edge", "-o", "jsonpath={.items[*].message}"]
      const complaint = yield* eventually(kubectl, events, (out) => out.includes("Secret edge/door"))
      assert.include(
        complaint,
        "Secret edge/door: it does not exist; the device is shown the operator's own certificate"
      )

      yield* apply(kubectl, {
        apiVersion: "v1",
        kind: "Secret",
        metadata: { namespace: "edge", name: "door" },
        type: "kubernetes.io/tls",
        data: {
          "tls.crt": base64(server.certificate),
          "tls.key": base64(server.key),
          "client_ca.crt": base64(ca)
        }
      })
      yield* eventually(kubectl, ["get", "node", "edge-1", "--no-headers"], (out) => / Ready /.test(out))
    }).pipe(Effect.scoped), 120_000)
})

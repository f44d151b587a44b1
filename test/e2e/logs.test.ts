/** `kubectl logs -f` by every way there is between a device and its operator, but for gRPC without a client certificate: that is everybody's. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { writeFileSync } from "node:fs"
import { startEmbedded } from "../../adapters/kube/plane/server/startEmbedded.ts"
import { createAuthority, createLeaf } from "../../adapters/x509/certificate.ts"
import { aedesBroker } from "../adapters/mqtt/aedesBroker.ts"
import { hasMosquitto } from "../adapters/mqtt/mosquitto.ts"
import { startDaemon } from "./daemon.ts"
import { apply, edgeDevice, eventually, grpcAuthority, type Kubectl, prepareAgent, prepareOperator } from "./Line.ts"
import { broker, login, passwordOf, pod, read, secret, waitFor } from "./mqttLine.ts"
import { findProgram, runProgram } from "./program.ts"
import { scratch } from "./scratch.ts"

const lines = 150
const counting = `n=0; while [ $n -lt ${lines} ]; do n=$((n+1)); echo line $n; sleep 0.05; done`

/** What agent and EdgeDevice say alike of a broker. */
interface AtBroker {
  readonly broker: string
  readonly version?: "5"
  readonly transport?: "websocket"
  /** base64 of PEM */
  readonly authority?: string
  readonly anonymous?: true
}

/** Device by way. */
const names = {
  "gRPC with a client certificate": "grpc-mtls",
  "MQTT 3.1.1 with TLS": "mqtt-3-tls",
  "MQTT 5 with TLS": "mqtt-5-tls",
  "MQTT 3.1.1 with websockets": "mqtt-3-ws",
  "MQTT 5 with secure websockets": "mqtt-5-wss",
  "MQTT 3.1.1 at another broker": "aedes"
} as const
type Way = keyof typeof names

const client = (folder: string) => {
  const [from, to] = [new Date(Date.now() - 3_600_000), new Date(Date.now() + 24 * 3_600_000)]
  const authority = createAuthority("devices", from, to)
  const leaf = createLeaf(authority, {
    subject: { commonName: "a device" },
    names: { dns: ["device.example"], ips: [] },
    purposes: ["client auth"],
    notBefore: from,
    notAfter: to
  })
  writeFileSync(`${folder}/devices.pem`, authority.certificate)
  return {
    certData: Buffer.from(leaf.certificate).toString("base64"),
    keyData: Buffer.from(leaf.key).toString("base64")
  }
}

describe("kubectl logs -f", () => {
  it.live(
    "tells every line once and in order, and ends with the container, by each of them",
    () =>
      Effect.gen(function*() {
        const kubectlPath = findProgram("kubectl")
        if (Option.isNone(kubectlPath) || !hasMosquitto) {
          return console.warn(`SKIPPED logs by every way: there is no ${hasMosquitto ? "kubectl" : "mosquitto"} here`)
        }
        const folder = yield* scratch
        const embedded = yield* startEmbedded()
        const kubeconfigPath = `${folder}/kubeconfig`
        writeFileSync(kubeconfigPath, embedded.adminKubeconfigYaml, { mode: 0o600 })
        writeFileSync(`${folder}/client-ca.pem`, embedded.kubeletClientCaPem)
        const at = ["--kubeconfig", kubeconfigPath, "--cache-dir", `${folder}/cache`, "-n", "edge"]
        const kubectl: Kubectl = (args, options) => runProgram(kubectlPath.value, [...at, ...args], options ?? {})
        const identity = client(folder)
        const operator = yield* prepareOperator({ kubeconfigPath, kubectl }, `${folder}/operator`, {
          clientCaFile: `${folder}/client-ca.pem`,
          grpcClientCa: `${folder}/devices.pem`
        })
        yield* operator.start
        const caData = yield* grpcAuthority(kubectl)
        const met = yield* broker(["aranya", ...Object.values(names)])
        const [tls, web, secureWeb] = met.ports.map((port) => `127.0.0.1:${port}`)
        const other = `127.0.0.1:${(yield* aedesBroker()).port}`
        yield* apply(kubectl, login(passwordOf("aranya")), secret("broker-ca", { "ca.crt": met.authority }))
        const authority = Buffer.from(met.authority).toString("base64")
        const brokers: Record<Exclude<Way, "gRPC with a client certificate">, AtBroker> = {
          "MQTT 3.1.1 with TLS": { broker: tls!, authority },
          "MQTT 5 with TLS": { broker: tls!, authority, version: "5" },
          "MQTT 3.1.1 with websockets": { broker: web!, transport: "websocket" },
          "MQTT 5 with secure websockets": { broker: secureWeb!, authority, version: "5", transport: "websocket" },
          "MQTT 3.1.1 at another broker": { broker: other, anonymous: true }
        }

        const begin = Effect.fnUntraced(function*(way: Way) {
          const device = names[way]
          const said = way === "gRPC with a client certificate" ? undefined : brokers[way]
          const { anonymous, authority, broker: endpoint, ...how } = said ?? { broker: "" }
          const passwordFile = `${folder}/${device}.password`
          writeFileSync(passwordFile, `${passwordOf(device)}\n`, { mode: 0o600 })
          const agent = yield* prepareAgent(`${folder}/${device}`, {
            device,
            operatorKey: operator.publicKey,
            caData,
            endpoint: `localhost:${operator.grpcPort}`,
            tls: identity,
            ...(said === undefined ? {} : {
              methods: [{
                name: "mqtt",
                config: {
                  endpoint,
                  topicNamespaceFrom: { text: `edge/${device}` },
                  tls: authority === undefined ? { enabled: false } : { caCertData: authority },
                  ...(anonymous === true ? {} : { username: device, passwordFile }),
                  ...how
                }
              }]
            }),
            runtime: { docker: { enabled: false }, process: { enabled: true, allowRoot: process.getuid?.() === 0 } }
          })
          const mqtt = {
            broker: endpoint,
            topicNamespace: `edge/${device}`,
            ...(authority === undefined ? {} : { tlsSecretRef: { name: "broker-ca" } }),
            ...(anonymous === true ? {} : { userPassRef: { name: "broker-login" } }),
            ...how
          }
          yield* apply(
            kubectl,
            edgeDevice(device, agent.publicKey, said === undefined ? { method: "grpc" } : { method: "mqtt", mqtt })
          )
          yield* agent.start
        })

        const follow = Effect.fnUntraced(function*(way: Way) {
          const device = names[way]
          const method = way === "gRPC with a client certificate" ? "grpc" : "mqtt"
          yield* eventually(
            kubectl,
            ["get", "edgedevice", device, "-o", "jsonpath={.status.connectivity.method}"],
            (out) => out === method,
            120
          )
          yield* apply(kubectl, pod(device, `count-${device}`, counting))
          yield* eventually(kubectl, ["get", "pod", `count-${device}`, "--no-headers"], (out) => / Running /.test(out))
          const file = `${folder}/${device}.followed`
          const follower = yield* startDaemon({
            name: `logs of ${device}`,
            command: kubectlPath.value,
            args: [...at, "logs", "-f", `count-${device}`],
            logFile: file
          })
          yield* waitFor(`the log of ${device} while it runs`, () => read(file), (text) => text.includes("line 1\n"))
          assert.notInclude(read(file), `line ${lines}\n`, `${way}: it is followed, not read at its end`)
          const ended = yield* Effect.flip(follower.ended)
          assert.include(ended.message, "exited with code 0", way)
          const whole = Array.from({ length: lines }, (_, n) => `line ${n + 1}\n`).join("")
          assert.strictEqual(read(file), whole, way)
        })

        const ways = Object.keys(names) as ReadonlyArray<Way>
        yield* Effect.forEach(ways, begin, { concurrency: 2, discard: true })
        yield* Effect.forEach(ways, follow, { concurrency: "unbounded", discard: true })
      }).pipe(Effect.scoped),
    300_000
  )
})

/** The embedded control plane, one operator, and a device for each pair of runtime and transport: the columns of the table of verbs. */
import { Context, Effect, Layer, Option } from "effect"
import { chmodSync, mkdirSync, writeFileSync } from "node:fs"
import { type Embedded, startEmbedded } from "../../../adapters/kube/plane/server/startEmbedded.ts"
import { hasMosquitto } from "../../adapters/mqtt/mosquitto.ts"
import { startDocker, whyNoDocker } from "../dockerd.ts"
import { asProcesses, type DeviceRuntime, onDocker } from "../killed/DeviceRuntime.ts"
import { apply, edgeDevice, grpcAuthority, type Kubectl, prepareAgent, prepareOperator } from "../Line.ts"
import { broker, login, passwordOf, secret } from "../mqttLine.ts"
import { findProgram } from "../program.ts"
import { scratch } from "../scratch.ts"
import { type Client, client, type Column, makeColumn, withoutWebSockets } from "./Column.ts"
import { oldKubectl } from "./oldKubectl.ts"

export const runtimes = ["docker", "processes"] as const
export const transports = ["grpc", "mqtt"] as const

export class Site extends Context.Service<Site, {
  readonly embedded: Embedded
  readonly folder: string
  /** What an agent needs to know of the operator; nothing where there is none. */
  readonly way: { readonly operatorKey: string; readonly caData: string; readonly endpoint: string } | undefined
  /** Or why there is none here, said in a sentence. */
  readonly column: (runtime: string, transport: string) => Column | string
}>()("test/Site") {
  static readonly layer = Layer.effect(Site, Effect.orDie(Effect.suspend(() => make)))
}

const kubectls = Effect.fnUntraced(function*(always: ReadonlyArray<string>) {
  const current = Option.getOrUndefined(findProgram("kubectl"))
  if (current === undefined) return "there is no kubectl on the PATH"
  const old = yield* Effect.result(oldKubectl)
  if (old._tag === "Failure") console.warn(`SKIPPED kubectl 1.20: ${old.failure.message}`)
  const clients: ReadonlyArray<Client> = [
    client("WebSocket", [current, ...always]),
    client("SPDY", [current, ...always], withoutWebSockets),
    ...(old._tag === "Success" ? [client("kubectl 1.20", [old.success, ...always])] : [])
  ]
  return clients
})

/** Takes a device's pods away, and waits until they are gone. */
export const podsGo = (
  device: string
) => ["delete", "pods", `--field-selector=spec.nodeName=${device}`, "--grace-period=1", "--timeout=90s"]

const make = Effect.gen(function*() {
  const folder = yield* scratch
  chmodSync(folder, 0o711)
  const embedded = yield* startEmbedded()
  const kubeconfigPath = `${folder}/kubeconfig`
  writeFileSync(kubeconfigPath, embedded.adminKubeconfigYaml, { mode: 0o600 })
  const clients = yield* kubectls(["--kubeconfig", kubeconfigPath, "--cache-dir", `${folder}/cache`, "-n", "edge"])
  const reason = new Map<string, string>()
  const columns = new Map<string, Column>()
  const siteBy = (way: Site["Service"]["way"]) =>
    Site.of({
      embedded,
      folder,
      way,
      column: (runtime, transport) =>
        typeof clients === "string"
          ? clients
          : columns.get(`${runtime}-${transport}`) ?? reason.get(runtime) ?? reason.get(transport) ??
            "VERBS_COLUMNS leaves it out"
    })
  if (typeof clients === "string") return siteBy(undefined)
  const [newest] = clients
  const kubectl: Kubectl = (args, options) => newest!.kubectl(args, options)

  const noDocker = yield* whyNoDocker
  if (Option.isSome(noDocker)) reason.set("docker", noDocker.value)
  if (process.getuid?.() !== 0) reason.set("processes", "pods as processes need root")
  if (!hasMosquitto) reason.set("mqtt", "there is no mosquitto here")
  const runtimeOf: Record<string, DeviceRuntime | undefined> = {
    docker: reason.has("docker") ? undefined : onDocker(yield* startDocker({ reuse: true })),
    processes: reason.has("processes") ? undefined : asProcesses
  }

  writeFileSync(`${folder}/client-ca.pem`, embedded.kubeletClientCaPem)
  const operator = yield* prepareOperator({ kubeconfigPath, kubectl }, `${folder}/operator`, {
    clientCaFile: `${folder}/client-ca.pem`
  })
  yield* operator.start
  const caData = yield* grpcAuthority(kubectl)
  const users = ["aranya", ...runtimes.map((runtime) => `${runtime}-mqtt`)]
  const met = reason.has("mqtt") ? undefined : yield* broker(users)
  if (met !== undefined) {
    yield* apply(kubectl, login(passwordOf("aranya")), secret("broker-ca", { "ca.crt": met.authority }))
  }

  /** The ways of the agent, and what the EdgeDevice says of them. */
  const ways = (device: string, transport: string) => {
    if (transport === "grpc" || met === undefined) return { connectivity: { method: "grpc" } }
    const passwordFile = `${folder}/${device}.password`
    writeFileSync(passwordFile, `${passwordOf(device)}\n`, { mode: 0o600 })
    return {
      methods: [{
        name: "mqtt",
        config: {
          endpoint: met.address,
          topicNamespaceFrom: { exec: ["echo", `edge/${device}`] },
          username: device,
          passwordFile,
          tls: { caCertData: Buffer.from(met.authority).toString("base64") }
        }
      }],
      connectivity: {
        method: "mqtt",
        mqtt: {
          broker: met.address,
          topicNamespace: `edge/${device}`,
          tlsSecretRef: { name: "broker-ca" },
          userPassRef: { name: "broker-login" }
        }
      }
    }
  }

  const open = Effect.fnUntraced(function*(name: string, runtime: DeviceRuntime, transport: string) {
    const { connectivity, methods } = ways(name, transport)
    const own = `${folder}/${name}`
    mkdirSync(own)
    const agent = yield* prepareAgent(own, {
      device: name,
      operatorKey: operator.publicKey,
      caData,
      endpoint: `localhost:${operator.grpcPort}`,
      ...(methods === undefined ? {} : { methods }),
      runtime: runtime.config
    })
    yield* apply(kubectl, edgeDevice(name, agent.publicKey, connectivity))
    yield* agent.start
    // Pods as processes outlive their agents: they go while those are there to end them.
    yield* Effect.addFinalizer(() => Effect.ignore(kubectl(podsGo(name))))
    columns.set(name, yield* makeColumn({ name, runtime, clients, folder: `${own}/pods`, kubectl }))
  })
  // VERBS_COLUMNS=docker-grpc,processes-mqtt tries these alone.
  const chosen = process.env["VERBS_COLUMNS"]?.split(",")
  const pairs = runtimes.flatMap((runtime) => transports.map((transport) => ({ runtime, transport })))
    .filter(({ runtime, transport }) => chosen?.includes(`${runtime}-${transport}`) ?? true)
  yield* Effect.forEach(pairs, ({ runtime, transport }) => {
    const found = runtimeOf[runtime]
    const none = found === undefined || reason.has(transport)
    return none ? Effect.void : open(`${runtime}-${transport}`, found, transport)
  }, { concurrency: "unbounded", discard: true })
  return siteBy({ operatorKey: operator.publicKey, caData, endpoint: `localhost:${operator.grpcPort}` })
})

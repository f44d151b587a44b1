/** An operator and agents that meet at a mosquitto with TLS, passwords and access rules, against the embedded control plane. */
import { Effect, Option, Schedule } from "effect"
import { pbkdf2Sync, randomBytes } from "node:crypto"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { startEmbedded } from "../../adapters/kube/plane/server/startEmbedded.ts"
import { createAuthority, createLeaf } from "../../adapters/x509/certificate.ts"
import { hasMosquitto, mosquitto } from "../adapters/mqtt/mosquitto.ts"
import { startDaemon } from "./daemon.ts"
import {
  apply,
  edgeDevice,
  eventually,
  grpcAuthority,
  type Kubectl,
  NotAsExpected,
  prepareAgent,
  prepareOperator
} from "./Line.ts"
import { findProgram, runProgram } from "./program.ts"
import { scratch } from "./scratch.ts"

/** The device's user is its name; its topics are below `edge/`. */
const accessRules = `
user aranya
topic read edge/+/msg
topic read edge/+/status
topic write edge/+/cmd

pattern read edge/%u/cmd
pattern write edge/%u/msg
pattern write edge/%u/status
`

export const passwordOf = (user: string) => `the password of ${user}`

/** As mosquitto_passwd writes it: PBKDF2 with SHA-512. */
const passwordLine = (user: string) => {
  const salt = randomBytes(12)
  const rounds = 101
  const hash = pbkdf2Sync(passwordOf(user), salt, rounds, 64, "sha512")
  return `${user}:$7$${rounds}$${salt.toString("base64")}$${hash.toString("base64")}\n`
}

const encrypted = ["certfile %DIR%/tls.crt", "keyfile %DIR%/tls.key"]

/** Of its ports the first has TLS, the second websockets, the third both. */
export const broker = Effect.fnUntraced(function*(users: ReadonlyArray<string>) {
  const [from, to] = [new Date(Date.now() - 3_600_000), new Date(Date.now() + 24 * 3_600_000)]
  const authority = createAuthority("broker authority", from, to)
  const leaf = createLeaf(authority, {
    subject: { commonName: "broker" },
    names: { dns: ["localhost"], ips: ["127.0.0.1"] },
    purposes: ["server auth"],
    notBefore: from,
    notAfter: to
  })
  const running = yield* mosquitto({
    lines: ["allow_anonymous false", "password_file %DIR%/passwords", "acl_file %DIR%/rules"],
    listeners: [{ lines: encrypted }, { lines: ["protocol websockets"] }, {
      lines: [...encrypted, "protocol websockets"]
    }],
    files: {
      passwords: users.map(passwordLine).join(""),
      rules: accessRules,
      "tls.crt": leaf.certificate,
      "tls.key": leaf.key
    }
  })
  return { ...running, address: `127.0.0.1:${running.ports[0]}`, authority: authority.certificate }
})

export const read = (file: string) => existsSync(file) ? readFileSync(file, "utf8") : ""

export const waitFor = (what: string, look: () => string, fits: (seen: string) => boolean, limitSeconds = 90) =>
  Effect.suspend(() => {
    const seen = look()
    return fits(seen) ? Effect.succeed(seen) : Effect.fail(new NotAsExpected({ what, seen: seen.slice(-2000) }))
  }).pipe(Effect.retry(Schedule.spaced("100 millis").pipe(Schedule.upTo({ times: limitSeconds * 10 }))))

export const secret = (name: string, stringData: object, type = "Opaque") => ({
  apiVersion: "v1",
  kind: "Secret",
  metadata: { namespace: "edge", name },
  type,
  stringData
})

/** The operator's login at the broker. */
export const login = (password: string) =>
  secret("broker-login", { username: "aranya", password }, "kubernetes.io/basic-auth")

/** A process of the host that goes on until it is deleted, ten minutes at most. */
export const pod = (device: string, name: string, script: string) => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { namespace: "edge", name },
  spec: {
    nodeName: device,
    restartPolicy: "Never",
    automountServiceAccountToken: false,
    terminationGracePeriodSeconds: 5,
    tolerations: [{ key: "arhat.dev/namespace", operator: "Exists" }],
    containers: [{ name: "main", image: "virtualimage.arhat.dev/hostexec", command: ["sh", "-c", script] }]
  }
})

/** Control plane, broker and operator; undefined where skipped. */
export const mqttLine = Effect.fnUntraced(function*(
  what: string,
  connectivity: { readonly sessionTimeout?: string; readonly beatInterval?: string }
) {
  const kubectlPath = findProgram("kubectl")
  if (Option.isNone(kubectlPath) || !hasMosquitto) {
    console.warn(`SKIPPED ${what}: there is no ${hasMosquitto ? "kubectl" : "mosquitto"} here`)
    return undefined
  }
  const folder = yield* scratch
  const embedded = yield* startEmbedded()
  const kubeconfig = `${folder}/kubeconfig`
  writeFileSync(kubeconfig, embedded.adminKubeconfigYaml, { mode: 0o600 })
  writeFileSync(`${folder}/client-ca.pem`, embedded.kubeletClientCaPem)
  const at = ["--kubeconfig", kubeconfig, "--cache-dir", `${folder}/cache`]
  const kubectl: Kubectl = (args, options) => runProgram(kubectlPath.value, [...at, ...args], options ?? {})
  const operator = yield* prepareOperator({ kubeconfigPath: kubeconfig, kubectl }, `${folder}/operator`, {
    clientCaFile: `${folder}/client-ca.pem`,
    connectivity
  })
  const aranya = yield* operator.start
  const caData = yield* grpcAuthority(kubectl)
  const met = yield* broker(["aranya", "edge-1", "edge-2"])
  yield* apply(
    kubectl,
    login(passwordOf("aranya")),
    secret("broker-ca", { "ca.crt": met.authority })
  )

  const byGrpc = {
    name: "grpc",
    priority: 10,
    config: { endpoint: `localhost:${operator.grpcPort}`, tls: { caCertData: caData } }
  }

  /** An agent whose first way is the broker, and whose only other one may be gRPC. */
  const agent = Effect.fnUntraced(function*(device: string, options: {
    readonly grpc?: boolean
    /** Port of 127.0.0.1 that leads to the broker by a detour. */
    readonly brokerBy?: number
  } = {}) {
    const passwordFile = `${folder}/${device}.password`
    writeFileSync(passwordFile, `${passwordOf(device)}\n`, { mode: 0o600 })
    return yield* prepareAgent(`${folder}/${device}`, {
      device,
      operatorKey: operator.publicKey,
      caData,
      endpoint: `localhost:${operator.grpcPort}`,
      methods: [...options.grpc === true ? [byGrpc] : [], {
        name: "mqtt",
        priority: 1,
        config: {
          endpoint: options.brokerBy === undefined ? met.address : `127.0.0.1:${options.brokerBy}`,
          topicNamespaceFrom: { exec: ["echo", `edge/${device}`] },
          username: device,
          passwordFile,
          tls: { caCertData: Buffer.from(met.authority).toString("base64") }
        }
      }],
      runtime: { docker: { enabled: false }, process: { enabled: true, allowRoot: process.getuid?.() === 0 } }
    })
  })

  /** kubectl that goes on by itself; everything it says is in the file. */
  const watching = Effect.fnUntraced(function*(name: string, args: ReadonlyArray<string>) {
    const file = `${folder}/${name}`
    yield* startDaemon({ name, command: kubectlPath.value, args: [...at, ...args], logFile: file })
    return () => read(file)
  })
  const conditionOf = (kind: string, name: string, type: string) => [
    "get",
    kind,
    name,
    ...(kind === "node" ? [] : ["-n", "edge"]),
    "-o",
    `jsonpath={.status.conditions[?(@.type=='${type}')].status} {.status.conditions[?(@.type=='${type}')].reason} {.status.conditions[?(@.type=='${type}')].message}`
  ]
  return {
    folder,
    kubectl,
    kubeconfig,
    operator,
    aranya,
    caData,
    broker: met,
    agent,
    watching,
    /** Waits until a condition reads like this: `status reason message`. */
    condition: (kind: "node" | "edgedevice", name: string, type: string, like: RegExp, limitSeconds = 90) =>
      eventually(kubectl, conditionOf(kind, name, type), (out) => like.test(out), limitSeconds),
    /** Waits until this is the way the device is connected by. */
    carriedBy: (name: string, method: string, limitSeconds = 120) =>
      eventually(
        kubectl,
        ["get", "edgedevice", name, "-n", "edge", "-o", "jsonpath={.status.connectivity.method}"],
        (out) => out === method,
        limitSeconds
      ),
    running: (name: string) =>
      eventually(kubectl, ["get", "pod", name, "-n", "edge", "--no-headers"], (out) => / Running /.test(out), 90),
    /** What must not change. */
    identityOf: (name: string) =>
      Effect.map(
        kubectl([
          "get",
          "pod",
          name,
          "-n",
          "edge",
          "-o",
          "jsonpath={.metadata.uid} {.status.containerStatuses[0].containerID} {.status.containerStatuses[0].restartCount}"
        ]),
        ({ stdout }) => stdout
      ),
    /** As an owner writes it today. */
    mqtt: (name: string, more: object = {}) => ({
      method: "mqtt",
      mqtt: {
        broker: met.address,
        topicNamespace: `edge/${name}`,
        tlsSecretRef: { name: "broker-ca" },
        userPassRef: { name: "broker-login" },
        ...more
      }
    }),
    edgeDevice
  }
})

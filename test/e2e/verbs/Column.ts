/** One column of the table of verbs: a device with the pods that verbs are tried on, and the kubectls that try them. */
import { Effect, type Scope } from "effect"
import { randomBytes } from "node:crypto"
import { chmodSync, mkdirSync, writeFileSync } from "node:fs"
import type { DaemonFailed } from "../daemon.ts"
import { startDaemon } from "../daemon.ts"
import { freePorts } from "../freePorts.ts"
import type { DeviceRuntime } from "../killed/DeviceRuntime.ts"
import { apply, eventually, type Kubectl } from "../Line.ts"
import { runProgram } from "../program.ts"

/** A kubectl and how it is told to speak. */
export interface Client {
  readonly name: "WebSocket" | "SPDY" | "kubectl 1.20"
  readonly kubectl: Kubectl
  /** Its program and first arguments. */
  readonly command: ReadonlyArray<string>
  readonly env: Readonly<Record<string, string>>
  /** One that goes on until the scope closes. */
  readonly stays: (args: ReadonlyArray<string>, logFile: string) => Effect.Effect<unknown, DaemonFailed, Scope.Scope>
}

/** What kubectl up to 1.29 speaks, by the newest: SPDY alone. */
export const withoutWebSockets = {
  KUBECTL_REMOTE_COMMAND_WEBSOCKETS: "false",
  KUBECTL_PORT_FORWARD_WEBSOCKETS: "false"
}

export const client = (
  name: Client["name"],
  command: readonly [string, ...ReadonlyArray<string>],
  env: Readonly<Record<string, string>> = {}
): Client => {
  const [program, ...first] = command
  return {
    name,
    command,
    env,
    kubectl: (args, options) => runProgram(program, [...first, ...args], { ...options, env }),
    stays: (args, logFile) =>
      startDaemon({ name: `kubectl ${args[0]}`, command: program, args: [...first, ...args], env, logFile })
  }
}

export interface Column {
  /** Also the device's name: `docker-grpc`. */
  readonly name: string
  readonly runtime: DeviceRuntime
  readonly clients: ReadonlyArray<Client>
  /** Seen under the same path by pods. */
  readonly site: string
  /** The port of the server that speaks IPv4, and of the one that speaks nothing but IPv6. */
  readonly ports: { readonly web: number; readonly web6: number }
  /** What the servers have at `/page`. */
  readonly page: Uint8Array
  /** The name of one of this column's pods. */
  readonly pod: (name: string) => string
  /** A pod of this device. */
  readonly podOf: (name: string, script: string, more?: object, spec?: object) => object
}

export const podSpec = (device: string, runtime: DeviceRuntime) => ({
  nodeName: device,
  restartPolicy: "Never",
  automountServiceAccountToken: false,
  terminationGracePeriodSeconds: 1,
  tolerations: [{ key: "arhat.dev/namespace", operator: "Exists" }],
  // Kubernetes gives pods without one a moment of their own; the tests' images are there already.
  containers: [{ name: "main", image: runtime.image, imagePullPolicy: "IfNotPresent" }]
})

/** What it hears it says, and then how many lines there were. */
const listener = "n=0; while read line; do n=$((n+1)); echo heard $line; done; echo $n lines"

/** Ends its first life after a moment and lives on in its second. */
const phoenix = (file: string) =>
  `n=$(cat ${file} 2>/dev/null); n=$((n+1)); echo $n >${file}; echo life $n; [ $n -gt 1 ] || { sleep 1; exit 1; }; while :; do sleep 1; done`

/** Starts what every row needs, and waits for it. */
export const makeColumn = Effect.fnUntraced(function*(options: {
  readonly name: string
  readonly runtime: DeviceRuntime
  readonly clients: ReadonlyArray<Client>
  readonly folder: string
  readonly kubectl: Kubectl
}) {
  const { clients, folder, kubectl, name: device, runtime } = options
  const site = `${folder}/site`
  mkdirSync(site, { recursive: true })
  chmodSync(folder, 0o711)
  const page = randomBytes(50_000)
  writeFileSync(`${site}/page`, page)
  chmodSync(site, 0o777) // pods as processes are users of their own
  const [web = 0, web6 = 0] = yield* freePorts(2)
  const pod = (name: string) => `${device}-${name}`
  const podOf: Column["podOf"] = (name, script, more = {}, spec = {}) => {
    const { containers: [main], ...rest } = podSpec(device, runtime)
    return {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { namespace: "edge", name: pod(name) },
      spec: {
        ...rest,
        containers: [{
          ...main,
          command: ["/bin/busybox", "sh", "-c", script],
          volumeMounts: [{ name: "site", mountPath: site }],
          ...more
        }],
        volumes: [{ name: "site", hostPath: { path: site } }],
        ...spec
      }
    }
  }
  yield* apply(
    kubectl,
    podOf("shell", "trap 'exit 0' TERM; while true; do sleep 0.2; done"),
    podOf("talker", "echo one; echo two >&2; sleep 2; echo three; while :; do sleep 1; done"),
    podOf("phoenix", phoenix(`${site}/lives`), {}, { restartPolicy: "Always" }),
    podOf("web", `exec busybox httpd -f -p 0.0.0.0:${web} -h ${site}`),
    podOf("web6", `exec busybox httpd -f -p [::${runtime.name === "docker" ? "" : "1"}]:${web6} -h ${site}`),
    ...clients.map((_, index) => podOf(`listener-${index}`, listener, { stdin: true, stdinOnce: true }))
  )
  const column: Column = { name: device, runtime, clients, site, ports: { web, web6 }, page, pod, podOf }
  const names = ["shell", "talker", "web", "web6", ...clients.map((_, index) => `listener-${index}`)].map(pod)
  yield* eventually(
    kubectl,
    ["get", "pod", ...names, "-n", "edge", "-o", "jsonpath={.items[*].status.phase}"],
    (stdout) => stdout === names.map(() => "Running").join(" "),
    90
  )
  return column
})

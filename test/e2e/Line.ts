/** The whole line as a user runs it: an operator and an agent as processes, against whatever cluster a kubeconfig names. */
import { Effect, Schedule, Schema, type Scope } from "effect"
import { mkdirSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { stringify } from "yaml"
import { type Daemon, type DaemonFailed, startDaemon } from "./daemon.ts"
import { freePorts } from "./freePorts.ts"
import { type Outcome, type ProgramFailed, runProgram } from "./program.ts"

const root = fileURLToPath(new URL("../..", import.meta.url))
const node = `${root}node_modules/.bin/node`

/** The programs as they lie in the repository; a built one is another path. */
const sources = { aranya: `${root}apps/aranya/main.ts`, arhat: `${root}apps/arhat/main.ts` }

export interface Kubectl {
  (args: ReadonlyArray<string>, options?: { readonly stdin?: string }): Effect.Effect<Outcome, ProgramFailed>
}

export interface ClusterAccess {
  readonly kubeconfigPath: string
  readonly kubectl: Kubectl
}

/** Something was not as it should be within its time; says what was seen last. */
export class NotAsExpected extends Schema.TaggedError<NotAsExpected>()("NotAsExpected", {
  what: Schema.String,
  seen: Schema.String
}) {
  override get message() {
    return `${this.what}; seen last:\n${this.seen}`
  }
}

/** Asks kubectl until its output fits. */
export const eventually = (
  kubectl: Kubectl,
  args: ReadonlyArray<string>,
  fits: (stdout: string, outcome: Outcome) => boolean,
  limitSeconds = 60
) =>
  kubectl(args).pipe(
    Effect.flatMap((outcome) =>
      fits(outcome.stdout, outcome)
        ? Effect.succeed(outcome.stdout)
        : Effect.fail(new NotAsExpected({ what: `kubectl ${args.join(" ")}`, seen: outcome.stdout + outcome.stderr }))
    ),
    Effect.retry(Schedule.spaced("300 millis").pipe(Schedule.upTo({ times: Math.ceil(limitSeconds / 0.3) })))
  )

/** Applies a manifest and fails with kubectl's words. */
export const apply = Effect.fnUntraced(function*(kubectl: Kubectl, ...objects: ReadonlyArray<object>) {
  const outcome = yield* kubectl(["apply", "-f", "-"], { stdin: objects.map((each) => stringify(each)).join("---\n") })
  if (outcome.exitCode !== 0) {
    return yield* new NotAsExpected({ what: "kubectl apply", seen: outcome.stdout + outcome.stderr })
  }
  return outcome.stdout
})

export interface Operator {
  readonly start: Effect.Effect<Daemon, DaemonFailed, Scope.Scope>
  readonly grpcPort: number
  readonly kubeletPort: number
  readonly publicKey: string
  readonly ca: string
  readonly logFile: string
}

/** Prepares the operator: the CRD, its configuration and its key. It is started by `start`, as often as a test likes. */
export const prepareOperator = Effect.fnUntraced(function*(
  cluster: ClusterAccess,
  folder: string,
  options: {
    readonly clientCaFile: string
    readonly address?: string
    readonly serving?: object
    /** The operator's file, where it is not the source. */
    readonly program?: string
    /** How often devices are measured, where that is not the default. */
    readonly metrics?: { readonly minInterval: string }
    /** How long sessions last and how often they beat, beside what the defaults say. */
    readonly connectivity?: { readonly sessionTimeout?: string; readonly beatInterval?: string }
    /** Where an Ingress would find the gRPC door. */
    readonly grpcAddress?: string
    /** PEM file of whose clients alone may come to the gRPC door. */
    readonly grpcClientCa?: string
  }
) {
  mkdirSync(folder, { recursive: true })
  const [grpcPort = 0, kubeletPort = 0] = yield* freePorts(2)
  const configFile = `${folder}/aranya.yaml`
  writeFileSync(
    configFile,
    stringify({
      aranya: { namespace: "aranya", log: [{ level: "debug", format: "json" }] },
      connectivity: {
        ...options.connectivity,
        grpc: {
          listen: `127.0.0.1:${grpcPort}`,
          ...(options.grpcAddress === undefined ? {} : { address: options.grpcAddress }),
          ...(options.grpcClientCa === undefined ? {} : { clientCa: options.grpcClientCa })
        }
      },
      kubelet: {
        listen: "0.0.0.0",
        port: kubeletPort,
        address: options.address ?? "127.0.0.1",
        clientCa: options.clientCaFile,
        serving: options.serving ?? { mode: "own" }
      },
      ...(options.metrics === undefined ? {} : { metrics: options.metrics })
    })
  )
  const applied = yield* cluster.kubectl(["apply", "-f", `${root}deploy/crd/edgedevices.yaml`])
  if (applied.exitCode !== 0) return yield* new NotAsExpected({ what: "the CRD", seen: applied.stderr })
  yield* apply(
    cluster.kubectl,
    { apiVersion: "v1", kind: "Namespace", metadata: { name: "aranya" } },
    { apiVersion: "v1", kind: "Namespace", metadata: { name: "edge" } }
  )
  const main = options.program ?? sources.aranya
  const key = yield* runProgram(node, [main, "key", "-c", configFile, "--kubeconfig", cluster.kubeconfigPath])
  if (key.exitCode !== 0) return yield* new NotAsExpected({ what: "aranya key", seen: key.stderr })
  const logFile = `${folder}/aranya.log`
  const start = startDaemon({
    name: "aranya",
    command: node,
    args: [main, "run", "-c", configFile, "--kubeconfig", cluster.kubeconfigPath],
    logFile
  })
  return { start, grpcPort, kubeletPort, publicKey: key.stdout.trim(), logFile, configFile }
})

/** The CA of the gRPC door, once the operator has made it. */
export const grpcAuthority = (kubectl: Kubectl) =>
  eventually(
    kubectl,
    ["get", "secret", "aranya-grpc-tls", "-n", "aranya", "-o", "jsonpath={.data.ca\\.crt}"],
    (stdout) => stdout !== ""
  )

export interface AgentOptions {
  readonly device: string
  readonly operatorKey: string
  /** base64 of PEM */
  readonly caData: string
  readonly endpoint: string
  /** What its TLS has beside the authority. */
  readonly tls?: object
  /** The ways to the operator, where they are not gRPC to the endpoint alone. */
  readonly methods?: ReadonlyArray<object>
  readonly runtime: object
  /** What its section `arhat` has beside what it cannot do without. */
  readonly arhat?: object
  /** The agent's file, where it is not the source. */
  readonly program?: string
}

/** Prepares an agent: its key and its configuration. */
export const prepareAgent = Effect.fnUntraced(function*(folder: string, options: AgentOptions) {
  mkdirSync(folder, { recursive: true })
  const dataDir = `${folder}/data`
  const configFile = `${folder}/arhat.yaml`
  writeFileSync(
    configFile,
    stringify({
      arhat: {
        namespace: "edge",
        device: options.device,
        dataDir,
        log: [{ level: "debug", format: "json" }],
        ...options.arhat
      },
      connectivity: {
        operatorKey: options.operatorKey,
        initialBackoff: "200ms",
        maxBackoff: "2s",
        methods: options.methods ?? [{
          name: "grpc",
          config: { endpoint: options.endpoint, tls: { caCertData: options.caData, ...options.tls } }
        }]
      },
      runtime: options.runtime
    })
  )
  const main = options.program ?? sources.arhat
  const identity = yield* runProgram(node, [main, "identity", "--data-dir", dataDir])
  if (identity.exitCode !== 0) return yield* new NotAsExpected({ what: "arhat identity", seen: identity.stderr })
  const logFile = `${folder}/arhat.log`
  const start = startDaemon({ name: "arhat", command: node, args: [main, "run", "-c", configFile], logFile })
  return { start, publicKey: identity.stdout.trim(), logFile, dataDir, configFile }
})

export const edgeDevice = (name: string, publicKey: string, connectivity: object = { method: "grpc" }) => ({
  apiVersion: "aranya.arhat.dev/v1alpha1",
  kind: "EdgeDevice",
  metadata: { namespace: "edge", name },
  spec: { connectivity, identity: { publicKey } }
})

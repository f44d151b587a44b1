/** What a scene measures: the built programs on an embedded control plane, each a process of its own. */
import { Effect, Schedule, Schema } from "effect"
import { existsSync, mkdirSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { stringify } from "yaml"
import { customResourceDefinition } from "../../core/device/customResourceDefinition.ts"
import { type Daemon, startDaemon } from "../e2e/daemon.ts"
import { freePorts } from "../e2e/freePorts.ts"
import { runProgramOk } from "../e2e/program.ts"
import { clusterAt, ClusterRefused } from "./Cluster.ts"

const root = fileURLToPath(new URL("../..", import.meta.url))
const node = process.execPath

/** Progress goes to stderr: stdout is the table's and the JSON's. */
export const say = (text: string) => Effect.sync(() => void process.stderr.write(`${text}\n`))

/** `npm run build` into the folder: what is measured is what is shipped. */
export const buildPrograms = Effect.fnUntraced(function*(folder: string) {
  yield* runProgramOk(node, [`${root}scripts/build.ts`, "--outdir", folder])
  return { aranya: `${folder}/aranya.mjs`, arhat: `${folder}/arhat.mjs` }
})
export type Programs = Effect.Success<ReturnType<typeof buildPrograms>>

const soon = Schedule.spaced("100 millis").pipe(Schedule.upTo({ times: 600 }))

class NotYet extends Schema.TaggedError<NotYet>()("NotYet", { what: Schema.String }) {
  override get message() {
    return `${this.what} does not appear`
  }
}

const fileAppears = (path: string) =>
  Effect.suspend(() => existsSync(path) ? Effect.void : Effect.fail(new NotYet({ what: path }))).pipe(
    Effect.retry(soon)
  )

const GrpcSecret = Schema.Struct({ data: Schema.Struct({ "ca.crt": Schema.String }) })

/** Control plane and operator. `nodeArgs` go to the operator's Node.js. */
export const startSystem = Effect.fnUntraced(function*(
  programs: Programs,
  folder: string,
  options: {
    readonly connectivity?: object
    readonly metrics?: object
    readonly nodeArgs?: ReadonlyArray<string>
    /** Where devices are let in: this machine alone unless told. */
    readonly listen?: string
  } = {}
) {
  mkdirSync(folder, { recursive: true })
  const kubeconfigPath = `${folder}/kubeconfig`
  const plane = yield* startDaemon({
    name: "the embedded control plane",
    command: node,
    args: [`${root}apps/demo/plane.ts`, kubeconfigPath],
    logFile: `${folder}/plane.log`
  })
  yield* Effect.raceFirst(fileAppears(kubeconfigPath), plane.ended)
  const cluster = yield* clusterAt(kubeconfigPath)
  yield* cluster.call("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", customResourceDefinition())
  for (const name of ["aranya", "edge"]) {
    yield* cluster.call("POST", "/api/v1/namespaces", { apiVersion: "v1", kind: "Namespace", metadata: { name } })
  }
  const [grpcPort = 0, kubeletPort = 0] = yield* freePorts(2)
  const configFile = `${folder}/aranya.yaml`
  writeFileSync(
    configFile,
    stringify({
      aranya: { namespace: "aranya" },
      connectivity: { ...options.connectivity, grpc: { listen: `${options.listen ?? "127.0.0.1"}:${grpcPort}` } },
      kubelet: { listen: "127.0.0.1", port: kubeletPort, address: "127.0.0.1" },
      ...(options.metrics === undefined ? {} : { metrics: options.metrics })
    })
  )
  const given = ["-c", configFile, "--kubeconfig", kubeconfigPath]
  const key = yield* runProgramOk(node, [programs.aranya, "key", ...given])
  const logFile = `${folder}/aranya.log`
  const startOperator = startDaemon({
    name: "aranya",
    command: node,
    args: [...options.nodeArgs ?? [], programs.aranya, "run", ...given],
    logFile
  })
  const operator: Daemon = yield* startOperator
  const secret = yield* cluster.call("GET", "/api/v1/namespaces/aranya/secrets/aranya-grpc-tls").pipe(
    Effect.flatMap(Schema.decodeUnknownEffect(GrpcSecret)),
    Effect.retry(soon),
    Effect.mapError((error) => new ClusterRefused({ call: "the operator's certificate", detail: error.message })),
    Effect.raceFirst(operator.ended)
  )
  return {
    cluster,
    plane,
    kubeconfigPath,
    grpcPort,
    kubeletPort,
    operatorKey: key.stdout.trim(),
    /** base64 of PEM */
    caData: secret.data["ca.crt"],
    operator,
    operatorLog: logFile,
    startOperator
  }
})
export type System = Effect.Success<ReturnType<typeof startSystem>>

/** An EdgeDevice with its owner's defaults. */
export const edgeDevice = (name: string, publicKey: string, connectivity: object = { method: "grpc" }) => ({
  apiVersion: "aranya.arhat.dev/v1alpha1",
  kind: "EdgeDevice",
  metadata: { namespace: "edge", name },
  spec: { connectivity, identity: { publicKey } }
})

export interface PodOptions {
  readonly image: string
  readonly command: ReadonlyArray<string>
  readonly containers?: ReadonlyArray<string>
  readonly configMaps?: ReadonlyArray<string>
  readonly restartPolicy?: "Always" | "Never"
}

export const pod = (name: string, nodeName: string, options: PodOptions) => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { namespace: "edge", name },
  spec: {
    nodeName,
    restartPolicy: options.restartPolicy ?? "Always",
    terminationGracePeriodSeconds: 1,
    tolerations: [{ key: "arhat.dev/namespace", operator: "Exists" }],
    containers: (options.containers ?? ["main"]).map((container) => ({
      name: container,
      image: options.image,
      imagePullPolicy: "IfNotPresent",
      command: options.command,
      volumeMounts: (options.configMaps ?? []).map((each) => ({ name: each, mountPath: `/etc/${each}` }))
    })),
    volumes: (options.configMaps ?? []).map((each) => ({ name: each, configMap: { name: each } }))
  }
})

/** The built agent as a process of its own, enrolled at a system's operator. */
import { Effect } from "effect"
import { mkdirSync, writeFileSync } from "node:fs"
import { stringify } from "yaml"
import { startDaemon } from "../e2e/daemon.ts"
import { runProgramOk } from "../e2e/program.ts"
import { paths } from "./Cluster.ts"
import { edgeDevice, type Programs, type System } from "./System.ts"

/** Its EdgeDevice is created; `start` starts it, as often as a scene likes. */
export const prepareAgent = Effect.fnUntraced(function*(
  programs: Programs,
  system: System,
  folder: string,
  options: {
    readonly device: string
    readonly runtime: object
    readonly port?: number
    /** Its way to the operator and what its EdgeDevice says of it, where that is not gRPC. */
    readonly method?: { readonly agent: object; readonly connectivity: object }
    /** For the agent's Node.js. */
    readonly nodeArgs?: ReadonlyArray<string>
  }
) {
  const dataDir = `${folder}/data`
  mkdirSync(folder, { recursive: true })
  writeFileSync(
    `${folder}/arhat.yaml`,
    stringify({
      arhat: { namespace: "edge", device: options.device, dataDir },
      connectivity: {
        operatorKey: system.operatorKey,
        methods: [
          options.method?.agent ?? {
            name: "grpc",
            config: { endpoint: `localhost:${options.port ?? system.grpcPort}`, tls: { caCertData: system.caData } }
          }
        ]
      },
      runtime: options.runtime
    })
  )
  const identity = yield* runProgramOk(process.execPath, [programs.arhat, "identity", "--data-dir", dataDir])
  yield* system.cluster.call(
    "POST",
    paths.edgeDevices,
    edgeDevice(options.device, identity.stdout.trim(), options.method?.connectivity)
  )
  const logFile = `${folder}/arhat.log`
  const start = startDaemon({
    name: "arhat",
    command: process.execPath,
    args: [...options.nodeArgs ?? [], programs.arhat, "run", "-c", `${folder}/arhat.yaml`],
    logFile
  })
  return { start, dataDir, logFile }
})

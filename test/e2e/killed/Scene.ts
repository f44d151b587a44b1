/** A cluster with one device whose operator and agent are killed and started again; and everything a kill point wants to see of it. */
import { Clock, Context, Effect, Layer } from "effect"
import { chmodSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { layerKubeConfig } from "../../../adapters/kube/client/layerKubeConfig.ts"
import { startEmbedded } from "../../../adapters/kube/plane/server/startEmbedded.ts"
import { EdgeDevices } from "../../../core/device/EdgeDevice.ts"
import { ConfigMaps } from "../../../core/kube/kinds.ts"
import { KubeApi } from "../../../core/kube/KubeApi.ts"
import { type Pod, Pods } from "../../../core/kube/Pod.ts"
import { isMirrorPod } from "../../../core/node/hostPod.ts"
import type { Daemon } from "../daemon.ts"
import {
  apply,
  edgeDevice,
  grpcAuthority,
  type Kubectl,
  NotAsExpected,
  prepareAgent,
  prepareOperator
} from "../Line.ts"
import { runProgram, runProgramOk } from "../program.ts"
import { scratch } from "../scratch.ts"
import type { DeviceRuntime } from "./DeviceRuntime.ts"
import { makeLedger } from "./Ledger.ts"
import { podOf, type Story } from "./Stories.ts"

const root = fileURLToPath(new URL("../../..", import.meta.url))

export type Victim = "agent" | "operator" | "both"

/** SIGKILL at once. */
const killHard = (daemon: Daemon) => Effect.sync(() => void process.kill(daemon.pid, "SIGKILL"))

/** Its ports and its journal are free, as a supervisor waits for them to be: one that writes to a slow disk takes its time to die. */
const dead = (daemon: Daemon) => Effect.exit(daemon.ended)

export type Scene = Effect.Success<ReturnType<typeof openScene>>

export const openScene = Effect.fnUntraced(function*(runtime: DeviceRuntime, kubectlPath: string) {
  const folder = yield* scratch
  chmodSync(folder, 0o711) // pods that are users of their own find the ledger
  const ledger = makeLedger(`${folder}/ledger`)
  const embedded = yield* startEmbedded()
  const kubeconfigPath = `${folder}/kubeconfig`
  writeFileSync(kubeconfigPath, embedded.adminKubeconfigYaml, { mode: 0o600 })
  writeFileSync(`${folder}/client-ca.pem`, embedded.kubeletClientCaPem)
  const kubectl: Kubectl = (args, options) =>
    runProgram(kubectlPath, ["--kubeconfig", kubeconfigPath, "--cache-dir", `${folder}/cache`, ...args], options ?? {})
  // As they are shipped; and programs that start sooner are killed more often in the same time.
  yield* runProgramOk(process.execPath, [`${root}scripts/build.ts`, "--outdir", folder])
  const operatorOf = yield* prepareOperator({ kubeconfigPath, kubectl }, `${folder}/operator`, {
    clientCaFile: `${folder}/client-ca.pem`,
    program: `${folder}/aranya.mjs`
  })
  let operator = yield* operatorOf.start
  const agentOf = yield* prepareAgent(`${folder}/edge-1`, {
    device: "edge-1",
    operatorKey: operatorOf.publicKey,
    caData: yield* grpcAuthority(kubectl),
    endpoint: `localhost:${operatorOf.grpcPort}`,
    runtime: runtime.config,
    program: `${folder}/arhat.mjs`
  })
  yield* apply(kubectl, edgeDevice("edge-1", agentOf.publicKey))
  let agent = yield* agentOf.start

  const api = Context.get(yield* Layer.build(layerKubeConfig({ kubeconfigPath })), KubeApi)

  /** Pods that left the API while a process of theirs was alive, seen at the very moment; force excepted. */
  const leftAlive: Array<string> = []
  const forced = new Set<string>()
  embedded.plane.world.store.listen("pods", "all", ({ revision, type }) => {
    const { name = "" } = (revision.object as unknown as Pod).metadata
    if (type !== "DELETED" || forced.has(name)) return
    const alive = ledger.alive(name)
    if (alive.length > 0) leftAlive.push(`${name} left the API while processes ${alive.join(", ")} of it ran`)
  })

  const pod = (name: string) =>
    api.get(Pods, { namespace: "edge", name }).pipe(
      Effect.catchIf(({ reason }) => reason === "NotFound", () => Effect.undefined)
    )

  /** Looks every 15 ms; what does not become true in time is told with what was seen last. */
  const until = <E, R>(what: string, look: Effect.Effect<boolean | string, E, R>, limitSeconds = 90) =>
    Effect.gen(function*() {
      const deadline = (yield* Clock.currentTimeMillis) + limitSeconds * 1000
      for (;;) {
        const seen = yield* look
        if (seen === true) return
        if ((yield* Clock.currentTimeMillis) > deadline) return yield* new NotAsExpected({ what, seen: String(seen) })
        yield* Effect.sleep("15 millis")
      }
    })

  /** Each session of the device has a lineage of its own. */
  const lineage = Effect.map(
    api.get(EdgeDevices, { namespace: "edge", name: "edge-1" }),
    ({ status }) => status?.link?.lineageHash
  )
  let lineageBefore: string | undefined
  const containers = runtime.containers(agentOf.dataDir)

  return {
    ledger,
    leftAlive,
    until,
    pod,
    agentData: agentOf.dataDir,
    /** All of the runtime's, or those of one pod, sandboxes left out. */
    containers: (name?: string) =>
      Effect.map(
        containers,
        (all) => all.filter(({ container, pod }) => container !== "POD" && (name === undefined || pod === name))
      ),
    hasSandbox: (name: string) =>
      Effect.map(containers, (all) => all.some(({ container, pod }) => container === "POD" && pod === name)),
    /** The device's own mirror stays as long as the device does. */
    pods: Effect.map(api.list(Pods, { namespace: "edge" }), (pods) => pods.filter((pod) => !isMirrorPod(pod))),
    create: (story: Story) => api.create(Pods, podOf(story, runtime.image, ledger.folder)),
    configure: ({ name }: Story) =>
      api.create(ConfigMaps, {
        apiVersion: "v1",
        kind: "ConfigMap",
        metadata: { namespace: "edge", name },
        data: { setting: "blue" }
      }),
    remove: ({ name }: Story) => api.delete(Pods, { namespace: "edge", name }),
    removeByForce: ({ name }: Story) =>
      Effect.andThen(
        Effect.sync(() => forced.add(name)),
        api.delete(Pods, { namespace: "edge", name }, { gracePeriodSeconds: 0 })
      ),
    /** Operator and agent have a session that is younger than the last kill. */
    linked: Effect.suspend(() =>
      Effect.raceAllFirst([
        until("the device is linked again", Effect.map(lineage, (now) => now !== lineageBefore)),
        operator.ended,
        agent.ended
      ])
    ),
    kill: Effect.fnUntraced(function*<E, R>(victim: Victim, meanwhile: Effect.Effect<unknown, E, R>) {
      if (victim !== "operator") yield* killHard(agent)
      if (victim !== "agent") yield* killHard(operator)
      if (victim !== "operator") yield* dead(agent)
      if (victim !== "agent") yield* dead(operator)
      lineageBefore = yield* lineage
      yield* meanwhile
      if (victim !== "agent") operator = yield* operatorOf.start
      if (victim !== "operator") agent = yield* agentOf.start
    }),
    /** What the programs said last, for a failure. */
    lastWords: Effect.suspend(() => Effect.all([operator.lastWords, agent.lastWords])).pipe(
      Effect.map((words) => words.join("\n"))
    )
  }
})

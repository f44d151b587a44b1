/**
 * Replacement against a real kube-controller-manager with its default flags: a device is cut off for longer than `replaceAfter`,
 * its Deployment and StatefulSet go on elsewhere, and it comes back. Takes some ten minutes: part of `npm run test:partition`.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { existsSync, readFileSync } from "node:fs"
import { ControlPlane } from "../control-plane/ControlPlane.ts"
import { apply, edgeDevice, eventually, grpcAuthority, prepareAgent, prepareOperator } from "../e2e/Line.ts"
import { scratch } from "../e2e/scratch.ts"
import { startTcpProxy } from "../e2e/tcpProxy.ts"

/** Ends by itself after half an hour, should a failing test leave it behind. */
const living = (folder: string, name: string) =>
  `echo $NODE >> ${folder}/${name}; trap 'exit 0' TERM; n=0; while [ $n -lt 1800 ]; do n=$((n+1)); sleep 1; done`

const template = (folder: string, name: string) => ({
  metadata: { labels: { app: name } },
  spec: {
    nodeSelector: { "arhat.dev/role": "EdgeDevice" },
    tolerations: [{ key: "arhat.dev/namespace", operator: "Exists" }],
    automountServiceAccountToken: false,
    terminationGracePeriodSeconds: 2,
    affinity: {
      nodeAffinity: {
        preferredDuringSchedulingIgnoredDuringExecution: [{
          weight: 100,
          preference: { matchExpressions: [{ key: "arhat.dev/name", operator: "In", values: ["edge-1"] }] }
        }]
      }
    },
    containers: [{
      name: "main",
      image: "virtualimage.arhat.dev/hostexec",
      command: ["sh", "-c", living(folder, name)],
      env: [{ name: "NODE", valueFrom: { fieldRef: { fieldPath: "spec.nodeName" } } }]
    }]
  }
})

const workload = (kind: "Deployment" | "StatefulSet", folder: string, name: string) => ({
  apiVersion: "apps/v1",
  kind,
  metadata: { namespace: "edge", name },
  spec: {
    replicas: 1,
    ...(kind === "StatefulSet" ? { serviceName: name } : {}),
    selector: { matchLabels: { app: name } },
    template: template(folder, name)
  }
})

/** Two devices, of which the first one's line can be cut. */
const scene = Effect.fnUntraced(function*(folder: string, onReturn: "keepOriginal" | "keepReplacement") {
  const cluster = yield* ControlPlane.start({})
  const { kubectl } = cluster
  const operator = yield* prepareOperator(cluster, `${folder}/operator`, {
    clientCaFile: cluster.clientCaFile,
    connectivity: { beatInterval: "2s", sessionTimeout: "30s" }
  })
  yield* operator.start
  const network = yield* startTcpProxy(operator.grpcPort)
  const caData = yield* grpcAuthority(kubectl)
  for (const [device, port] of [["edge-1", network.port], ["edge-2", operator.grpcPort]] as const) {
    const agent = yield* prepareAgent(`${folder}/${device}`, {
      device,
      operatorKey: operator.publicKey,
      caData,
      endpoint: `127.0.0.1:${port}`,
      runtime: { docker: { enabled: false }, process: { enabled: true, allowRoot: process.getuid?.() === 0 } }
    })
    const object = edgeDevice(device, agent.publicKey)
    const partition = onReturn === "keepReplacement"
      ? { stopWorkloadsAfter: "1m", replaceAfter: "2m", onReturn }
      : { replaceAfter: "1m", allowRunningTwice: true, onReturn }
    yield* apply(kubectl, { ...object, spec: { ...object.spec, partition } })
    yield* agent.start
  }
  yield* eventually(
    kubectl,
    ["get", "node", "edge-1", "edge-2", "--no-headers"],
    (out) => [...out.matchAll(/ Ready /g)].length === 2,
    180
  )
  yield* apply(kubectl, workload("Deployment", folder, "web"), workload("StatefulSet", folder, "store"))
  /** Where the pods of a name are and whether they are Ready. */
  const placed = (name: string, like: RegExp, seconds: number) =>
    eventually(
      kubectl,
      [
        "get",
        "pods",
        "-n",
        "edge",
        "-l",
        `app=${name}`,
        "-o",
        "jsonpath={range .items[*]}{.spec.nodeName} {.status.conditions[?(@.type=='Ready')].status} {.metadata.uid};{end}"
      ],
      (out) => like.test(out),
      seconds
    )
  /** The devices on which the processes of a name ever began. */
  const born = (name: string) =>
    existsSync(`${folder}/${name}`) ? readFileSync(`${folder}/${name}`, "utf8").trim().split("\n") : []
  return { network, placed, born, kubectl }
})

const skipped = Effect.gen(function*() {
  const reason = yield* Effect.promise(() => Effect.runPromise(ControlPlane.whyItCannotRun))
  if (Option.isSome(reason)) console.warn(`SKIPPED replacement: ${reason.value}`)
  return Option.isSome(reason)
})

const one = (device: string) => new RegExp(`^${device} True [0-9a-f-]{36};$`, "u")

describe("a device that is away for longer than replaceAfter", () => {
  it.live(
    "keepReplacement: the pods go on elsewhere and stay there; what had stopped on the device does not begin again",
    () =>
      Effect.gen(function*() {
        if (yield* skipped) return
        const { born, network, placed } = yield* scene(`${yield* scratch}/replaced`, "keepReplacement")
        for (const name of ["web", "store"]) yield* placed(name, one("edge-1"), 180)
        yield* network.become("blackHole")
        const replaced: Array<string> = []
        for (const name of ["web", "store"]) replaced.push(yield* placed(name, one("edge-2"), 480))
        yield* network.become("pass")
        yield* Effect.sleep("30 seconds")
        for (const [n, name] of ["web", "store"].entries()) {
          assert.strictEqual(yield* placed(name, one("edge-2"), 60), replaced[n])
          assert.deepStrictEqual(born(name), ["edge-1", "edge-2"], `${name} began once on each`)
        }
      }).pipe(Effect.scoped),
    1_500_000
  )

  it.live(
    "keepOriginal: a stand-in runs beside the Deployment's pod, and goes when the original is back; the StatefulSet's stays",
    () =>
      Effect.gen(function*() {
        if (yield* skipped) return
        const { born, network, placed } = yield* scene(`${yield* scratch}/original`, "keepOriginal")
        const web = yield* placed("web", one("edge-1"), 180)
        const store = yield* placed("store", one("edge-1"), 180)
        yield* network.become("blackHole")
        // The original has no labels meanwhile.
        yield* placed("web", one("edge-2"), 480)
        yield* network.become("pass")
        assert.strictEqual(yield* placed("web", one("edge-1"), 240), web, "the very same pod")
        assert.strictEqual(yield* placed("store", one("edge-1"), 120), store)
        assert.deepStrictEqual(born("web"), ["edge-1", "edge-2"])
        assert.deepStrictEqual(born("store"), ["edge-1"])
      }).pipe(Effect.scoped),
    1_500_000
  )
})

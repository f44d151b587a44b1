/**
 * Twenty real minutes apart, against a real kube-controller-manager with its default flags and a second Node that stays Ready:
 * once the device is cut off, once aranya itself is stopped. Nothing of the device's pods changes, while the same pod on a plain
 * Node that fell silent is evicted. Takes 25 minutes: `npm run test:partition`, not part of `npm run test:e2e`.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Option } from "effect"
import { existsSync, readFileSync } from "node:fs"
import { ControlPlane } from "../control-plane/ControlPlane.ts"
import { apply, edgeDevice, eventually, grpcAuthority, prepareAgent, prepareOperator } from "../e2e/Line.ts"
import { scratch } from "../e2e/scratch.ts"
import { startTcpProxy } from "../e2e/tcpProxy.ts"
import { startFakeNode } from "./FakeNode.ts"

/** Less for a try; from 8 on the eviction of the control pod is part of it. */
const minutes = Number(process.env["PARTITION_MINUTES"] ?? "20")
const evictedAfterMinutes = 8

const template = (name: string, script: string) => ({
  metadata: { labels: { app: name } },
  spec: {
    nodeSelector: { "arhat.dev/role": "EdgeDevice" },
    tolerations: [{ key: "arhat.dev/namespace", operator: "Exists" }],
    automountServiceAccountToken: false,
    terminationGracePeriodSeconds: 2,
    containers: [{ name: "main", image: "virtualimage.arhat.dev/hostexec", command: ["sh", "-c", script] }]
  }
})

/** Ends by itself after an hour and a half, should a failing test leave it behind. */
const living = (file: string) =>
  `echo $$ >> ${file}; trap 'exit 0' TERM; n=0; while [ $n -lt 5400 ]; do n=$((n+1)); sleep 1; done`

const workloads = (folder: string) => [
  {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { namespace: "edge", name: "web" },
    spec: {
      replicas: 1,
      selector: { matchLabels: { app: "web" } },
      template: template("web", living(`${folder}/web`))
    }
  },
  {
    apiVersion: "apps/v1",
    kind: "StatefulSet",
    metadata: { namespace: "edge", name: "store" },
    spec: {
      replicas: 1,
      serviceName: "store",
      selector: { matchLabels: { app: "store" } },
      template: template("store", living(`${folder}/store`))
    }
  }
]

/** A cluster with a device that runs two workloads, a Node beside it that stays Ready, and a plain one with the control pod. */
const scene = Effect.fnUntraced(function*(folder: string) {
  const cluster = yield* ControlPlane.start({})
  const { kubectl } = cluster
  const prepared = yield* prepareOperator(cluster, `${folder}/operator`, { clientCaFile: cluster.clientCaFile })
  const operator = yield* prepared.start
  const network = yield* startTcpProxy(prepared.grpcPort)
  const agent = yield* prepareAgent(`${folder}/edge-1`, {
    device: "edge-1",
    operatorKey: prepared.publicKey,
    caData: yield* grpcAuthority(kubectl),
    endpoint: `127.0.0.1:${network.port}`,
    runtime: { docker: { enabled: false }, process: { enabled: true, allowRoot: process.getuid?.() === 0 } }
  })
  yield* apply(kubectl, edgeDevice("edge-1", agent.publicKey))
  yield* agent.start
  yield* startFakeNode(kubectl, "second")
  const plain = yield* startFakeNode(kubectl, "plain")
  yield* eventually(
    kubectl,
    ["get", "node", "edge-1", "second", "plain", "--no-headers"],
    (out) => [...out.matchAll(/ Ready /g)].length === 3,
    120
  )
  yield* apply(kubectl, ...workloads(folder))
  yield* plain.run("control")

  /** One line a pod: what may not change, and whether it is Ready. */
  const pods = Effect.map(
    kubectl([
      "get",
      "pods",
      "-n",
      "edge",
      "-l",
      "app",
      "--sort-by=.metadata.name",
      "-o",
      "jsonpath={range .items[*]}{.metadata.name} {.metadata.uid} {.status.containerStatuses[0].containerID} {.status.containerStatuses[0].restartCount} {.metadata.deletionTimestamp}|{.status.conditions[?(@.type=='Ready')].status}{'\\n'}{end}"
    ]),
    ({ stdout }) => stdout.trim().split("\n").map((line) => line.split("|") as [lasting: string, ready: string])
  )
  const allReady = Effect.gen(function*() {
    for (let tries = 0; tries < 600; tries++) {
      const seen = yield* pods
      if (seen.length === 2 && seen.every(([, ready]) => ready === "True")) return seen.map(([lasting]) => lasting)
      yield* Effect.sleep("500 millis")
    }
    return yield* Effect.die(new Error(`the pods are not ready: ${JSON.stringify(yield* pods)}`))
  })
  const began = yield* Clock.currentTimeMillis
  const tell = (what: string) =>
    Effect.flatMap(
      Clock.currentTimeMillis,
      (now) =>
        Effect.sync(() =>
          console.log(`${folder.split("/").at(-1)} ${((now - began) / 60_000).toFixed(1)} min: ${what}`)
        )
    )
  const node = (name: string) =>
    Effect.map(
      kubectl([
        "get",
        "node",
        name,
        "-o",
        "jsonpath={.status.conditions[?(@.type=='Ready')].status} {.status.conditions[?(@.type=='DeviceConnected')].reason} {.spec.taints[*].key}"
      ]),
      ({ stdout }) => stdout
    )
  const control = Effect.map(
    kubectl([
      "get",
      "pod",
      "control",
      "-n",
      "edge",
      "-o",
      "jsonpath={.metadata.deletionTimestamp} {.status.conditions[?(@.type=='DisruptionTarget')].reason}"
    ]),
    ({ stdout }) => stdout
  )
  /** Each process that the workloads ever were. */
  const processes = Effect.sync(() =>
    ["web", "store"].map((name) => existsSync(`${folder}/${name}`) ? readFileSync(`${folder}/${name}`, "utf8") : "")
  )

  /** The pods are looked at all the while; what a look finds changed ends the test. */
  const apart = Effect.fnUntraced(function*(before: ReadonlyArray<string>) {
    const until = (yield* Clock.currentTimeMillis) + minutes * 60_000
    let told = ""
    while ((yield* Clock.currentTimeMillis) < until) {
      const seen = yield* pods
      assert.deepStrictEqual(seen.map(([lasting]) => lasting), before, "nothing of the device's pods changes")
      const word =
        `edge-1 is ${yield* node("edge-1")}; plain is ${yield* node("plain")}; second is ${yield* node("second")}; ` +
        `pods are ready: ${seen.map(([, ready]) => ready).join()}; control pod: ${yield* control}`
      if (word !== told) yield* tell(word)
      told = word
      yield* Effect.sleep("10 seconds")
    }
    if (minutes >= evictedAfterMinutes) {
      assert.match(yield* control, /^\d.* DeletionByTaintManager$/, "the control pod is evicted meanwhile")
    }
    assert.match(yield* node("second"), /^True/, "the second Node was Ready all the while")
  })
  return { kubectl, prepared, operator, network, plain, allReady, apart, processes, tell, node }
})

const skipped = Effect.gen(function*() {
  const reason = yield* Effect.promise(() => Effect.runPromise(ControlPlane.whyItCannotRun))
  if (Option.isSome(reason)) console.warn(`SKIPPED twenty minutes apart: ${reason.value}`)
  return Option.isSome(reason)
})

describe.concurrent(`${minutes} minutes apart, policy keep`, () => {
  it.live(
    "with the device cut off: uids, containers and restart counts are as before, the control pod is evicted",
    () =>
      Effect.gen(function*() {
        if (yield* skipped) return
        const { allReady, apart, network, node, plain, processes, tell } = yield* scene(`${yield* scratch}/cut`)
        const before = yield* allReady
        const born = yield* processes
        yield* tell(`all is ready: ${before.join("; ")}`)
        yield* network.become("blackHole")
        yield* plain.fallSilent
        yield* apart(before)
        if (minutes > 3) {
          assert.match(
            yield* node("edge-1"),
            /^True LinkDown .*arhat\.dev\/disconnected/,
            "its Node is Ready all the while"
          )
        }
        yield* network.become("pass")
        assert.deepStrictEqual(yield* allReady, before)
        assert.deepStrictEqual(yield* processes, born, "the very same processes")
        yield* tell("the device is back, and its pods are ready")
      }).pipe(Effect.scoped),
    (minutes + 20) * 60_000
  )

  it.live(
    "with aranya stopped: uids, containers and restart counts are as before, the control pod is evicted",
    () =>
      Effect.gen(function*() {
        if (yield* skipped) return
        const { allReady, apart, kubectl, node, operator, plain, prepared, processes, tell } = yield* scene(
          `${yield* scratch}/stopped`
        )
        const before = yield* allReady
        const born = yield* processes
        yield* tell(`all is ready: ${before.join("; ")}`)
        yield* operator.stop
        yield* plain.fallSilent
        yield* apart(before)
        if (minutes > 2) assert.match(yield* node("edge-1"), /^Unknown .*node.kubernetes.io\/unreachable/)
        yield* prepared.start
        yield* eventually(kubectl, ["get", "node", "edge-1", "--no-headers"], (out) => / Ready /.test(out), 120)
        assert.deepStrictEqual(yield* allReady, before)
        assert.deepStrictEqual(yield* processes, born, "the very same processes")
        yield* tell("aranya is back, and the pods are ready")
      }).pipe(Effect.scoped),
    (minutes + 20) * 60_000
  )
})

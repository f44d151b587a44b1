/** The network between an agent and its operator goes away and comes back: what goes on, what waits, and what ends with a sentence. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Option, Schedule } from "effect"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { startEmbedded } from "../../adapters/kube/plane/server/startEmbedded.ts"
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
import { startTcpProxy } from "./tcpProxy.ts"

const pod = (name: string, script: string) => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { namespace: "edge", name },
  spec: {
    nodeName: "edge-1",
    restartPolicy: "Never",
    automountServiceAccountToken: false,
    terminationGracePeriodSeconds: 5,
    tolerations: [{ key: "arhat.dev/namespace", operator: "Exists" }],
    containers: [{ name: "main", image: "virtualimage.arhat.dev/hostexec", command: ["sh", "-c", script] }]
  }
})

/** Ends by itself after ten minutes, should a failing test leave it behind. */
const counting = "n=0; while [ $n -lt 6000 ]; do n=$((n+1)); echo line $n; sleep 0.1; done"

const notConnected = /device edge-1 is not connected: ask again when it is back/

const read = (file: string) => existsSync(file) ? readFileSync(file, "utf8") : ""

const waitFor = (what: string, look: () => string, fits: (seen: string) => boolean, limitSeconds = 60) =>
  Effect.suspend(() => {
    const seen = look()
    return fits(seen) ? Effect.succeed(seen) : Effect.fail(new NotAsExpected({ what, seen: seen.slice(-2000) }))
  }).pipe(Effect.retry(Schedule.spaced("100 millis").pipe(Schedule.upTo({ times: limitSeconds * 10 }))))

const numbers = (text: string) => [...text.matchAll(/^line (\d+)$/gm)].map(([, n]) => Number(n))

/** Whatever was counted is there once and in order, from the first on. */
const assertWhole = (text: string, because: string) => {
  const counted = numbers(text)
  assert.deepStrictEqual(counted, counted.map((_, index) => index + 1), because)
}

/** Control plane, operator and one agent that reaches it by a network of the test's own, its Node Ready; undefined where skipped. */
const line = Effect.fnUntraced(function*(
  connectivity: { readonly sessionTimeout?: string; readonly beatInterval?: string }
) {
  const kubectlPath = findProgram("kubectl")
  if (Option.isNone(kubectlPath)) {
    console.warn("SKIPPED cutting the link between operator and agent: there is no kubectl on the PATH")
    return undefined
  }
  const folder = yield* scratch
  const embedded = yield* startEmbedded()
  const kubeconfig = `${folder}/kubeconfig`
  writeFileSync(kubeconfig, embedded.adminKubeconfigYaml, { mode: 0o600 })
  writeFileSync(`${folder}/client-ca.pem`, embedded.kubeletClientCaPem)
  const at = ["--kubeconfig", kubeconfig, "--cache-dir", `${folder}/cache`]
  const kubectl: Kubectl = (args, options) => runProgram(kubectlPath.value, [...at, ...args], options ?? {})
  /** kubectl that goes on by itself; everything it says is in the file. */
  const watching = Effect.fnUntraced(function*(name: string, args: ReadonlyArray<string>) {
    const file = `${folder}/${name}`
    yield* startDaemon({ name, command: kubectlPath.value, args: [...at, ...args], logFile: file })
    return () => read(file)
  })

  const prepared = yield* prepareOperator({ kubeconfigPath: kubeconfig, kubectl }, `${folder}/operator`, {
    clientCaFile: `${folder}/client-ca.pem`,
    connectivity
  })
  yield* prepared.start
  const network = yield* startTcpProxy(prepared.grpcPort)
  const arhat = yield* prepareAgent(`${folder}/edge-1`, {
    device: "edge-1",
    operatorKey: prepared.publicKey,
    caData: yield* grpcAuthority(kubectl),
    endpoint: `127.0.0.1:${network.port}`,
    runtime: { docker: { enabled: false }, process: { enabled: true, allowRoot: process.getuid?.() === 0 } }
  })
  yield* apply(kubectl, edgeDevice("edge-1", arhat.publicKey))
  yield* arhat.start
  yield* eventually(kubectl, ["get", "node", "edge-1", "--no-headers"], (out) => / Ready /.test(out))

  const connected = (status: "True" | "False") =>
    eventually(
      kubectl,
      ["get", "node", "edge-1", "-o", "jsonpath={.status.conditions[?(@.type=='DeviceConnected')].status}"],
      (out) => out === status
    )
  const state = (name: string) =>
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
    )
  const running = (name: string) =>
    eventually(kubectl, ["get", "pod", name, "-n", "edge", "--no-headers"], (out) => / Running /.test(out))
  return { folder, kubectl, watching, network, arhat, connected, state, running }
})

describe("a link that is cut", () => {
  it.live(
    "and comes back within the session timeout: logs go on, exit codes and deletions arrive, nothing restarts",
    () =>
      Effect.gen(function*() {
        const started = yield* line({ beatInterval: "2s" })
        if (started === undefined) return
        const { arhat, connected, folder, kubectl, network, running, state, watching } = started

        const gate = `${folder}/gate`
        const passed = `${folder}/passed`
        const told = `${folder}/told`
        const waiting = (then: string) =>
          `n=0; while [ ! -e ${gate} ] && [ $n -lt 6000 ]; do n=$((n+1)); sleep 0.1; done; ${then}`
        yield* apply(
          kubectl,
          pod("count", counting),
          pod("once", waiting(`touch ${passed}; exit 7`)),
          pod("doomed", `trap 'touch ${told}; exit 0' TERM; n=0; while [ $n -lt 6000 ]; do n=$((n+1)); sleep 0.1; done`)
        )
        for (const name of ["count", "once", "doomed"]) yield* running(name)
        const before = yield* state("count")
        const node = yield* watching("node", [
          "get",
          "node",
          "edge-1",
          "--watch",
          "-o",
          "jsonpath={.status.conditions[?(@.type=='Ready')].status} {.status.conditions[?(@.type=='DeviceConnected')].status} {.spec.taints[*].key}{'\\n'}"
        ])
        const followed = yield* watching("followed", ["logs", "-f", "-n", "edge", "count"])
        const last = () => numbers(followed()).at(-1) ?? 0
        yield* waitFor("the log before the cut", followed, (text) => text.includes("line 10\n"))

        // Nobody is told, and what is sent vanishes: both sides find out by their beats.
        yield* network.become("blackHole")
        yield* connected("False")
        const cutAt = last()
        yield* Effect.sync(() => writeFileSync(gate, ""))
        yield* waitFor("the pod that ends meanwhile", () => String(existsSync(passed)), (seen) => seen === "true")
        const deleting = yield* kubectl(["delete", "pod", "doomed", "-n", "edge", "--wait=false"])
        assert.strictEqual(deleting.exitCode, 0, deleting.stderr)
        yield* Effect.sleep("17 seconds")
        assert.strictEqual(last(), cutAt, "nothing comes through the cut")
        const away = yield* kubectl(["get", "pods", "-n", "edge", "--no-headers"])
        assert.match(away.stdout, /^once +1\/1 +Running /m, "what happens meanwhile is not known yet")
        assert.match(away.stdout, /^doomed +1\/1 +Terminating /m)
        assert.isFalse(existsSync(told), "the device knows nothing of the deletion")

        const asked = yield* kubectl(["logs", "-n", "edge", "count"])
        assert.notStrictEqual(asked.exitCode, 0)
        assert.match(asked.stderr, notConnected)

        yield* network.become("pass")
        yield* connected("True")
        yield* waitFor("the log after the black hole", followed, () => last() > cutAt + 150)
        yield* eventually(
          kubectl,
          [
            "get",
            "pod",
            "once",
            "-n",
            "edge",
            "-o",
            "jsonpath={.status.phase} {.status.containerStatuses[0].state.terminated.exitCode} {.status.containerStatuses[0].restartCount}"
          ],
          (out) => out === "Failed 7 0"
        )
        yield* eventually(kubectl, ["get", "pod", "doomed", "-n", "edge", "--ignore-not-found"], (out) => out === "")
        assert.isTrue(existsSync(told), "it was ended as asked, not forgotten")

        yield* network.become("reset")
        yield* connected("False")
        const resetAt = last()
        yield* Effect.sleep("3 seconds")
        yield* network.become("pass")
        yield* connected("True")
        yield* waitFor("the log after the reset", followed, () => last() > resetAt + 50)

        assert.strictEqual(yield* state("count"), before, "the same pod, container and count of restarts")
        const seen = node().trimEnd().split("\n")
        const up = "True True arhat.dev/namespace"
        const down = "True False arhat.dev/namespace arhat.dev/disconnected"
        // Between two writes of one change it is neither.
        const settled = seen.filter((state) => state === up || state === down)
        const changes = settled.filter((state, index) => state !== settled[index - 1])
        assert.strictEqual(changes[0], up, seen.join("\n"))
        assert.strictEqual(changes.at(-1), up, seen.join("\n"))
        assert.isAtLeast(changes.filter((state) => state === down).length, 2, seen.join("\n"))
        assert.isTrue(seen.every((state) => state.startsWith("True ")), `the Node stays Ready:\n${seen.join("\n")}`)

        const deleted = yield* kubectl(["delete", "pod", "count", "-n", "edge", "--timeout=60s"])
        assert.strictEqual(deleted.exitCode, 0, deleted.stderr)
        assertWhole(followed(), "every line came once and in order")
        assert.notInclude(followed(), "error")

        // Taking leave of a device that has just vanished.
        yield* apply(kubectl, pod("orphan", counting))
        yield* running("orphan")
        yield* network.become("blackHole")
        const gone = yield* kubectl(["delete", "edgedevice", "edge-1", "-n", "edge", "--timeout=60s"])
        assert.strictEqual(gone.exitCode, 0, gone.stderr)
        yield* eventually(kubectl, ["get", "nodes,pods", "-A", "-o", "name"], (out) => out === "")
        yield* network.become("pass")
        yield* waitFor("the device wipes when it is back", () =>
          read(arhat.logFile), (log) =>
          log.includes("wiped in"), 90)
      }).pipe(Effect.scoped),
    300_000
  )

  it.live(
    "for longer than the session timeout: kubectl logs -f says so and ends, a new one works, nothing restarts",
    () =>
      Effect.gen(function*() {
        const started = yield* line({ beatInterval: "1s", sessionTimeout: "6s" })
        if (started === undefined) return
        const { connected, kubectl, network, running, state } = started
        yield* apply(kubectl, pod("count", counting))
        yield* running("count")
        const before = yield* state("count")
        const following = yield* Effect.forkChild(kubectl(["logs", "-f", "-n", "edge", "count"]))
        yield* eventually(kubectl, ["logs", "-n", "edge", "count"], (out) => out.includes("line 20\n"))

        yield* network.become("blackHole")
        const ended = yield* Fiber.join(following).pipe(Effect.timeout("60 seconds"))
        assert.notStrictEqual(ended.exitCode, 0)
        assert.match(
          ended.stdout + ended.stderr,
          /^aranya: the link to device edge-1 was lost \(no connection took it up within 6 s\): ask again$/m
        )
        assertWhole(ended.stdout, "what came before the cut is whole")
        assert.isAtLeast(numbers(ended.stdout).length, 10)

        yield* connected("False")
        const refused = yield* kubectl(["logs", "-n", "edge", "count"])
        assert.notStrictEqual(refused.exitCode, 0)
        assert.match(refused.stderr, notConnected)

        yield* network.become("pass")
        yield* connected("True")
        const after = yield* eventually(kubectl, ["logs", "-n", "edge", "count"], (_, { exitCode }) => exitCode === 0)
        assertWhole(after, "all of it, what was written during the cut included")
        assert.isAbove(numbers(after).length, numbers(ended.stdout).length + 10)
        assert.strictEqual(yield* state("count"), before, "the same pod, container and count of restarts")
        const deleted = yield* kubectl(["delete", "pod", "count", "-n", "edge", "--timeout=60s"])
        assert.strictEqual(deleted.exitCode, 0, deleted.stderr)
      }).pipe(Effect.scoped),
    300_000
  )
})

/** The network between an agent and its operator goes away and comes back: what goes on, what waits, and what ends with a sentence. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Option, Schedule } from "effect"
import { execFileSync } from "node:child_process"
import { closeSync, constants, existsSync, openSync, readFileSync, writeFileSync } from "node:fs"
import { startEmbedded } from "../../adapters/kube/plane/server/startEmbedded.ts"
import { kubeletAt } from "../bench/kubeletClient.ts"
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
  const operator = yield* prepared.start
  const network = yield* startTcpProxy(prepared.grpcPort)
  const arhat = yield* prepareAgent(`${folder}/edge-1`, {
    device: "edge-1",
    operatorKey: prepared.publicKey,
    caData: yield* grpcAuthority(kubectl),
    endpoint: `127.0.0.1:${network.port}`,
    runtime: { docker: { enabled: false }, process: { enabled: true, allowRoot: process.getuid?.() === 0 } }
  })
  yield* apply(kubectl, edgeDevice("edge-1", arhat.publicKey))
  const agent = yield* arhat.start
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
  const kubelet = kubeletAt(kubeconfig, prepared.kubeletPort)
  return {
    folder,
    kubectl,
    watching,
    network,
    arhat,
    connected,
    state,
    running,
    kubelet,
    processes: { operator, agent }
  }
})

/** The most memory a process has had, bytes. */
const peakMemory = (pid: number) => {
  const [, kibibytes = "0"] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? []
  return Number(kibibytes) * 1024
}

const execs = 200
const linesEach = 4096
const lineOf = (number: number, line: number) => `exec-${number} ${String(line).padStart(5, "0")} ${"-".repeat(48)}\n`

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
    `with ${execs} commands on it, and comes back in time: each goes on, says all it has to say once, and its exit code`,
    () =>
      Effect.gen(function*() {
        const started = yield* line({})
        if (started === undefined) return
        const { connected, folder, kubectl, kubelet, network, processes, running } = started
        yield* apply(kubectl, pod("count", counting))
        yield* running("count")
        const gate = `${folder}/gate`
        execFileSync("mkfifo", [gate])

        const talks = yield* Effect.forEach(
          Array.from({ length: execs }, (_, number) => number),
          (number) => {
            const said: Array<Uint8Array> = []
            const begins = `exec-${number} begins\n`
            const script = `echo exec-${number} begins; cat ${gate}; `
              + `seq -f 'exec-${number} %05g ${"-".repeat(48)}' 1 ${linesEach}; exit ${number}`
            return Effect.map(kubelet.exec("count", ["sh", "-c", script]), (talk) => {
              talk.onBytes((bytes) => void said.push(bytes))
              let over = false
              void talk.over.then(() => over = true)
              return { number, begins, talk, text: () => Buffer.concat(said).toString(), over: () => over }
            })
          },
          { concurrency: 10 }
        )
        const count = (fits: (talk: typeof talks[number]) => boolean) => () => String(talks.filter(fits).length)
        const silent = () =>
          talks.filter(({ begins, text }) => text() !== begins)
            .map(({ number, over, talk, text }) =>
              `${number} ${over() ? "is over" : "is open"}: ${text()}${talk.words()}`
            )
        yield* waitFor("all commands begin", () => silent().join("\n"), (names) => names === "", 100)
        const before = { operator: peakMemory(processes.operator.pid), agent: peakMemory(processes.agent.pid) }

        // What they say from here on waits; what is on its way is lost.
        yield* network.become("reset")
        const opening = yield* Effect.sync(() => {
          const file = openSync(gate, constants.O_RDWR | constants.O_NONBLOCK)
          closeSync(file)
        }).pipe(Effect.repeat(Schedule.spaced("100 millis")), Effect.forkChild)
        yield* connected("False")
        assert.strictEqual(
          count(({ begins, text }) => text() === begins)(),
          `${execs}`,
          "nothing comes through the cut"
        )
        yield* network.become("pass")
        yield* waitFor(
          "some of what they say",
          () => talks.some(({ begins, text }) => text() !== begins) ? "some" : "none",
          (seen) => seen === "some"
        )
        // In mid-stream.
        yield* network.become("reset")
        yield* network.become("pass")
        yield* waitFor("all commands end", count(({ over }) => over()), (n) => n === `${execs}`, 240)
        yield* Fiber.interrupt(opening)

        for (const { begins, number, talk, text } of talks) {
          const whole = begins + Array.from({ length: linesEach }, (_, line) => lineOf(number, line + 1)).join("")
          assert.isTrue(text() === whole, `exec ${number} said ${text().length} of ${whole.length} bytes`)
          const end = JSON.parse(talk.words()) as {
            readonly status: string
            readonly details?: { readonly causes: ReadonlyArray<{ readonly message: string }> }
          }
          const code = end.status === "Success" ? "0" : end.details?.causes[0]?.message
          assert.strictEqual(code, `${number}`)
        }
        // All that they say is some 55 MB; pools, queues and what the collector of garbage has not come to yet are less than what is allowed.
        for (const [name, { pid }] of Object.entries(processes)) {
          const grown = peakMemory(pid) - (before[name as keyof typeof before])
          assert.isBelow(grown, 320 * 1024 * 1024, `${name} grew by ${grown} bytes`)
        }
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

/** A person at a terminal, and how sessions end: real kubectl in a pseudo-terminal of its own, on every runtime. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Option, Schedule, Scope, Stream } from "effect"
import { spawn } from "node:child_process"
import { chmodSync, mkdirSync, writeFileSync } from "node:fs"
import { startEmbedded } from "../../adapters/kube/plane/server/startEmbedded.ts"
import * as terminals from "../../adapters/process/terminals.ts"
import { Terminals } from "../../core/pod/Terminals.ts"
import { textOf } from "../contracts/runtimeWorld.ts"
import { startDocker, whyNoDocker } from "./dockerd.ts"
import { asProcesses, type DeviceRuntime, onDocker } from "./killed/DeviceRuntime.ts"
import { apply, edgeDevice, eventually, grpcAuthority, type Kubectl, prepareAgent, prepareOperator } from "./Line.ts"
import { findProgram, minimalEnvironment, processesNaming, runProgram } from "./program.ts"
import { scratch } from "./scratch.ts"
import { Screen } from "./terminal/Screen.ts"

/** What kubectl up to 1.29 speaks; newer ones speak WebSockets where they can. */
const protocols = { WebSocket: {}, SPDY: { KUBECTL_REMOTE_COMMAND_WEBSOCKETS: "false" } }

const pod = (runtime: DeviceRuntime, name: string, script: string, more: object = {}) => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { namespace: "edge", name },
  spec: {
    nodeName: "edge-1",
    restartPolicy: "Never",
    terminationGracePeriodSeconds: 1,
    tolerations: [{ key: "arhat.dev/namespace", operator: "Exists" }],
    containers: [{ name: "main", image: runtime.image, command: ["/bin/busybox", "sh", "-c", script], ...more }]
  }
})

/** A control plane, an operator, and a device with a pod `shell` and a pod `seated` that has a terminal. */
const makeLine = Effect.fnUntraced(function*(runtime: DeviceRuntime, kubectlPath: string) {
  const folder = yield* scratch
  chmodSync(folder, 0o711)
  const embedded = yield* startEmbedded()
  const kubeconfigPath = `${folder}/kubeconfig`
  writeFileSync(kubeconfigPath, embedded.adminKubeconfigYaml, { mode: 0o600 })
  const always = ["--kubeconfig", kubeconfigPath, "--cache-dir", `${folder}/cache`, "-n", "edge"]
  const kubectl: Kubectl = (args, options) => runProgram(kubectlPath, [...always, ...args], options ?? {})
  writeFileSync(`${folder}/client-ca.pem`, embedded.kubeletClientCaPem)
  const operator = yield* prepareOperator({ kubeconfigPath, kubectl }, `${folder}/operator`, {
    clientCaFile: `${folder}/client-ca.pem`
  })
  const daemon = yield* operator.start
  const agent = yield* prepareAgent(`${folder}/edge-1`, {
    device: "edge-1",
    operatorKey: operator.publicKey,
    caData: yield* grpcAuthority(kubectl),
    endpoint: `localhost:${operator.grpcPort}`,
    runtime: runtime.config
  })
  yield* apply(kubectl, edgeDevice("edge-1", agent.publicKey))
  yield* agent.start
  yield* apply(
    kubectl,
    // Enough processes for a tall screen of top.
    pod(
      runtime,
      "shell",
      "for i in $(busybox seq 50); do busybox sleep 100000 & done; trap 'exit 0' TERM; while true; do busybox sleep 0.2; done"
    ),
    // A size may come after what was typed.
    pod(
      runtime,
      "seated",
      "while printf 'your turn> ' && read word size; do echo heard $word; " +
        "until busybox stty size | busybox grep \"$size\"; do busybox sleep 0.1; done; done",
      {
        stdin: true,
        tty: true
      }
    )
  )
  for (const name of ["shell", "seated"]) {
    yield* eventually(
      kubectl,
      ["get", "pod", name, "-o", "jsonpath={.status.phase}"],
      (stdout) => stdout === "Running"
    )
  }
  const whole = yield* Effect.scope
  const restartOperator = Effect.gen(function*() {
    process.kill(daemon.pid, "SIGKILL")
    yield* Effect.exit(daemon.ended)
    yield* Scope.provide(operator.start, whole)
  })
  return { folder, kubectl, kubectlPath, always, restartOperator }
})

type Line = Effect.Success<ReturnType<typeof makeLine>>

/** kubectl at a terminal of its own, 80x24, and what it shows. */
const sit = Effect.fnUntraced(function*(line: Line, env: Readonly<Record<string, string>>, ...args: Array<string>) {
  const { run } = yield* Terminals
  const streams = yield* run({
    argv: [line.kubectlPath, ...line.always, ...args],
    environment: { ...minimalEnvironment(), TERM: "xterm", ...env }
  })
  const screen = new Screen(80, 24)
  const reading = yield* Effect.forkScoped(
    Stream.runForEach(streams.output, ({ bytes }) => Effect.sync(() => screen.write(bytes)))
  )
  return {
    screen,
    ended: Effect.timeout(Effect.andThen(Fiber.join(reading), streams.exitCode), "60 seconds"),
    type: (text: string) => streams.stdin(new TextEncoder().encode(text)),
    resize: (width: number, height: number) =>
      Effect.suspend(() => {
        screen.resize(width, height)
        return streams.resize({ width, height })
      }),
    shows: (what: string, fits: (lines: ReadonlyArray<string>) => boolean) =>
      Effect.suspend(() => fits(screen.lines) ? Effect.void : Effect.fail(`${what}; shown:\n${screen.picture}`)).pipe(
        Effect.retry(Schedule.spaced("100 millis").pipe(Schedule.upTo({ times: 600 })))
      )
  }
})

const text = "0123456789".repeat(11)

/** vi fills its screen: text, then `~` on each line that has none, and its own words in the last. */
const drawnByVi = (width: number, height: number) => (lines: ReadonlyArray<string>) =>
  lines.length === height && lines[0] === text.slice(0, width) &&
  lines.slice(1, height - 1).every((line) => line === "~") && /lines|1\/1|\d+%/.test(lines[height - 1] ?? "")

/** top writes a line of memory, one of processors, one of loads, a head, and a process in each line that is left. */
const drawnByTop = (height: number) => (lines: ReadonlyArray<string>) =>
  lines.length === height && (lines[0] ?? "").startsWith("Mem:") && (lines[3] ?? "").includes("PID") &&
  lines.slice(4, height - 1).every((line) => /^\s*[0-9]+ +[0-9]+ /.test(line))

const draws = Effect.fnUntraced(
  function*(line: Line, runtime: string, name: string, env: Readonly<Record<string, string>>) {
    const keep = (what: string, screen: Screen) => {
      mkdirSync(`${line.folder}/screens`, { recursive: true })
      writeFileSync(`${line.folder}/screens/${runtime}-${name}-${what}.txt`, screen.picture)
    }
    yield* Effect.scoped(Effect.gen(function*() {
      const seat = yield* sit(
        line,
        env,
        "exec",
        "-it",
        "shell",
        "--",
        "busybox",
        "sh",
        "-c",
        `f=/tmp/text-$$; echo ${text} > $f; busybox vi $f; busybox rm $f; exit 5`
      )
      yield* seat.shows("vi at 80x24", drawnByVi(80, 24))
      keep("vi-80x24", seat.screen)
      yield* seat.resize(120, 40)
      yield* seat.shows("vi at 120x40", drawnByVi(120, 40))
      keep("vi-120x40", seat.screen)
      yield* seat.type(":q!\r")
      assert.strictEqual(yield* seat.ended, 5)
    }))
    yield* Effect.scoped(Effect.gen(function*() {
      const seat = yield* sit(line, env, "exec", "-it", "shell", "--", "busybox", "top", "-d", "1")
      yield* seat.shows("top at 80x24", drawnByTop(24))
      yield* seat.resize(120, 40)
      yield* seat.shows("top at 120x40", drawnByTop(40))
      keep("top-120x40", seat.screen)
      yield* seat.type("q")
      assert.strictEqual(yield* seat.ended, 0)
    }))
    yield* Effect.scoped(Effect.gen(function*() {
      const seat = yield* sit(line, env, "attach", "-it", "seated")
      yield* seat.resize(100, 30)
      yield* seat.type(`${name} 30 100\r`)
      yield* seat.shows(
        "what was typed, and the answer",
        (lines) => lines.some((shown) => shown === `heard ${name}`) && lines.includes("30 100")
      )
      keep("attach", seat.screen)
    }))
  }
)

/** On the device, not the client's own command line. */
const running = (what: string) => {
  const clients = new Set(processesNaming("--kubeconfig"))
  return processesNaming(what).filter((pid) => !clients.has(pid))
}

const gone = (what: string) =>
  Effect.suspend(() => {
    const left = running(what).length
    return left === 0 ? Effect.void : Effect.fail(`${left} processes are left of ${what}`)
  }).pipe(Effect.retry(Schedule.spaced("200 millis").pipe(Schedule.upTo({ times: 300 }))))

const begun = (what: string) =>
  Effect.suspend(() => running(`sleep\0${what}`).length > 0 ? Effect.void : Effect.fail(`no ${what} runs`)).pipe(
    Effect.retry(Schedule.spaced("200 millis").pipe(Schedule.upTo({ times: 300 })))
  )

/** kubectl as a child that can be killed. */
const client = (line: Line, args: ReadonlyArray<string>, env: Readonly<Record<string, string>>) =>
  Effect.acquireRelease(
    Effect.sync(() =>
      spawn(line.kubectlPath, [...line.always, ...args], {
        stdio: ["pipe", "ignore", "ignore"],
        env: { ...minimalEnvironment(), ...env }
      })
    ),
    (child) => Effect.sync(() => void child.kill("SIGKILL"))
  )

let marks = 70_000_000 + Math.floor(process.pid % 10_000) * 100

const vanishes = Effect.fnUntraced(function*(line: Line) {
  for (const env of Object.values(protocols)) {
    for (const flags of [[], ["-i"]]) {
      const mark = `${marks++}`
      yield* Effect.scoped(Effect.gen(function*() {
        const script = `busybox sleep ${mark} & busybox sleep ${mark}; true`
        const child = yield* client(line, ["exec", ...flags, "shell", "--", "busybox", "sh", "-c", script], env)
        child.stdin.on("error", () => {})
        // More than anybody takes.
        if (flags.includes("-i")) child.stdin.write(Buffer.alloc(8 * 1024 * 1024, "x"))
        yield* begun(mark)
        child.kill("SIGKILL")
        yield* gone(`sleep\0${mark}`)
      }))
    }
  }
  for (const end of ["is killed", "loses its terminal"] as const) {
    const mark = `${marks++}`
    yield* Effect.scoped(Effect.gen(function*() {
      yield* sit(line, {}, "exec", "-it", "shell", "--", "busybox", "sleep", mark)
      yield* begun(mark)
      if (end === "loses its terminal") return
      const ours = new Set(processesNaming(line.folder))
      for (const pid of processesNaming(mark).filter((each) => ours.has(each))) process.kill(pid, "SIGKILL")
      yield* gone(`sleep\0${mark}`)
    }))
    yield* gone(`sleep\0${mark}`)
  }
  const mark = `${marks++}`
  yield* Effect.scoped(Effect.gen(function*() {
    yield* client(line, ["exec", "shell", "--", "busybox", "sleep", mark], {})
    yield* begun(mark)
    yield* line.restartOperator
    yield* gone(`sleep\0${mark}`)
  }))
})

/** kubectl gives a command a terminal only where it has one itself. */
const says = Effect.fnUntraced(function*(line: Line, times: number) {
  const { run } = yield* Terminals
  const said = yield* Effect.forEach(
    Array.from({ length: times }),
    () =>
      Effect.scoped(Effect.gen(function*() {
        const streams = yield* run({
          argv: [
            line.kubectlPath,
            ...line.always,
            "exec",
            "-it",
            "shell",
            "--",
            "busybox",
            "sh",
            "-c",
            "test -t 1 && echo x; exit 6"
          ],
          environment: { ...minimalEnvironment(), TERM: "xterm" }
        })
        const pieces = yield* Effect.timeout(Stream.runCollect(streams.output), "120 seconds")
        return `${yield* streams.exitCode} ${JSON.stringify(textOf(pieces))}`
      })),
    { concurrency: 8 }
  )
  assert.deepStrictEqual([...new Set(said)], [String.raw`6 "x\r\ncommand terminated with exit code 6\r\n"`])
})

const kubectlPath = findProgram("kubectl")
const hasScript = Option.isSome(findProgram("script"))

const whole = Effect.fnUntraced(function*(runtime: DeviceRuntime, kubectlPath: string) {
  const line = yield* makeLine(runtime, kubectlPath)
  const tried = Effect.gen(function*() {
    for (const [name, env] of Object.entries(protocols)) yield* draws(line, runtime.name, name, env)
    yield* says(line, runtime === asProcesses ? 200 : 40)
    yield* vanishes(line)
  })
  // Pods as processes outlive their agents: they go while those are there, and an operator.
  yield* Effect.ensuring(
    tried,
    Effect.ignore(
      line.kubectl(["delete", "pods", "--field-selector=spec.nodeName=edge-1", "--grace-period=1", "--timeout=60s"])
    )
  )
})

const skipped = (why: string) => console.warn(`SKIPPED kubectl at a terminal: ${why}`)

describe("kubectl at a terminal", () => {
  const missing = Option.isNone(kubectlPath)
    ? "there is no kubectl on the PATH"
    : hasScript
    ? undefined
    : "no script here"

  it.live(
    "draws, is resized, loses no words and leaves nothing behind, on plain processes",
    () =>
      Effect.gen(function*() {
        const why = missing ?? (process.getuid?.() === 0 ? undefined : "pods as processes need root")
        if (why !== undefined || Option.isNone(kubectlPath)) return skipped(why ?? "")
        yield* whole(asProcesses, kubectlPath.value)
      }).pipe(Effect.scoped, Effect.provide(terminals.layer)),
    900_000
  )

  it.live("draws, is resized, loses no words and leaves nothing behind, on docker", () =>
    Effect.gen(function*() {
      const why = missing ?? Option.getOrUndefined(yield* whyNoDocker)
      if (why !== undefined || Option.isNone(kubectlPath)) return skipped(why ?? "")
      yield* whole(onDocker(yield* startDocker({ reuse: true })), kubectlPath.value)
    }).pipe(Effect.scoped, Effect.provide(terminals.layer)), 900_000)
})

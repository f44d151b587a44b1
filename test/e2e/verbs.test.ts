/** exec, attach, cp and port-forward of a real kubectl, on every runtime, through the embedded control plane. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { createHash, randomBytes } from "node:crypto"
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { request } from "node:http"
import { startEmbedded } from "../../adapters/kube/plane/server/startEmbedded.ts"
import { startDaemon } from "./daemon.ts"
import { startDocker, whyNoDocker } from "./dockerd.ts"
import { freePorts } from "./freePorts.ts"
import { asProcesses, type DeviceRuntime, onDocker } from "./killed/DeviceRuntime.ts"
import { apply, edgeDevice, eventually, grpcAuthority, type Kubectl, prepareAgent, prepareOperator } from "./Line.ts"
import { findProgram, runProgram } from "./program.ts"
import { scratch } from "./scratch.ts"

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

const digest = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex")

const got = (port: number, path: string) =>
  Effect.callback<string>((resume) => {
    const asked = request({ host: "127.0.0.1", port, path, agent: false }, (response) => {
      const parts: Array<Buffer> = []
      response.on("data", (part: Buffer) => parts.push(part))
      response.on("end", () => resume(Effect.succeed(`${response.statusCode} ${digest(Buffer.concat(parts))}`)))
      response.on("error", (error) => resume(Effect.succeed(`broken: ${error.message}`)))
    })
    asked.on("error", (error) => resume(Effect.succeed(`failed: ${error.message}`)))
    asked.end()
  })

/** What kubectl up to 1.29 speaks; newer ones speak WebSockets where they can. */
const spdy = { KUBECTL_REMOTE_COMMAND_WEBSOCKETS: "false", KUBECTL_PORT_FORWARD_WEBSOCKETS: "false" }

const talk = Effect.fnUntraced(function*(options: {
  readonly runtime: DeviceRuntime
  readonly kubectlPath: string
  readonly always: ReadonlyArray<string>
  readonly env: Readonly<Record<string, string>>
  readonly folder: string
  /** Seen under the same path by pods as processes. */
  readonly site: string
  readonly inside: number
  readonly outside: number
  readonly web: Uint8Array
}) {
  const { always, env, folder, inside, kubectlPath, outside, runtime, site, web } = options
  const kubectl: Kubectl = (args, more) => runProgram(kubectlPath, [...always, ...args], { ...more, env })
  const exec = (args: ReadonlyArray<string>, options?: Parameters<Kubectl>[1]) => kubectl(["exec", ...args], options)

  const said = yield* exec(["shell", "--", "busybox", "sh", "-c", "echo out; echo err >&2; exit 0"])
  assert.deepStrictEqual({ ...said, stderr: said.stderr.trim() }, { stdout: "out\n", stderr: "err", exitCode: 0 })
  for (const code of [1, 2, 126, 137, 255]) {
    assert.strictEqual((yield* exec(["shell", "--", "busybox", "sh", "-c", `exit ${code}`])).exitCode, code)
  }
  const counted = yield* exec(["-i", "shell", "--", "busybox", "wc", "-c"], { stdin: "x".repeat(300_000) })
  assert.strictEqual(counted.stdout.trim(), "300000")
  const none = yield* exec(["shell", "--", "/no/such/program"])
  assert.notStrictEqual(none.exitCode, 0)
  assert.match(none.stdout + none.stderr, /no\/such\/program/)

  // The terminal of `script` is 80x24 unless told; what is drawn there comes from the device.
  const typed = yield* runProgram("script", [
    "-qec",
    `stty rows 41 cols 123; ${
      [kubectlPath, ...always].join(" ")
    } exec -it shell -- busybox sh -c 'until busybox stty size | busybox grep 41; do busybox sleep 0.1; done; echo done'`,
    "/dev/null"
  ], { env })
  assert.match(typed.stdout, /41 123[^]*done/)

  const bytes = randomBytes(3_000_000)
  writeFileSync(`${folder}/up`, bytes)
  const into = runtime.name === "docker" ? "/tmp/up" : `${site}/up`
  const up = yield* kubectl(["cp", `${folder}/up`, `shell:${into}`])
  assert.strictEqual(up.exitCode, 0, up.stderr)
  const down = yield* kubectl(["cp", `shell:${into}`, `${folder}/down`])
  assert.strictEqual(down.exitCode, 0, down.stderr)
  assert.strictEqual(digest(readFileSync(`${folder}/down`)), digest(bytes))

  yield* Effect.scoped(Effect.gen(function*() {
    yield* startDaemon({
      name: "kubectl port-forward",
      command: kubectlPath,
      args: [...always, "port-forward", "pod/web", `${outside}:${inside}`],
      env,
      logFile: `${folder}/port-forward.log`
    })
    const whole = `200 ${digest(web)}`
    yield* Effect.gen(function*() {
      while ((yield* got(outside, "/page")) !== whole) yield* Effect.sleep("100 millis")
    }).pipe(Effect.timeout("20 seconds"))
    const answers = yield* Effect.forEach(
      Array.from({ length: 100 }),
      () => got(outside, "/page"),
      { concurrency: "unbounded" }
    )
    assert.deepStrictEqual([...new Set(answers)], [whole])
  }))
}, Effect.scoped)

const verbs = Effect.fnUntraced(function*(runtime: DeviceRuntime, kubectlPath: string) {
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
  yield* operator.start
  const agent = yield* prepareAgent(`${folder}/edge-1`, {
    device: "edge-1",
    operatorKey: operator.publicKey,
    caData: yield* grpcAuthority(kubectl),
    endpoint: `localhost:${operator.grpcPort}`,
    runtime: runtime.config
  })
  yield* apply(kubectl, edgeDevice("edge-1", agent.publicKey))
  yield* agent.start

  const web = randomBytes(100_000)
  const [inside = 0, outside = 0] = yield* freePorts(2)
  const site = `${folder}/site`
  mkdirSync(site)
  writeFileSync(`${site}/page`, web)
  chmodSync(site, 0o777) // pods as processes are users of their own
  const volume = {
    containers: [{
      name: "main",
      image: runtime.image,
      command: ["/bin/busybox", "sh", "-c", `exec busybox httpd -f -p ${inside} -h ${site}`],
      volumeMounts: [{ name: "site", mountPath: site }]
    }],
    volumes: [{ name: "site", hostPath: { path: site } }]
  }
  const server = pod(runtime, "web", "")
  yield* apply(
    kubectl,
    pod(runtime, "shell", "trap 'exit 0' TERM; while true; do sleep 0.2; done"),
    // What it hears it says, and then how many lines there were.
    pod(runtime, "listener", "n=0; while read line; do n=$((n+1)); echo heard $line; done; echo $n lines", {
      stdin: true,
      stdinOnce: true
    }),
    { ...server, spec: { ...server.spec, ...volume } }
  )
  for (const name of ["shell", "listener", "web"]) {
    yield* eventually(
      kubectl,
      ["get", "pod", name, "-o", "jsonpath={.status.phase}"],
      (stdout) => stdout === "Running"
    )
  }
  const heard = yield* kubectl(["attach", "-i", "listener"], { stdin: "one\ntwo\n" })
  assert.match(heard.stdout, /heard one\nheard two\n2 lines/)

  yield* Effect.forEach(
    [{}, spdy],
    (env) => talk({ runtime, kubectlPath, always, env, folder, site, inside, outside, web }),
    {
      discard: true
    }
  )
})

const kubectlPath = findProgram("kubectl")

describe("kubectl exec, attach, cp and port-forward", () => {
  it.live("work on plain processes", () =>
    Effect.gen(function*() {
      if (process.getuid?.() !== 0 || Option.isNone(kubectlPath)) {
        const why = Option.isNone(kubectlPath) ? "there is no kubectl on the PATH" : "pods as processes need root"
        return console.warn(`SKIPPED kubectl's verbs on processes: ${why}`)
      }
      yield* verbs(asProcesses, kubectlPath.value)
    }).pipe(Effect.scoped), 180_000)

  it.live("work on docker", () =>
    Effect.gen(function*() {
      const noDocker = yield* whyNoDocker
      if (Option.isSome(noDocker) || Option.isNone(kubectlPath)) {
        const why = Option.getOrElse(noDocker, () => "there is no kubectl on the PATH")
        return console.warn(`SKIPPED kubectl's verbs on docker: ${why}`)
      }
      yield* verbs(onDocker(yield* startDocker({ reuse: true })), kubectlPath.value)
    }).pipe(Effect.scoped), 180_000)
})

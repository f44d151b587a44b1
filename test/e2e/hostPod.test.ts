/** A real kubectl and the device itself: what its owner allows, what not, and pods that run on the bare host. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { createHash, randomBytes } from "node:crypto"
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { createServer, request } from "node:http"
import { startEmbedded } from "../../adapters/kube/plane/server/startEmbedded.ts"
import { startDaemon } from "./daemon.ts"
import { freePorts } from "./freePorts.ts"
import { asProcesses } from "./killed/DeviceRuntime.ts"
import { apply, edgeDevice, eventually, grpcAuthority, type Kubectl, prepareAgent, prepareOperator } from "./Line.ts"
import { findProgram, runProgram } from "./program.ts"
import { scratch } from "./scratch.ts"

const digest = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex")

const greeting = "from the device itself"

/** Something that listens on the device. */
const listener = (port: number) =>
  Effect.acquireRelease(
    Effect.callback<ReturnType<typeof createServer>>((resume) => {
      const server = createServer((_, answer) => void answer.end(greeting))
      server.listen(port, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.sync(() => void server.close())
  )

const got = (port: number) =>
  Effect.callback<string>((resume) => {
    const asked = request({ host: "127.0.0.1", port, agent: false }, (answer) => {
      let said = ""
      answer.on("data", (part: Buffer) => (said += part.toString()))
      answer.on("end", () => resume(Effect.succeed(said)))
      answer.on("error", (error) => resume(Effect.succeed(error.message)))
    })
    asked.on("error", (error) => resume(Effect.succeed(error.message)))
    asked.end()
  })

const job = {
  apiVersion: "batch/v1",
  kind: "Job",
  metadata: { namespace: "edge", name: "errand" },
  spec: {
    backoffLimit: 0,
    template: {
      spec: {
        restartPolicy: "Never",
        nodeSelector: { "kubernetes.io/hostname": "open" },
        tolerations: [{ key: "arhat.dev/namespace", operator: "Exists" }],
        automountServiceAccountToken: false,
        containers: [{
          name: "main",
          image: "virtualimage.arhat.dev/hostexec",
          command: ["sh", "-c"],
          args: ["echo ran on $(uname -n) with $0", "args"]
        }]
      }
    }
  }
}

const kubectlPath = findProgram("kubectl")

describe("the host pod", () => {
  it.live("is the device itself where its owner allows it, and names the key where not", () =>
    Effect.gen(function*() {
      if (process.getuid?.() !== 0 || Option.isNone(kubectlPath)) {
        const why = Option.isNone(kubectlPath) ? "there is no kubectl on the PATH" : "pods as processes need root"
        return console.warn(`SKIPPED the host pod: ${why}`)
      }
      const folder = yield* scratch
      const embedded = yield* startEmbedded()
      const kubeconfigPath = `${folder}/kubeconfig`
      writeFileSync(kubeconfigPath, embedded.adminKubeconfigYaml, { mode: 0o600 })
      const always = ["--kubeconfig", kubeconfigPath, "--cache-dir", `${folder}/cache`, "-n", "edge"]
      const kubectl: Kubectl = (args, options) => runProgram(kubectlPath.value, [...always, ...args], options ?? {})
      writeFileSync(`${folder}/client-ca.pem`, embedded.kubeletClientCaPem)
      const operator = yield* prepareOperator({ kubeconfigPath, kubectl }, `${folder}/operator`, {
        clientCaFile: `${folder}/client-ca.pem`
      })
      yield* operator.start
      const caData = yield* grpcAuthority(kubectl)
      const allowed = {
        allowExec: true,
        allowAttach: true,
        allowLog: true,
        allowPortForward: true,
        allowCopy: true,
        allowLogFiles: true,
        logDir: `${folder}/logs`
      }
      mkdirSync(`${allowed.logDir}/pods`, { recursive: true })
      writeFileSync(`${allowed.logDir}/boot.log`, "booted\n")
      writeFileSync(`${allowed.logDir}/pods/long`, Buffer.alloc(3_000_000, "0123456789\n"))
      for (const [device, host] of [["open", allowed], ["shut", {}]] as const) {
        const agent = yield* prepareAgent(`${folder}/${device}`, {
          device,
          operatorKey: operator.publicKey,
          caData,
          endpoint: `localhost:${operator.grpcPort}`,
          runtime: asProcesses.config,
          arhat: { host, log: [{ level: "debug", format: "json", file: `${folder}/${device}/log` }] }
        })
        yield* apply(kubectl, edgeDevice(device, agent.publicKey))
        yield* agent.start
      }
      for (const device of ["open", "shut"]) {
        yield* eventually(
          kubectl,
          ["get", "pod", device, "-o", "jsonpath={.status.phase} {.metadata.ownerReferences[0].kind}"],
          (stdout) => stdout === "Running Node"
        )
      }

      const said = yield* kubectl(["exec", "-i", "open", "--", "sh", "-c", "cat; echo $$ >&2; exit 42"], {
        stdin: "in"
      })
      assert.deepStrictEqual([said.stdout, said.exitCode], ["in", 42])
      const shell = yield* kubectl(["attach", "-i", "open"], { stdin: "echo $((40 + 2)) $HOME\nexit\n" })
      assert.match(shell.stdout, /42 \/\w+/, shell.stderr)

      const log = yield* kubectl(["logs", "open", "--tail=1000"])
      assert.match(log.stdout, /connected to the operator as edge\/open/)
      const previous = yield* kubectl(["logs", "open", "--previous"])
      assert.match(previous.stderr, /the agent's log has not been rotated yet/)

      const files = (device: string, path: string) =>
        kubectl(["get", "--raw", `/api/v1/nodes/${device}/proxy/logs/${path}`])
      const listed = yield* files("open", "")
      assert.include(listed.stdout, "<a href=\"boot.log\">boot.log</a>\n<a href=\"pods/\">pods/</a>\n", listed.stderr)
      assert.include((yield* files("open", "pods/")).stdout, "<a href=\"long\">long</a>\n")
      assert.strictEqual((yield* files("open", "boot.log")).stdout, "booted\n")
      const long = yield* files("open", "pods/long")
      assert.strictEqual(digest(Buffer.from(long.stdout)), digest(readFileSync(`${allowed.logDir}/pods/long`)))
      const gone = yield* files("open", "no.log")
      assert.include(gone.stderr, `${allowed.logDir}/no.log does not exist on the device`)
      const journal = yield* files("open", "?query=kubelet")
      assert.include(journal.stderr, "the logs of a device's services cannot be asked for")

      const bytes = randomBytes(5_000_000)
      mkdirSync(`${folder}/up/odd name`, { recursive: true })
      writeFileSync(`${folder}/up/odd name/file`, bytes)
      const site = `${folder}/site`
      mkdirSync(site)
      for (
        const args of [
          [`${folder}/up`, `open:${site}`],
          [`open:${site}/up`, `${folder}/down`],
          [`${folder}/up/odd name/file`, `open:${site}/single`]
        ]
      ) {
        const copied = yield* kubectl(["cp", ...args])
        assert.strictEqual(copied.exitCode, 0, copied.stderr)
      }
      for (const path of [`${site}/up/odd name/file`, `${folder}/down/odd name/file`, `${site}/single`]) {
        assert.strictEqual(digest(readFileSync(path)), digest(bytes), path)
      }

      const [inside = 0, outside = 0] = yield* freePorts(2)
      yield* listener(inside)
      yield* startDaemon({
        name: "kubectl port-forward",
        command: kubectlPath.value,
        args: [...always, "port-forward", "pod/open", `${outside}:${inside}`],
        logFile: `${folder}/port-forward.log`
      })
      yield* Effect.gen(function*() {
        while ((yield* got(outside)) !== greeting) yield* Effect.sleep("100 millis")
      }).pipe(Effect.timeout("20 seconds"))

      const refusals: ReadonlyArray<readonly [args: ReadonlyArray<string>, key: string]> = [
        [["exec", "shut", "--", "id"], "allowExec"],
        [["attach", "-i", "shut"], "allowAttach"],
        [["logs", "shut"], "allowLog"],
        [["get", "--raw", "/api/v1/nodes/shut/proxy/logs/"], "allowLogFiles"],
        [["cp", `${folder}/up/odd name/file`, `shut:${site}/other`], "allowCopy"]
      ]
      for (const [args, key] of refusals) {
        const refused = yield* kubectl(args, { stdin: "" })
        assert.notStrictEqual(refused.exitCode, 0)
        assert.include(refused.stdout + refused.stderr, `arhat.host.${key}: true in its own configuration allows it`)
      }

      yield* apply(kubectl, job)
      yield* eventually(kubectl, ["get", "job", "errand", "-o", "jsonpath={.status.succeeded}"], (out) => out === "1")
      const ran = yield* kubectl(["logs", "job/errand"])
      assert.match(ran.stdout, /^ran on \S+ with args\n$/)

      yield* kubectl(["delete", "edgedevice", "shut"])
      yield* eventually(
        kubectl,
        ["get", "pod", "shut"],
        (_, { exitCode, stderr }) => exitCode !== 0 && stderr.includes("not found")
      )
    }).pipe(Effect.scoped), 900_000)
})

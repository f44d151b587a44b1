/** Images of a registry that asks who one is: pulled by imagePullSecrets with real docker, healed by a corrected Secret, and no password anywhere. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Option, Schedule, Scope } from "effect"
import { readdirSync, readFileSync, writeFileSync } from "node:fs"
import { afterAll, beforeAll } from "vitest"
import { startEmbedded } from "../../adapters/kube/plane/server/startEmbedded.ts"
import { startDaemon } from "./daemon.ts"
import { startDocker, whyNoDocker } from "./dockerd.ts"
import { textOf } from "./engine.ts"
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
import { type Registry, startRegistry, whyNoRegistry } from "./registry.ts"
import { scratch } from "./scratch.ts"

const kubectlPath = findProgram("kubectl")
const reason = Option.firstSomeOf([
  await Effect.runPromise(whyNoDocker),
  whyNoRegistry(),
  Option.isSome(kubectlPath) ? Option.none() : Option.some("there is no kubectl on the PATH")
])
if (Option.isSome(reason)) console.warn(`SKIPPED pulling from a registry with passwords: ${reason.value}`)

const wrongPassword = "wires-and-gadgets"

/** An image of its own for each pod, so that none is there because another pod has pulled it. */
const images = ["right", "healed", "nobody", "never", "elsewhere"] as const
type Image = typeof images[number]

const setUp = Effect.gen(function*() {
  const folder = yield* scratch
  const docker = yield* startDocker({ reuse: true })
  const registry = yield* startRegistry
  const image = (name: Image) => `${registry.address}/private/${name}:1`
  for (const name of images) {
    const repo = `${registry.address}/private/${name}`
    yield* docker.engine.call("POST", "/images/busybox:1.36/tag", { query: { repo, tag: "1" } })
    const pushed = yield* docker.engine.call("POST", `/images/${repo}/push`, {
      query: { tag: "1" },
      headers: { "X-Registry-Auth": registry.engineAuth }
    })
    assert.notInclude(textOf(pushed), "\"error\"")
    const forget = docker.engine.call("DELETE", `/images/${repo}:1`, { query: { force: "1" } })
    yield* forget
    yield* Effect.addFinalizer(() => Effect.ignore(forget))
  }
  const embedded = yield* startEmbedded()
  const kubeconfigPath = `${folder}/kubeconfig`
  writeFileSync(kubeconfigPath, embedded.adminKubeconfigYaml, { mode: 0o600 })
  writeFileSync(`${folder}/client-ca.pem`, embedded.kubeletClientCaPem)
  const kubectl: Kubectl = (args, options) =>
    runProgram(
      Option.getOrElse(kubectlPath, () => "kubectl"),
      ["--kubeconfig", kubeconfigPath, "--cache-dir", `${folder}/cache`, ...args],
      options ?? {}
    )
  const operator = yield* prepareOperator({ kubeconfigPath, kubectl }, `${folder}/operator`, {
    clientCaFile: `${folder}/client-ca.pem`
  })
  yield* operator.start
  const agent = yield* prepareAgent(`${folder}/edge-1`, {
    device: "edge-1",
    operatorKey: operator.publicKey,
    caData: yield* grpcAuthority(kubectl),
    endpoint: `localhost:${operator.grpcPort}`,
    runtime: { docker: { socket: docker.socketPath, pauseImage: "aranya.test/pause:1" } }
  })
  yield* apply(kubectl, edgeDevice("edge-1", agent.publicKey))
  yield* agent.start
  yield* eventually(kubectl, ["get", "node", "edge-1", "--no-headers"], (out) => / Ready /.test(out))
  const watched = `${folder}/watched`
  yield* startDaemon({
    name: "kubectl get --watch",
    command: Option.getOrElse(kubectlPath, () => "kubectl"),
    args: [
      ...[
        "--kubeconfig",
        kubeconfigPath,
        "--cache-dir",
        `${folder}/cache`,
        "get",
        "pods",
        "-n",
        "edge",
        "--watch",
        "-o"
      ],
      "jsonpath={.metadata.name} {.status.phase} {.status.containerStatuses[0].state.waiting.reason}: {.status.containerStatuses[0].state.waiting.message}{\"\\n\"}"
    ],
    logFile: watched
  })
  return { watched, registry, image, kubectl, operator, agent }
})

const pullSecret = (name: string, { address, username }: Registry, password: string) => ({
  apiVersion: "v1",
  kind: "Secret",
  metadata: { namespace: "edge", name },
  type: "kubernetes.io/dockerconfigjson",
  // What `kubectl create secret docker-registry` writes.
  stringData: {
    ".dockerconfigjson": JSON.stringify({
      auths: { [address]: { username, password, auth: Buffer.from(`${username}:${password}`).toString("base64") } }
    })
  }
})

const pod = (name: Image, image: string, secret: string | undefined, imagePullPolicy = "Always") => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { namespace: "edge", name },
  spec: {
    nodeName: "edge-1",
    terminationGracePeriodSeconds: 1,
    tolerations: [{ key: "arhat.dev/namespace", operator: "Exists" }],
    ...(secret === undefined ? {} : { imagePullSecrets: [{ name: secret }] }),
    containers: [{
      name: "main",
      image,
      imagePullPolicy,
      command: ["sh", "-c", "echo here I am; trap 'exit 0' TERM; while true; do sleep 0.2; done"]
    }]
  }
})

/** How a text may stand in a file: as it is, or within the base64 of something longer, which starts at any of three bytes. */
const spellings = (text: string): ReadonlyArray<string> => [
  text,
  ...[0, 1, 2].map((shift) =>
    Buffer.from("\0".repeat(shift) + text).toString("base64")
      // What the neighbours have a share in is cut off.
      .replace(/=+$/, "").slice(shift === 0 ? 0 : shift + 1, -1)
  )
]

const filesBelow = (folder: string): ReadonlyArray<string> =>
  readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
    .map(({ name, parentPath }) => `${parentPath}/${name}`)

const scope = Scope.makeUnsafe()

describe.skipIf(Option.isSome(reason))("a registry with passwords", () => {
  let line: Effect.Success<typeof setUp>
  beforeAll(async () => {
    line = await Effect.runPromise(Scope.provide(setUp, scope))
  })
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

  const running = (name: Image, limitSeconds?: number) =>
    eventually(
      line.kubectl,
      ["get", "pod", name, "-n", "edge", "--no-headers"],
      (out) => / 1\/1 +Running +0 /.test(out),
      limitSeconds
    )
  /** Watched, not asked: an error shows for seconds only before it becomes a back-off. */
  const waiting = (name: Image, fits: (reasonAndMessage: string) => boolean) =>
    Effect.sync(() => readFileSync(line.watched, "utf8").split("\n")).pipe(
      Effect.map((lines) =>
        lines.filter((each) => each.startsWith(`${name} `)).map((each) => each.slice(name.length + 1))
      ),
      Effect.filterOrFail(
        (lines) => lines.some(fits),
        (lines) => new NotAsExpected({ what: `the states of pod ${name}`, seen: lines.join("\n") })
      ),
      Effect.retry(Schedule.spaced("200 millis").pipe(Schedule.upTo({ times: 300 })))
    )
  const describedAs = (name: Image, ...expected: ReadonlyArray<RegExp>) =>
    eventually(
      line.kubectl,
      ["describe", "pod", name, "-n", "edge"],
      (out) => expected.every((each) => each.test(out))
    )

  it.live("gives its image to a pod that brings the right credentials", () =>
    Effect.gen(function*() {
      const { image, kubectl, registry } = line
      yield* apply(
        kubectl,
        pullSecret("door", registry, registry.password),
        pod("right", image("right"), "door")
      )
      yield* running("right")
      yield* eventually(kubectl, ["logs", "-n", "edge", "right"], (out) => out === "here I am\n")
      yield* describedAs("right", /Pulling image "\S+\/private\/right:1"/, /Successfully pulled image "\S+right:1"/)
    }))

  it.live("refuses a wrong password, and the pod heals by itself once the Secret is right", () =>
    Effect.gen(function*() {
      const { image, kubectl, registry } = line
      yield* apply(
        kubectl,
        pullSecret("key", registry, wrongPassword),
        pod("healed", image("healed"), "key")
      )
      const refusal = `unauthorized: authentication required (with the credentials for ${registry.address})`
      yield* waiting("healed", (out) => out === `Pending ErrImagePull: ${refusal}`)
      yield* waiting(
        "healed",
        (out) =>
          out === `Pending ImagePullBackOff: Back-off pulling image "${image("healed")}": ErrImagePull: ${refusal}`
      )
      const described = yield* describedAs(
        "healed",
        /Reason: +ImagePullBackOff/,
        /Warning +Failed .*Failed to pull image "\S+healed:1": .*\(with the credentials for /,
        /Warning +Failed .*Error: ErrImagePull/,
        /Warning +Failed .*Error: ImagePullBackOff/,
        /Normal +BackOff .*Back-off pulling image/
      )
      assert.notInclude(described, wrongPassword)

      yield* apply(kubectl, pullSecret("key", registry, registry.password))
      // The back-off that had begun is waited out.
      yield* running("healed", 120)
    }))

  it.live("refuses a pod that brings no credentials, and one whose Secret is not there, which is said", () =>
    Effect.gen(function*() {
      const { image, kubectl } = line
      yield* apply(
        kubectl,
        pod("nobody", image("nobody"), undefined),
        pod("elsewhere", image("elsewhere"), "absent")
      )
      for (const name of ["nobody", "elsewhere"] as const) {
        yield* waiting(name, (out) => out.startsWith("Pending ImagePullBackOff: "))
        yield* describedAs(
          name,
          /Failed to pull image "\S+": .*\(no imagePullSecret of the pod is for this image\)/
        )
      }
      yield* describedAs("elsewhere", /FailedToRetrieveImagePullSecret .*\(absent\)/)
    }))

  it.live("is not asked when the policy is Never and the image is absent", () =>
    Effect.gen(function*() {
      const { image, kubectl } = line
      yield* apply(kubectl, pod("never", image("never"), "door", "Never"))
      yield* waiting("never", (out) =>
        out ===
          `Pending ErrImageNeverPull: Container image "${image("never")}" is not present with pull policy of Never`)
      const described = yield* describedAs("never", /Warning +ErrImageNeverPull /)
      assert.notInclude(described, "Pulling image")
    }))

  it.live("leaves no password in a log, nor on the device's disk", () =>
    Effect.gen(function*() {
      const { agent, image, operator, registry } = line
      const secrets = [registry.password, wrongPassword].flatMap(spellings)
      const files = [operator.logFile, agent.logFile, ...filesBelow(agent.dataDir)]
      assert.isTrue(files.some((file) => file.endsWith(".db")), `a journal: ${files.join(", ")}`)
      const contents = files.map((file) => [file, readFileSync(file, "latin1")] as const)
      for (const [file, content] of contents) {
        for (const secret of secrets) assert.isFalse(content.includes(secret), `${secret} stands in ${file}`)
      }
      // The search finds what is there.
      assert.isTrue(
        contents.some(([file, content]) => file.startsWith(agent.dataDir) && content.includes(image("right")))
      )
      const carrier = Buffer.from(JSON.stringify({ password: registry.password })).toString("base64")
      assert.isTrue(spellings(registry.password).some((secret) => carrier.includes(secret)))
    }))
})

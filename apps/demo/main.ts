/** `npm start`: the whole system by one command, ready for kubectl; `-- --check` takes the tour by itself. */
import { type Duration, Effect, Schedule, Schema } from "effect"
import { Command, Flag } from "effect/cli"
import { spawnSync } from "node:child_process"
import { EdgeDevices } from "../../core/device/EdgeDevice.ts"
import { ConfigMaps } from "../../core/kube/kinds.ts"
import { KubeApi, type KubeApiError } from "../../core/kube/KubeApi.ts"
import { Nodes } from "../../core/kube/Node.ts"
import { type Pod, Pods } from "../../core/kube/Pod.ts"
import { runProgram } from "../shared/runProgram.ts"
import { version } from "../shared/version.ts"
import { demoImages, dockerAnswers } from "./demoImages.ts"
import { complain, heading, say, step } from "./Progress.ts"
import { readLogs } from "./readLogs.ts"
import { type DemoRuntime, Deployments, startSystem } from "./System.ts"
import { settings, workload } from "./workload.ts"

class Deviation extends Schema.TaggedError<Deviation>()("Deviation", { detail: Schema.String }) {
  override get message() {
    return this.detail
  }
}

/** Looks again and again until there is something to show; says what was missing when it gives up. */
const until = <A, E extends { readonly message: string }, R>(
  look: Effect.Effect<A, E, R>,
  problem: (seen: A) => string | undefined,
  limitSeconds = 90
) =>
  look.pipe(
    Effect.mapError((error) => new Deviation({ detail: error.message })),
    Effect.flatMap((seen) => {
      const wrong = problem(seen)
      return wrong === undefined ? Effect.succeed(seen) : Effect.fail(new Deviation({ detail: wrong }))
    }),
    Effect.retry(Schedule.spaced("250 millis").pipe(Schedule.upTo({ times: limitSeconds * 4 })))
  )

const socketPath = (process.env["DOCKER_HOST"] || "unix:///var/run/docker.sock").replace(/^unix:\/\//u, "")

const chooseRuntime = Effect.fnUntraced(function*(wanted: "auto" | "docker" | "process") {
  const docker = wanted !== "process" && (yield* dockerAnswers(socketPath))
  if (wanted === "docker" && !docker) {
    return yield* new Deviation({
      detail: `no docker engine answers on ${socketPath}: start it, or use --runtime process`
    })
  }
  if (docker) {
    const images = yield* step("images for docker", demoImages(socketPath))
    return {
      name: "docker",
      config: { docker: { socket: socketPath, pauseImage: images.pause } },
      image: images.busybox
    } satisfies DemoRuntime
  }
  return {
    name: "processes",
    config: { docker: { enabled: false }, process: { enabled: true, allowRoot: process.getuid?.() === 0 } },
    image: "virtualimage.arhat.dev/hostexec"
  } satisfies DemoRuntime
})

const hello = Effect.gen(function*() {
  const api = yield* KubeApi
  return (yield* api.list(Pods, { namespace: "edge", labelSelector: "app=hello" }))
})

const ready = ({ status }: Pod) =>
  status?.conditions?.some(({ status: value, type }) => type === "Ready" && value === "True")

const kubectlTour = (kubeconfig: string, left: string) =>
  Effect.gen(function*() {
    yield* heading("Try it")
    yield* say(`  export KUBECONFIG=${kubeconfig}`)
    for (
      const line of [
        "kubectl get nodes,edgedevices,pods -A -o wide",
        "kubectl describe node edge-1",
        "kubectl logs -n edge -f deploy/hello",
        "kubectl top node edge-1    # half a minute after the start",
        "kubectl scale -n edge deploy/hello --replicas=3",
        "kubectl delete -n edge deploy/hello",
        "kubectl delete -n edge edgedevice edge-1"
      ]
    ) yield* say(`  ${line}`)
    yield* say(`\nCtrl-C ends everything, pods too, and leaves ${left} behind.`)
  })

const table = (kubeconfig: string) =>
  Effect.sync(() => {
    const shown = spawnSync("kubectl", ["get", "nodes,edgedevices,pods", "-A", "-o", "wide"], {
      encoding: "utf8",
      env: { ...process.env, KUBECONFIG: kubeconfig }
    })
    return shown.status === 0 ? shown.stdout.trimEnd() : undefined
  })

/** What a pod that does not listen is given to end, and some more. */
const lastGrace = "40 seconds"

const demo = Effect.fnUntraced(function*(options: {
  readonly check: boolean
  readonly keep: boolean
  readonly runtime: "auto" | "docker" | "process"
}) {
  yield* heading(`aranya ${version}: a Kubernetes, its operator and one edge device`)
  const runtime = yield* chooseRuntime(options.runtime)
  const system = yield* startSystem(runtime, options)
  if (options.keep) yield* say(`  everything lies in ${system.path}`)

  const tour = Effect.gen(function*() {
    const api = yield* KubeApi
    yield* step(
      "the device's Node is Ready",
      until(
        api.get(Nodes, { name: "edge-1" }),
        ({ status }) =>
          status?.conditions?.some(({ status: value, type }) => type === "Ready" && value === "True") === true
            ? undefined
            : "the Node is not Ready yet"
      )
    )
    yield* step(
      "a Deployment runs on it",
      Effect.gen(function*() {
        yield* api.create(ConfigMaps, settings)
        yield* api.create(Deployments, workload(runtime.image))
        return yield* until(
          hello,
          (pods) =>
            pods.some(ready)
              ? undefined
              : `no pod is Ready: ${JSON.stringify(pods.map(({ status }) => status?.containerStatuses))}`
        )
      })
    )
    const pod = (yield* hello)[0]?.metadata.name ?? ""
    const logs = yield* step(
      "its log comes through the API server",
      until(
        readLogs(system.kubeconfig, "edge", pod),
        (text) => text.includes("settings say: good morning") ? undefined : `the log reads: ${text}`,
        30
      )
    )
    yield* say(`\n    ${logs.trimEnd().split("\n").slice(0, 3).join("\n    ")}`)
  }).pipe(Effect.provideContext(system.api))

  const absent = (error: KubeApiError) => error.reason === "NotFound" ? Effect.undefined : Effect.fail(error)
  /** Nothing where it has gone already. */
  const removeDevice = Effect.fnUntraced(function*(limit: Duration.Input) {
    const api = yield* KubeApi
    const name = { namespace: "edge", name: "edge-1" }
    if ((yield* api.get(EdgeDevices, name).pipe(Effect.catch(absent))) === undefined) return
    yield* step(
      "the EdgeDevice goes, and its Node with it",
      Effect.gen(function*() {
        yield* api.delete(EdgeDevices, name).pipe(Effect.catch(absent))
        yield* until(
          api.get(Nodes, { name: "edge-1" }).pipe(Effect.catch(absent)),
          (node) => node === undefined ? undefined : "the Node is still there"
        )
      }).pipe(Effect.timeout(limit))
    )
  }, Effect.provideContext(system.api))

  const leave = Effect.gen(function*() {
    const api = yield* KubeApi
    yield* step(
      "the Deployment goes, and its pod ends in order",
      Effect.gen(function*() {
        yield* api.delete(Deployments, { namespace: "edge", name: "hello" })
        yield* until(hello, (pods) => pods.length === 0 ? undefined : "the pod is still there")
      })
    )
    yield* removeDevice("90 seconds")
  }).pipe(Effect.provideContext(system.api))

  const ended = Effect.raceAllFirst(system.children.map(({ ended }) => ended))
  // An agent that ends leaves its pods running for its next life; the demo's has none.
  yield* Effect.addFinalizer(() =>
    removeDevice(lastGrace).pipe(
      Effect.raceFirst(ended),
      Effect.catch((error) => complain(`pods may have been left running: ${error.message}`))
    )
  )
  if (options.check) {
    yield* Effect.raceFirst(Effect.andThen(tour, leave), ended)
    return yield* say("\neverything as expected")
  }
  yield* Effect.raceFirst(tour, ended)
  const shown = yield* table(system.kubeconfig)
  if (shown !== undefined) yield* say(`\n${shown}`)
  yield* kubectlTour(system.kubeconfig, runtime.name === "docker" ? "only images" : "only pods' empty mount points")
  return yield* ended
}, Effect.scoped)

const command = Command.make("aranya-demo", {
  check: Flag.Boolean("check").pipe(
    Flag.withDescription("Take the tour by itself and end; exit code 1 at the first deviation"),
    Flag.withDefault(false)
  ),
  keep: Flag.Boolean("keep").pipe(
    Flag.withDescription("Leave kubeconfig, configurations and logs behind for a look"),
    Flag.withDefault(false)
  ),
  runtime: Flag.Literals("runtime", ["auto", "docker", "process"]).pipe(
    Flag.withDescription("Where pods run: docker when its socket answers, else plain processes"),
    Flag.withDefault("auto")
  )
}, demo).pipe(
  Command.withDescription("The whole system on this machine, on an embedded control plane, ready for kubectl"),
  Command.withExamples([
    { command: "npm start", description: "Start it, try kubectl, end it with Ctrl-C" },
    { command: "npm start -- --check", description: "Check that everything works here" }
  ])
)

// A terminal that is closed takes nobody with it but the demo, which ends its children in order.
process.on("SIGHUP", () => process.emit("SIGTERM", "SIGTERM"))

runProgram(Command.run(command, { version }))

/** A pod in docker beside the same containers made by hand, in turns; and ten pods after a power cut with the cloud away. */
import { Effect, Option, Schema } from "effect"
import { startDocker, whyNoDocker } from "../../e2e/dockerd.ts"
import type { Engine } from "../../e2e/engine.ts"
import { prepareAgent } from "../agentProcess.ts"
import { condition, paths } from "../Cluster.ts"
import { type Measured, median, type Scene } from "../Figure.ts"
import { relayTo } from "../relay.ts"
import { pod, type Programs, say, startSystem } from "../System.ts"

const device = "edge-1"
const image = "busybox:1.36"
const command = ["sh", "-c", "trap 'exit 0' TERM; while true; do sleep 0.2; done"]

const Listed = Schema.Array(Schema.Struct({ Id: Schema.String, Labels: Schema.Record(Schema.String, Schema.String) }))
const Created = Schema.Struct({ Id: Schema.String })
const Inspected = Schema.Struct({
  Config: Schema.Record(Schema.String, Schema.Unknown),
  HostConfig: Schema.Record(Schema.String, Schema.Unknown)
})

/** Containers of a pod, its sandbox first. */
const containersOf = Effect.fnUntraced(function*(engine: Engine, podName: string) {
  const listed = yield* engine.json("GET", "/containers/json", {
    query: { all: "1", filters: JSON.stringify({ label: [`io.kubernetes.pod.name=${podName}`] }) }
  })
  const containers = yield* Schema.decodeUnknownEffect(Listed)(listed)
  return containers.toSorted((a, b) =>
    Number(b.Labels["io.kubernetes.container.name"] === "POD") -
    Number(a.Labels["io.kubernetes.container.name"] === "POD")
  )
})

/** Two containers as the agent made them for a pod, made again by the same calls, one right after the other. */
const byHand = Effect.fnUntraced(function*(engine: Engine, podName: string) {
  const [pause, main] = yield* Effect.forEach(
    yield* containersOf(engine, podName),
    ({ Id }) => Effect.flatMap(engine.json("GET", `/containers/${Id}/json`), Schema.decodeUnknownEffect(Inspected))
  )
  if (pause === undefined || main === undefined) return yield* Effect.die(new Error("a pod has two containers"))

  const make = Effect.fnUntraced(function*(like: typeof Inspected.Type, hostConfig: object) {
    const { Id } = yield* Schema.decodeUnknownEffect(Created)(
      yield* engine.json("POST", "/containers/create", {
        // Not the agent's: it must neither see nor remove them.
        body: { ...like.Config, Hostname: "", Labels: {}, HostConfig: { ...like.HostConfig, ...hostConfig } }
      })
    )
    yield* engine.call("POST", `/containers/${Id}/start`)
    yield* engine.json("GET", `/containers/${Id}/json`)
    return Id
  })
  return Effect.gen(function*() {
    const began = performance.now()
    const sandbox = yield* make(pause, {})
    const inSandbox = `container:${sandbox}`
    const container = yield* make(main, { NetworkMode: inSandbox, IpcMode: inSandbox })
    const millis = performance.now() - began
    for (const id of [container, sandbox]) {
      yield* engine.call("DELETE", `/containers/${id}`, { query: { force: "1", v: "1" } })
    }
    return millis
  })
})

export const dockerScene = (programs: Programs, folder: string): Scene =>
  Effect.fnUntraced(function*(options) {
    const noDocker = yield* whyNoDocker
    if (Option.isSome(noDocker)) {
      return ["docker-pod", "offline-start-docker"].map((name) => ({ name, reason: noDocker.value }))
    }
    const measured: Array<Measured> = []
    const docker = yield* startDocker({ reuse: false })
    const system = yield* startSystem(programs, folder)
    const { cluster } = system
    const proxy = yield* relayTo(system.grpcPort)
    const agent = yield* prepareAgent(programs, system, `${folder}/${device}`, {
      device,
      port: proxy.port,
      runtime: { docker: { socket: docker.socketPath, pauseImage: "aranya.test/pause:1" } }
    })
    const nodes = yield* cluster.observe(paths.nodes)
    const pods = yield* cluster.observe(paths.pods)
    const arhat = yield* agent.start
    yield* nodes.until("the device connected", (all) => condition(all.get(device), "DeviceConnected") === "True")

    const create = (name: string) => cluster.call("POST", paths.pods, pod(name, device, { image, command }))
    const running = (name: string) => pods.until(`${name} running`, (all) => all.get(name)?.status?.phase === "Running")
    const remove = Effect.fnUntraced(function*(name: string) {
      yield* cluster.call("DELETE", `${paths.pods}/${name}`)
      yield* pods.until(`${name} gone`, (all) => !all.has(name))
    })

    if (options.wanted("docker-pod")) {
      yield* create("model")
      yield* running("model")
      const engineAlone = yield* byHand(docker.engine, "model")
      const turns = options.quick ? 10 : 30
      yield* say(`docker: ${turns} pods and ${turns} times the same by hand, in turns`)
      const ours: Array<number> = []
      const engines: Array<number> = []
      // The first of each warms everything up.
      for (let turn = 0; turn <= turns; turn++) {
        const name = `turn-${turn}`
        const began = performance.now()
        yield* create(name)
        ours.push((yield* running(name)) - began)
        yield* remove(name)
        engines.push(yield* engineAlone)
      }
      const [pods, engine] = [median(ours.slice(1)), median(engines.slice(1))]
      measured.push({
        name: "docker-pod",
        value: pods - engine,
        note: `medians of ${turns}: pod ${pods.toFixed(0)} ms from POST to Running in a watch, engine ${
          engine.toFixed(0)
        } ms for create, start, inspect of pause and container; docker ${docker.version}`
      })
      yield* remove("model")
    }

    if (options.wanted("offline-start-docker")) {
      yield* say("docker: ten pods after a power cut, with the cloud away")
      const names = Array.from({ length: 10 }, (_, n) => `app-${n + 1}`)
      for (const name of names) yield* create(name)
      yield* Effect.forEach(names, running, { discard: true })
      const filters = { all: "1", filters: JSON.stringify({ label: ["io.kubernetes.container.name=main"] }) }
      yield* arhat.stop
      yield* proxy.open(false)
      const all = yield* docker.engine.json("GET", "/containers/json", { query: { all: "1" } }).pipe(
        Effect.flatMap(Schema.decodeUnknownEffect(Listed))
      )
      yield* Effect.forEach(all, ({ Id }) => docker.engine.call("POST", `/containers/${Id}/kill`), {
        concurrency: 4,
        discard: true
      })
      const began = performance.now()
      yield* agent.start
      const runningNow = docker.engine.json("GET", "/containers/json", {
        query: { filters: filters.filters }
      }).pipe(Effect.flatMap(Schema.decodeUnknownEffect(Listed)), Effect.map((listed) => listed.length))
      while ((yield* runningNow) < names.length) {
        if (performance.now() - began > 120_000) return yield* Effect.die(new Error("the pods do not come back"))
        yield* Effect.sleep("20 millis")
      }
      measured.push({
        name: "offline-start-docker",
        value: (performance.now() - began) / 1000,
        note:
          `once: containers killed while the agent was down, from the start of its process; docker ${docker.version}`
      })
      yield* proxy.open(true)
    }
    return measured
  })

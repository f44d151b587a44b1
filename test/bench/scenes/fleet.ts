/** Many devices on one operator: how fast they come, what each costs, how fast leases are renewed after a kill, how fast they go. */
import { Effect, Record } from "effect"
import { condition, type KubeObject, paths } from "../Cluster.ts"
import type { Measured, Scene } from "../Figure.ts"
import { startFleet } from "../Fleet.ts"
import { memoryOf, processorTimeOf, usedHeap } from "../memory.ts"
import { edgeDevice, type Programs, say, startSystem } from "../System.ts"

const requestsAtOnce = 16
/** The first devices warm the operator up, so that code and caches are not counted as theirs. */
const warmUp = 20

const readyAndConnected = (node: KubeObject | undefined) =>
  condition(node, "Ready") === "True" && condition(node, "DeviceConnected") === "True"

const allReady = (names: ReadonlyArray<string>) => (nodes: ReadonlyMap<string, KubeObject>) =>
  names.every((name) => readyAndConnected(nodes.get(name)))

const named = (prefix: string, count: number) => Array.from({ length: count }, (_, n) => `${prefix}-${n + 1}`)

export const fleetScene = (programs: Programs, folder: string): Scene =>
  Effect.fnUntraced(function*(options) {
    const measured: Array<Measured> = []
    const { cluster, operator, operatorLog, startOperator, ...system } = yield* startSystem(programs, folder, {
      nodeArgs: ["--inspect=127.0.0.1:0"]
    })
    const { ask, pid } = yield* startFleet
    const nodes = yield* cluster.observe(paths.nodes)
    const leases = yield* cluster.observe(paths.leases)

    const prepare = Effect.fnUntraced(function*(names: ReadonlyArray<string>) {
      const publicKeys = yield* ask({
        op: "prepare",
        operatorKey: system.operatorKey,
        caData: system.caData,
        devices: names.map((name) => ({ name, port: system.grpcPort }))
      })
      return names.map((name, n) => edgeDevice(name, publicKeys[n] ?? ""))
    })
    /** Each agent starts as soon as its EdgeDevice is there. */
    const onboard = Effect.fnUntraced(function*(devices: ReadonlyArray<ReturnType<typeof edgeDevice>>) {
      const processes = { operator: operator.pid, "control plane": system.plane.pid, "all agents": pid }
      const usedBefore = yield* Effect.all(Record.map(processes, processorTimeOf))
      const began = performance.now()
      yield* Effect.forEach(devices, (device) =>
        Effect.andThen(
          cluster.call("POST", paths.edgeDevices, device),
          ask({ op: "start", names: [device.metadata.name] })
        ), { concurrency: requestsAtOnce, discard: true })
      const created = performance.now()
      const ready = yield* nodes.until(
        `${devices.length} devices Ready and connected`,
        allReady(devices.map(({ metadata }) => metadata.name)),
        300
      )
      const usedAfter = yield* Effect.all(Record.map(processes, processorTimeOf))
      const processor = Object.entries(usedAfter).map(([name, used]) =>
        `${name} ${((used - usedBefore[name as keyof typeof usedBefore]) / devices.length).toFixed(0)} ms`
      )
      return { seconds: (ready - began) / 1000, createdSeconds: (created - began) / 1000, processor }
    })
    const settle = Effect.sleep(options.quick ? "5 seconds" : "20 seconds")
    const footprint = Effect.gen(function*() {
      const heap = yield* usedHeap(operatorLog)
      return { heap, ...(yield* memoryOf(operator.pid)) }
    })

    yield* say(`fleet: ${warmUp} devices to warm up`)
    yield* onboard(yield* prepare(named("warm", warmUp)))
    yield* settle
    const before = yield* footprint

    const names = named("edge", options.devices)
    const devices = yield* prepare(names)
    yield* say(`fleet: ${options.devices} devices come`)
    const onboarding = yield* onboard(devices)
    measured.push({
      name: "onboarding-rate",
      value: options.devices / onboarding.seconds,
      note: `${options.devices} devices in ${onboarding.seconds.toFixed(2)} s, of which creating the EdgeDevices took ${
        onboarding.createdSeconds.toFixed(2)
      } s; processor time for each device: ${onboarding.processor.join(", ")}`
    })

    yield* settle
    const after = yield* footprint
    const each = (bytes: number) => bytes / options.devices / 1000
    measured.push({
      name: "operator-memory-grpc",
      value: each(after.resident - before.resident),
      note: `growth of resident memory after a collection, over ${options.devices} devices; of it ${
        each(after.heap - before.heap).toFixed(0)
      } KB heap. The operator has ${(after.resident / 1e6).toFixed(0)} MB in all`
    })

    if (options.wanted("operator-restart")) {
      yield* say("fleet: the operator is killed and started")
      const renewals = () =>
        new Map([...leases.objects].map(([name, { spec }]) => [name, String(spec?.["renewTime"] ?? "")]))
      const killed = renewals()
      process.kill(operator.pid, "SIGKILL")
      const began = performance.now()
      yield* startOperator
      const renewed = yield* leases.until("all leases renewed", () => {
        const now = renewals()
        return names.every((name) => (now.get(name) ?? "") > (killed.get(name) ?? ""))
      })
      measured.push({
        name: "operator-restart",
        value: (renewed - began) / 1000,
        note: `with ${options.devices} devices, from SIGKILL, the start of the process included`
      })
      yield* settle
    }

    yield* say(`fleet: ${options.devices} devices go`)
    const began = performance.now()
    yield* Effect.forEach(names, (name) => cluster.call("DELETE", `${paths.edgeDevices}/${name}`), {
      concurrency: requestsAtOnce,
      discard: true
    })
    const gone = yield* nodes.until("no Node left", (objects) => names.every((name) => !objects.has(name)), 300)
    const seconds = (gone - began) / 1000
    measured.push({
      name: "deletion-rate",
      value: options.devices / seconds,
      note: `${options.devices} connected devices without pods in ${seconds.toFixed(2)} s, until the last Node is gone`
    })
    return measured
  })

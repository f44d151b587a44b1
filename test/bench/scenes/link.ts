/** What a device costs its line: idle, a pod's life, a status, a reconnect; and how it starts with no line at all. */
import { Effect } from "effect"
import { randomBytes } from "node:crypto"
import { condition, paths } from "../Cluster.ts"
import { type CountingProxy, countingProxy, less, onTheWire, type Traffic } from "../CountingProxy.ts"
import { type Measured, median, type Scene } from "../Figure.ts"
import { startFleet } from "../Fleet.ts"
import { edgeDevice, pod, type Programs, say, startSystem } from "../System.ts"

const image = "bench.test/app:1"
const command = ["run"]
const idleDevices = 4
const defaultBeatSeconds = 90
/** Rounds of what is measured more than once. */
const rounds = 3

interface Counted {
  readonly payload: number
  readonly traffic: Traffic
}

export const linkScene = (programs: Programs, folder: string): Scene =>
  Effect.fnUntraced(function*(options) {
    const measured: Array<Measured> = []
    const beatSeconds = options.quick ? 10 : defaultBeatSeconds
    const { cluster, ...system } = yield* startSystem(programs, folder, {
      ...(options.quick ? { connectivity: { beatInterval: `${beatSeconds}s` } } : {})
    })
    const { ask } = yield* startFleet
    const nodes = yield* cluster.observe(paths.nodes)
    const pods = yield* cluster.observe(paths.pods)

    /** Name, and how many pods each has from the start. */
    const idle = Array.from({ length: idleDevices }, (_, n) => `idle-${n + 1}`)
    // One for each round: a container that was restarted lately waits before the next time.
    const cold = Array.from({ length: rounds }, (_, n) => `cold-${n + 1}`)
    const plan = new Map([
      ...idle.map((name) => [name, 5] as const),
      ...cold.map((name) => [name, options.wanted("offline-start-memory") ? 10 : 0] as const),
      ["busy", options.wanted("reconnect-bytes") ? 20 : 0],
      ["plain", 0]
    ])
    const proxies = new Map<string, CountingProxy>()
    for (const name of plan.keys()) proxies.set(name, yield* countingProxy(system.grpcPort))
    const proxy = (name: string) => proxies.get(name)!

    const names = [...plan.keys()]
    const publicKeys = yield* ask({
      op: "prepare",
      operatorKey: system.operatorKey,
      caData: system.caData,
      devices: names.map((name) => ({ name, port: proxy(name).port }))
    })
    yield* say(`link: ${names.length} devices with ${[...plan.values()].reduce((a, b) => a + b)} pods`)
    for (const [n, name] of names.entries()) {
      yield* cluster.call("POST", paths.edgeDevices, edgeDevice(name, publicKeys[n] ?? ""))
    }
    yield* ask({ op: "start", names })
    const connected = (name: string) =>
      nodes.until(`${name} connected`, (objects) => condition(objects.get(name), "DeviceConnected") === "True")
    yield* Effect.forEach(names, connected, { discard: true })
    for (const [name, count] of plan) {
      for (let n = 1; n <= count; n++) {
        yield* cluster.call("POST", paths.pods, pod(`${name}-${n}`, name, { image, command }))
      }
    }
    const running = (podName: string) =>
      pods.until(`${podName} running`, (objects) => condition(objects.get(podName), "Ready") === "True")
    yield* pods.until("all pods running", (objects) =>
      objects.size === [...plan.values()].reduce((a, b) => a + b)
      && [...objects.values()].every((each) => condition(each, "Ready") === "True"))

    const counted = Effect.fnUntraced(function*(...of: ReadonlyArray<string>) {
      const payload = yield* ask({ op: "payload", names: of })
      const traffic = yield* Effect.forEach(of, (name) => proxy(name).traffic)
      return {
        payload,
        traffic: traffic.reduce((a, b) => ({
          bytes: a.bytes + b.bytes,
          segments: a.segments + b.segments,
          connections: a.connections + b.connections
        }))
      } satisfies Counted
    })
    const since = (now: Counted, before: Counted) => ({
      payload: now.payload - before.payload,
      traffic: less(now.traffic, before.traffic)
    })
    /** Waits until nothing has passed for three seconds. */
    const quiet = Effect.fnUntraced(function*(name: string) {
      let seen = yield* counted(name)
      let same = 0
      while (same < 15) {
        yield* Effect.sleep("200 millis")
        const now = yield* counted(name)
        same = now.traffic.bytes === seen.traffic.bytes ? same + 1 : 0
        seen = now
      }
      return seen
    })
    const costOf = <A, E, R>(name: string, doing: Effect.Effect<A, E, R>) =>
      Effect.gen(function*() {
        const before = yield* quiet(name)
        yield* doing
        return since(yield* quiet(name), before)
      })
    const repeated = <A, E, R>(each: (round: number) => Effect.Effect<A, E, R>) =>
      Effect.forEach(Array.from({ length: rounds }, (_, n) => n + 1), each)

    if (options.wanted("pod-bytes")) {
      yield* say("link: pods come and go")
      const costs = yield* repeated(Effect.fnUntraced(function*(round) {
        const maps = [1, 2].map((n) => `settings-${round}-${n}`)
        for (const name of maps) {
          // Nothing a compressor could shrink.
          yield* cluster.call("POST", paths.configMaps, {
            apiVersion: "v1",
            kind: "ConfigMap",
            metadata: { namespace: "edge", name },
            data: { data: randomBytes(768).toString("base64") }
          })
        }
        const name = `visitor-${round}`
        return yield* costOf(
          "plain",
          Effect.gen(function*() {
            yield* cluster.call("POST", paths.pods, pod(name, "plain", { image, command, configMaps: maps }))
            yield* running(name)
            yield* cluster.call("DELETE", `${paths.pods}/${name}`)
            yield* pods.until(`${name} gone`, (objects) => !objects.has(name))
          })
        )
      }))
      const payload = median(costs.map((cost) => cost.payload))
      const wire = median(costs.map((cost) => onTheWire(cost.traffic)))
      measured.push({
        name: "pod-bytes",
        value: wire - 2048,
        note: `median of ${rounds}: payload ${payload} B, on the wire ${wire} B, both with the 2048 B of data`
      })
    }

    if (options.wanted("status-bytes")) {
      yield* say("link: statuses change")
      const costs = yield* repeated(Effect.fnUntraced(function*(round) {
        const name = `two-${round}`
        yield* cluster.call(
          "POST",
          paths.pods,
          pod(name, "plain", { image, command, containers: ["one", "other"], restartPolicy: "Never" })
        )
        yield* running(name)
        return yield* costOf(
          "plain",
          Effect.gen(function*() {
            yield* ask({ op: "crash", name: "plain", pod: name, container: "one" })
            yield* pods.until(`${name} not ready`, (objects) => condition(objects.get(name), "Ready") === "False")
          })
        )
      }))
      measured.push({
        name: "status-bytes",
        value: median(costs.map((cost) => cost.payload)),
        note: `median of ${rounds}: one of two containers ends, the report and its confirmation; on the wire ${
          median(costs.map((cost) => onTheWire(cost.traffic)))
        } B`
      })
    }

    if (options.wanted("reconnect-bytes")) {
      yield* say("link: devices reconnect")
      const reopened = (doing: Effect.Effect<unknown, { readonly message: string }>) =>
        costOf(
          "busy",
          Effect.gen(function*() {
            const { connections } = yield* proxy("busy").traffic
            yield* doing
            while ((yield* proxy("busy").traffic).connections === connections) yield* Effect.sleep("50 millis")
            yield* Effect.sleep("1 second")
          })
        )
      const resumed = yield* repeated(() => reopened(proxy("busy").cut))
      const restarted = yield* repeated(() =>
        reopened(Effect.andThen(ask({ op: "stop", names: ["busy"] }), ask({ op: "start", names: ["busy"] })))
      )
      const wire = (costs: ReadonlyArray<Counted>) => median(costs.map((cost) => onTheWire(cost.traffic)))
      const inAll = (costs: ReadonlyArray<Counted>) =>
        `${wire(costs)} B (frames ${median(costs.map((cost) => cost.payload))} B, over TCP ${
          median(costs.map((cost) => cost.traffic.bytes))
        } B in ${median(costs.map((cost) => cost.traffic.segments))} packets)`
      measured.push({
        name: "reconnect-bytes",
        value: Math.max(wire(resumed), wire(restarted)),
        note: `median of ${rounds}, TLS and TCP handshakes included: session resumed ${
          inAll(resumed)
        }, agent started anew ${inAll(restarted)}`
      })
    }

    if (options.wanted("offline-start-memory")) {
      yield* say("link: the agent starts with the cloud away")
      const times = yield* Effect.forEach(cold, (name) =>
        Effect.gen(function*() {
          yield* proxy(name).open(false)
          yield* ask({ op: "powerCut", name })
          return yield* ask({ op: "startUntilRunning", name, containers: 10 })
        }))
      measured.push({
        name: "offline-start-memory",
        value: median(times) / 1000,
        note:
          `median of ${rounds}: after a power cut, from the agent's start in a running Node.js to the tenth container`
      })
    }

    if (options.wanted("idle-payload-grpc") || options.wanted("idle-wire-grpc")) {
      const windowSeconds = options.quick ? 6 * beatSeconds : 7 * beatSeconds
      yield* Effect.forEach(idle, quiet, { discard: true })
      yield* say(`link: ${idleDevices} devices idle for ${windowSeconds} s`)
      const before = yield* counted(...idle)
      yield* Effect.sleep(`${windowSeconds} seconds`)
      const cost = since(yield* counted(...idle), before)
      const scale = beatSeconds / defaultBeatSeconds / windowSeconds / idleDevices
      const method = options.quick
        ? `counted at a beat of ${beatSeconds} s for ${windowSeconds} s and scaled to the default of ${defaultBeatSeconds} s`
        : `counted for ${windowSeconds} s at the default timers`
      const count =
        `${idleDevices} devices with 5 pods each, ${method}; no metrics scraper, as there are no metrics yet`
      measured.push(
        { name: "idle-payload-grpc", value: cost.payload * scale, note: `${count}: ${cost.payload} B in frames` },
        {
          name: "idle-wire-grpc",
          value: onTheWire(cost.traffic) * scale,
          note:
            `${count}: ${cost.traffic.bytes} B over TCP in ${cost.traffic.segments} packets; added: 52 B of headers each, and a bare acknowledgement for each`
        }
      )
    }
    return measured
  })

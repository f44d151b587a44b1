/** What a device costs its line, by each way to the operator: packets are counted on a line of the device's own, from the IP header on. */
import { Effect } from "effect"
import { randomBytes } from "node:crypto"
import { makeAuthority } from "../../adapters/grpc/certificates.ts"
import { hasMosquitto, mosquitto } from "../../adapters/mqtt/mosquitto.ts"
import { condition, paths } from "../Cluster.ts"
import { type Measured, median, type NotMeasured, type Scene } from "../Figure.ts"
import { startFleetAt } from "../Fleet.ts"
import { packetLine } from "../PacketLine.ts"
import { edgeDevice, pod, type Programs, say, startSystem } from "../System.ts"

const image = "bench.test/app:1"
const command = ["run"]
const defaultBeatSeconds = 90
const rounds = 3
const idlePods = 5
/** `metrics.minInterval`, unless told. */
const defaultSampleSeconds = 300
const samples = 3
const allPods = 20

const methods = ["grpc", "mqtt", "mqtt-plain"] as const
type Method = typeof methods[number]

/** The figures that are named without their method are those of gRPC. */
const figure = (what: "pod" | "status" | "reconnect", method: Method) =>
  method === "grpc" ? `${what}-bytes` : `${what}-bytes-${method}`

const figuresOf = (method: Method): ReadonlyArray<string> => [
  `idle-payload-${method}`,
  `idle-wire-${method}`,
  `scraped-payload-${method}`,
  `scraped-wire-${method}`,
  figure("pod", method),
  figure("status", method),
  figure("reconnect", method)
]

export const wireScene = (programs: Programs, folder: string): Scene =>
  Effect.fnUntraced(function*(options) {
    const beatSeconds = options.quick ? 10 : defaultBeatSeconds
    const sampleSeconds = options.quick ? 20 : defaultSampleSeconds
    const scrapeSeconds = options.quick ? 2 : 15
    const wanted = methods.filter((method) => figuresOf(method).some(options.wanted))
    const chosen = wanted.filter((method) => method === "grpc" || hasMosquitto)
    const missing = wanted.filter((method) => !chosen.includes(method)).flatMap(figuresOf).map((name): NotMeasured => ({
      name,
      reason: "there is no mosquitto here"
    }))
    const { cluster, ...system } = yield* startSystem(programs, folder, {
      listen: "0.0.0.0",
      ...(options.quick
        ? { connectivity: { beatInterval: `${beatSeconds}s` }, metrics: { minInterval: `${sampleSeconds}s` } }
        : {})
    })
    const authority = makeAuthority("the bench's")
    const certificate = authority.issue("localhost")
    const [plainPort = 0, tlsPort = 0] = !hasMosquitto ? [] : (yield* mosquitto({
      files: { "cert.pem": certificate.cert, "key.pem": certificate.key },
      listeners: [
        { address: "0.0.0.0" },
        { address: "0.0.0.0", lines: ["certfile %DIR%/cert.pem", "keyfile %DIR%/key.pem"] }
      ]
    })).ports
    const nodes = yield* cluster.observe(paths.nodes)
    const pods = yield* cluster.observe(paths.pods)

    const scraped = (method: Method) =>
      options.wanted(`scraped-payload-${method}`) || options.wanted(`scraped-wire-${method}`)
    const idle = (method: Method) =>
      options.wanted(`idle-payload-${method}`) || options.wanted(`idle-wire-${method}`) || scraped(method)

    const measure = Effect.fnUntraced(function*(method: Method, number: number, copy: number) {
      const measured: Array<Measured> = []
      const line = yield* packetLine(number)
      const { ask } = yield* startFleetAt(line.enter)
      const name = copy === 1 ? `by-${method}` : `by-${method}-${copy}`
      const topicNamespace = `bench/${name}`
      const setting = method === "grpc"
        ? { name, host: line.host, port: system.grpcPort }
        : {
          name,
          host: line.host,
          port: method === "mqtt" ? tlsPort : plainPort,
          mqtt: { topicNamespace, ...(method === "mqtt" ? { ca: new TextDecoder().decode(authority.cert) } : {}) }
        }
      const [publicKey = ""] = yield* ask({
        op: "prepare",
        operatorKey: system.operatorKey,
        caData: system.caData,
        devices: [setting]
      })
      const connectivity = method === "grpc"
        ? { method }
        // Its own way to the broker is no cost of the device's.
        : { method: "mqtt", mqtt: { broker: `127.0.0.1:${plainPort}`, topicNamespace } }
      yield* cluster.call("POST", paths.edgeDevices, edgeDevice(name, publicKey, connectivity))
      yield* ask({ op: "start", names: [name] })
      yield* nodes.until(
        `${name} connected`,
        (objects) => condition(objects.get(name), "DeviceConnected") === "True"
      )
      const running = (podName: string) =>
        pods.until(`${podName} running`, (objects) => condition(objects.get(podName), "Ready") === "True")
      const run = Effect.fnUntraced(function*(from: number, to: number) {
        for (let n = from; n <= to; n++) {
          yield* cluster.call("POST", paths.pods, pod(`${name}-${n}`, name, { image, command }))
        }
        for (let n = from; n <= to; n++) yield* running(`${name}-${n}`)
      })
      const counted = Effect.gen(function*() {
        return { payload: yield* ask({ op: "payload", names: [name] }), ...yield* line.packets }
      })
      type Counted = Effect.Success<typeof counted>
      const less = (now: Counted, before: Counted): Counted => ({
        payload: now.payload - before.payload,
        bytes: now.bytes - before.bytes,
        packets: now.packets - before.packets
      })
      /** Waits until nothing has passed for three seconds. */
      const quiet = Effect.gen(function*() {
        let seen = yield* counted
        let same = 0
        while (same < 15) {
          yield* Effect.sleep("200 millis")
          const now = yield* counted
          same = now.packets === seen.packets ? same + 1 : 0
          seen = now
        }
        return seen
      })
      const costOf = <A, E, R>(doing: Effect.Effect<A, E, R>) =>
        Effect.gen(function*() {
          const before = yield* quiet
          yield* doing
          return less(yield* quiet, before)
        })
      const repeated = <A, E, R>(each: (round: number) => Effect.Effect<A, E, R>) =>
        Effect.forEach(Array.from({ length: rounds }, (_, n) => n + 1), each)
      const told = (costs: ReadonlyArray<Counted>) =>
        `frames ${median(costs.map(({ payload }) => payload))} B, from the IP header on ${
          median(costs.map(({ bytes }) => bytes))
        } B in ${median(costs.map(({ packets }) => packets))} packets`

      yield* run(1, idlePods)
      if (idle(method)) {
        const windowSeconds = options.quick ? 6 * beatSeconds : 7 * beatSeconds
        yield* quiet
        yield* say(`wire: ${name} idle for ${windowSeconds} s`)
        const before = yield* counted
        yield* Effect.sleep(`${windowSeconds} seconds`)
        const cost = less(yield* counted, before)
        const scale = beatSeconds / defaultBeatSeconds / windowSeconds
        const how = options.quick
          ? `counted at a beat of ${beatSeconds} s for ${windowSeconds} s and scaled to the default of ${defaultBeatSeconds} s`
          : `counted for ${windowSeconds} s at the default timers`
        const note = `one device with ${idlePods} pods, ${how}: ${told([cost])}; no metrics scraper`
        measured.push(
          { name: `idle-payload-${method}`, value: cost.payload * scale, note },
          { name: `idle-wire-${method}`, value: cost.bytes * scale, note }
        )
        if (scraped(method)) {
          const scrape = Effect.map(
            cluster.call("GET", `/api/v1/nodes/${name}/proxy/metrics/resource`),
            (page) => /^node_cpu_usage_seconds_total \S+ (\d+)$/m.exec(`${page}`)?.[1] ?? ""
          )
          const taken = new Set([yield* scrape])
          yield* quiet
          yield* say(`wire: ${name} is scraped every ${scrapeSeconds} s`)
          const start = yield* counted
          let seconds = 0
          let scrapes = 0
          while (taken.size <= samples) {
            yield* Effect.sleep(`${scrapeSeconds} seconds`)
            seconds += scrapeSeconds
            scrapes += 1
            taken.add(yield* scrape)
          }
          const whole = less(yield* quiet, start)
          // Beats go on meanwhile; what is left is what the samples cost.
          const each = (of: "payload" | "bytes") =>
            Math.max(0, (whole[of] - cost[of] * seconds / windowSeconds) / samples)
          const perDay = (bytes: number) => `${Math.round(bytes * 86_400 / defaultSampleSeconds / 1000)} KB`
          const scraper =
            `${scrapes} scrapes, one every ${scrapeSeconds} s, made ${samples} samples: ${
              Math.round(each("payload"))
            } B ` +
            `of frames each, ${Math.round(each("bytes"))} B from the IP header on; at the default of a sample in ` +
            `${defaultSampleSeconds} s they are ${perDay(each("payload"))} and ${perDay(each("bytes"))} in a day`
          measured.push(
            {
              name: `scraped-payload-${method}`,
              value: cost.payload * scale + each("payload") / defaultSampleSeconds,
              note: scraper
            },
            {
              name: `scraped-wire-${method}`,
              value: cost.bytes * scale + each("bytes") / defaultSampleSeconds,
              note: scraper
            }
          )
        }
      }

      if (copy > 1) return measured
      if (options.wanted(figure("pod", method))) {
        yield* say(`wire: pods come and go at ${name}`)
        const costs = yield* repeated(Effect.fnUntraced(function*(round) {
          const maps = [1, 2].map((n) => `settings-${name}-${round}-${n}`)
          for (const each of maps) {
            // Nothing a compressor could shrink.
            yield* cluster.call("POST", paths.configMaps, {
              apiVersion: "v1",
              kind: "ConfigMap",
              metadata: { namespace: "edge", name: each },
              data: { data: randomBytes(768).toString("base64") }
            })
          }
          const visitor = `visitor-${name}-${round}`
          return yield* costOf(Effect.gen(function*() {
            yield* cluster.call("POST", paths.pods, pod(visitor, name, { image, command, configMaps: maps }))
            yield* running(visitor)
            yield* cluster.call("DELETE", `${paths.pods}/${visitor}`)
            yield* pods.until(`${visitor} gone`, (objects) => !objects.has(visitor))
          }))
        }))
        measured.push({
          name: figure("pod", method),
          value: median(costs.map(({ bytes }) => bytes)) - 2048,
          note: `median of ${rounds}: ${told(costs)}, both with the 2048 B of data`
        })
      }

      if (options.wanted(figure("status", method))) {
        yield* say(`wire: statuses change at ${name}`)
        const costs = yield* repeated(Effect.fnUntraced(function*(round) {
          const two = `two-${name}-${round}`
          yield* cluster.call(
            "POST",
            paths.pods,
            pod(two, name, { image, command, containers: ["one", "other"], restartPolicy: "Never" })
          )
          yield* running(two)
          return yield* costOf(Effect.gen(function*() {
            yield* ask({ op: "crash", name, pod: two, container: "one" })
            yield* pods.until(`${two} not ready`, (objects) => condition(objects.get(two), "Ready") === "False")
          }))
        }))
        measured.push({
          name: figure("status", method),
          value: median(costs.map(({ payload }) => payload)),
          note: `median of ${rounds}: one of two containers ends, the report and its confirmation: ${told(costs)}`
        })
      }

      if (options.wanted(figure("reconnect", method))) {
        yield* run(idlePods + 1, allPods)
        yield* say(`wire: ${name} reconnects`)
        const costs = yield* repeated(() =>
          costOf(Effect.gen(function*() {
            yield* ask({ op: "stop", names: [name] })
            yield* ask({ op: "start", names: [name] })
            yield* Effect.sleep("2 seconds")
          }))
        )
        measured.push({
          name: figure("reconnect", method),
          value: median(costs.map(({ bytes }) => bytes)),
          note:
            `median of ${rounds}: the agent is stopped and started anew, the end of the former connection included: ${
              told(costs)
            }`
        })
      }
      return measured
    })
    // Idle lines do not disturb one another: the three of which the median is told are idle side by side.
    const lines = chosen.flatMap((method) =>
      Array.from({ length: idle(method) && !options.quick ? rounds : 1 }, (_, n) => ({ method, copy: n + 1 }))
    )
    const all = (yield* Effect.forEach(lines, ({ copy, method }, n) => measure(method, n + 1, copy), {
      concurrency: "unbounded"
    })).flat()
    const inTheMiddle = all.map((one) => {
      const values = all.filter(({ name }) => name === one.name).map(({ value }) => value)
      if (values.length === 1) return one
      const each = values.map((value) => value.toFixed(2)).join(", ")
      return { ...one, value: median(values), note: `median of ${values.length} devices (${each}): ${one.note}` }
    })
    return [...new Map(inTheMiddle.map((one) => [one.name, one])).values(), ...missing]
  })

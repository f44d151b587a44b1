/** What people ask of a pod over the link (exec, logs, cp, port-forward), in turns with the same by the Engine API alone. */
import { Effect, Fiber, Option, Schema, type Scope } from "effect"
import type { IncomingMessage } from "node:http"
import { connect } from "node:net"
import { hasMosquitto, mosquitto } from "../../adapters/mqtt/mosquitto.ts"
import { type Docker, startDocker, whyNoDocker } from "../../e2e/dockerd.ts"
import { prepareAgent } from "../agentProcess.ts"
import { condition, paths } from "../Cluster.ts"
import { dockerStreams } from "../dockerStreams.ts"
import { type Measured, median, type NotMeasured, type Scene } from "../Figure.ts"
import { kubeletAt, type KubeletClient, StreamBroke, type Talk } from "../kubeletClient.ts"
import { megabytes, processorTimeOf, usedHeap } from "../memory.ts"
import { pod, type Programs, say, startSystem } from "../System.ts"

const image = "busybox:1.36"
const inspected = ["--inspect=127.0.0.1:0"]
const webPort = 8080
const stalledReaders = 20

/** Serves bytes that do not compress, and lies there to be exec'd into. */
const web = (blobBytes: number) => [
  "sh",
  "-c",
  `head -c ${blobBytes} /dev/urandom > /tmp/blob; exec busybox httpd -f -p ${webPort} -h /tmp`
]
const line = `time=%d level=info msg=served path=/api/v1/items/%d status=200 duration=%dms trace=%x%x\\n`
const lines = (count: number) =>
  `busybox awk 'BEGIN { for (n = 0; n < ${count}; n++) printf "${line}", 1790000000 + n / 50, (n * 7919) % 100003, ` +
  "(n * 31) % 997, n * 2654435, n * 40503 }'"
/** About 11 MB of log for each 100,000 lines, then quiet. */
const talker = (
  count: number
) => ["sh", "-c", `${lines(count)}; echo the end; trap 'exit 0' TERM; while true; do sleep 0.2; done`]
/** 20 MB/s of log for as long as it is there. */
const chatter = [
  "sh",
  "-c",
  `${lines(18_000)} > /tmp/lines; while true; do busybox cat /tmp/lines; sleep 0.1; done`
]

const Listed = Schema.Array(Schema.Struct({ Id: Schema.String, Labels: Schema.Record(Schema.String, Schema.String) }))

const containerOf = Effect.fnUntraced(function*(docker: Docker, podName: string, container = "main") {
  const listed = yield* docker.engine.json("GET", "/containers/json", {
    query: { filters: JSON.stringify({ label: [`io.kubernetes.pod.name=${podName}`] }) }
  })
  const containers = yield* Schema.decodeUnknownEffect(Listed)(listed)
  return containers.find(({ Labels }) => Labels["io.kubernetes.container.name"] === container)?.Id ?? ""
})

const Networked = Schema.Struct({ NetworkSettings: Schema.Struct({ IPAddress: Schema.String }) })

/** The pod's address on this machine, which its status does not tell: the cluster could not reach it. */
const addressOf = Effect.fnUntraced(function*(docker: Docker, podName: string) {
  const inspected = yield* docker.engine.json("GET", `/containers/${yield* containerOf(docker, podName, "POD")}/json`)
  return (yield* Schema.decodeUnknownEffect(Networked)(inspected)).NetworkSettings.IPAddress
})

const limited = <A, E, R>(what: string, effect: Effect.Effect<A, E, R>, seconds = 300) =>
  Effect.timeoutOrElse(effect, {
    duration: `${seconds} seconds`,
    orElse: () => Effect.fail(new StreamBroke({ what, detail: `not done after ${seconds} s` }))
  })

const elapsed = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const began = performance.now()
    yield* effect
    return performance.now() - began
  })

/** Resolves with the first byte. */
const firstByte = (talk: Talk) => Effect.callback<void>((resume) => talk.onBytes(() => resume(Effect.void)))

const take = (what: string, talk: Talk, count: number) =>
  limited(
    what,
    Effect.callback<void, StreamBroke>((resume) => {
      let have = 0
      talk.onBytes((bytes) => {
        have += bytes.length
        if (have >= count) resume(Effect.void)
      })
      void talk.over.then(() =>
        have < count &&
        resume(Effect.fail(new StreamBroke({ what, detail: `it ended after ${have} bytes ${talk.words()}` })))
      )
    })
  )

const drained = (response: IncomingMessage) =>
  Effect.callback<number>((resume) => {
    let bytes = 0
    response.on("data", (piece: Buffer) => void (bytes += piece.length))
    response.on("close", () => resume(Effect.succeed(bytes)))
  })

/** Writes with the connection's own back-pressure, as far as it tells of it. */
const give = (talk: Talk, count: number) =>
  Effect.gen(function*() {
    const piece = new Uint8Array(32 * 1024).fill(0x78)
    for (let sent = 0; sent < count; sent += piece.length) {
      talk.write(piece.subarray(0, Math.min(piece.length, count - sent)))
      while (talk.waiting() > 512 * 1024) yield* Effect.sleep(1)
    }
  })

const getBlob = new TextEncoder().encode("GET /blob HTTP/1.0\r\n\r\n")

const directly = (host: string, blobBytes: number) =>
  limited(
    "the port itself",
    Effect.callback<void>((resume) => {
      let have = 0
      const socket = connect(webPort, host, () => socket.write(getBlob))
      socket.on("data", (bytes: Buffer) => {
        have += bytes.length
        if (have < blobBytes) return
        socket.destroy()
        resume(Effect.void)
      })
      socket.on("error", (error) => resume(Effect.die(error)))
    })
  )

const forwarded = (kubelet: KubeletClient, podName: string, blobBytes: number) =>
  Effect.scoped(Effect.gen(function*() {
    const talk = yield* kubelet.forward(podName, webPort)
    talk.write(getBlob)
    yield* take("the forwarded port", talk, blobBytes)
  }))

export const streamsScene = (programs: Programs, folder: string): Scene =>
  Effect.fnUntraced(function*(options) {
    const measured: Array<Measured | NotMeasured> = []
    const noDocker = yield* whyNoDocker
    const system = yield* startSystem(programs, folder, { nodeArgs: inspected })
    const { cluster } = system
    const kubelet = kubeletAt(system.kubeconfigPath, system.kubeletPort)
    const nodes = yield* cluster.observe(paths.nodes)
    const pods = yield* cluster.observe(paths.pods)
    const connected = (device: string) =>
      nodes.until(`${device} connected`, (all) => condition(all.get(device), "DeviceConnected") === "True")
    const running = (name: string) =>
      pods.until(`${name} running`, (all) => condition(all.get(name), "Ready") === "True", 120)
    const create = (name: string, device: string, command: ReadonlyArray<string>, from = image) =>
      cluster.call("POST", paths.pods, pod(name, device, { image: from, command }))
    const turns = options.quick ? 15 : 50
    const rounds = options.quick ? 3 : 5
    const [blobBytes, cpBytes, logLines] = options.quick
      ? [20_000_000, 10_000_000, 50_000]
      : [100_000_000, 50_000_000, 220_000]

    /** Milliseconds of processor time for each MB that passed, of the operator and of an agent. */
    const costing = Effect.fnUntraced(function*<A, E, R>(agent: number, bytes: number, effect: Effect.Effect<A, E, R>) {
      const before = [yield* processorTimeOf(system.operator.pid), yield* processorTimeOf(agent)] as const
      const result = yield* effect
      const after = [yield* processorTimeOf(system.operator.pid), yield* processorTimeOf(agent)] as const
      const of = (which: 0 | 1) => ((after[which] - before[which]) / megabytes(bytes)).toFixed(1)
      return { result, cost: `processor time for each MB: operator ${of(0)} ms, agent ${of(1)} ms` }
    })

    const execs = Effect.fnUntraced(function*(name: string) {
      const doors: Array<number> = []
      const ours = Effect.scoped(Effect.gen(function*() {
        const began = performance.now()
        const talk = yield* kubelet.exec(name, ["busybox", "echo", "x"])
        doors.push(performance.now() - began)
        yield* limited("the first byte", firstByte(talk))
      }))
      yield* ours
      doors.length = 0
      return { once: elapsed(ours), doors }
    })
    const percentiles = (values: ReadonlyArray<number>) =>
      `p50 ${median(values).toFixed(1)} ms, p95 ${
        (values.toSorted((a, b) => a - b)[Math.floor(values.length * 0.95)] ?? 0).toFixed(1)
      } ms`

    if (options.wanted("exec-first-byte-process")) {
      yield* say("streams: exec in a process pod")
      const agent = yield* prepareAgent(programs, system, `${folder}/edge-process`, {
        device: "edge-process",
        runtime: { docker: { enabled: false }, process: { enabled: true, allowRoot: true } }
      })
      yield* agent.start
      yield* connected("edge-process")
      yield* create("plain", "edge-process", ["sleep", "3600"], "virtualimage.arhat.dev/hostexec")
      yield* Effect.addFinalizer(() =>
        Effect.ignore(Effect.gen(function*() {
          yield* cluster.call("DELETE", `${paths.pods}/plain`)
          yield* pods.until("plain gone", (all) => !all.has("plain"), 60)
        }))
      )
      yield* running("plain")
      const { doors, once } = yield* execs("plain")
      const times: Array<number> = []
      for (let turn = 0; turn < turns; turn++) times.push(yield* once)
      measured.push({
        name: "exec-first-byte-process",
        value: median(times),
        note: `${turns} times echo, TLS handshake of the client included: ${
          percentiles(times)
        }; until its WebSocket was up ${percentiles(doors)}`
      })
    }

    const ofDocker = [
      "exec-first-byte-docker",
      "port-forward-grpc",
      "port-forward-mqtt",
      "logs-grpc",
      "cp-down-grpc",
      "cp-up-grpc",
      "interactive-beside-logs",
      "stalled-reader-operator",
      "stalled-reader-agent"
    ].filter(options.wanted)
    if (ofDocker.length === 0) return measured
    if (Option.isSome(noDocker)) {
      return [...measured, ...ofDocker.map((name) => ({ name, reason: noDocker.value }))]
    }

    const docker = yield* startDocker({ reuse: false })
    const engine = dockerStreams(docker.engine, docker.socketPath)
    const runtime = { docker: { socket: docker.socketPath, pauseImage: "aranya.test/pause:1" } }
    const agent = yield* prepareAgent(programs, system, `${folder}/edge-docker`, {
      device: "edge-docker",
      runtime,
      nodeArgs: inspected
    })
    const arhat = yield* agent.start
    yield* connected("edge-docker")
    yield* create("web", "edge-docker", web(blobBytes))
    yield* running("web")
    const container = yield* containerOf(docker, "web")
    // The blob is there once its size is.
    yield* limited(
      "the blob",
      Effect.gen(function*() {
        while (true) {
          const talk = yield* kubelet.exec("web", ["busybox", "wc", "-c", "/tmp/blob"])
          const said = yield* Effect.callback<string>((resume) =>
            talk.onBytes((bytes) => resume(Effect.succeed(Buffer.from(bytes).toString())))
          )
          if (said.startsWith(`${blobBytes} `)) return
          yield* Effect.sleep("200 millis")
        }
      }).pipe(Effect.scoped)
    )

    if (options.wanted("exec-first-byte-docker")) {
      yield* say("streams: exec in a docker pod")
      const { doors, once } = yield* execs("web")
      const alone = elapsed(Effect.scoped(
        Effect.flatMap(
          engine.exec(container, ["busybox", "echo", "x"]),
          (talk) => limited("the engine's first byte", firstByte(talk))
        )
      ))
      yield* alone
      const ours: Array<number> = []
      const theirs: Array<number> = []
      for (let turn = 0; turn < turns; turn++) {
        ours.push(yield* once)
        theirs.push(yield* alone)
      }
      measured.push({
        name: "exec-first-byte-docker",
        value: median(ours) - median(theirs),
        note: `${turns} times echo in turns, TLS handshake of the client included: ${
          percentiles(ours)
        }; until its WebSocket was up ${percentiles(doors)}; engine alone ${percentiles(theirs)}`
      })
    }

    const portForward = Effect.fnUntraced(function*(name: string, podName: string, pid: number) {
      yield* say(`streams: ${name}`)
      yield* forwarded(kubelet, podName, blobBytes)
      const address = yield* addressOf(docker, podName)
      const ours: Array<number> = []
      const theirs: Array<number> = []
      const { cost } = yield* costing(
        pid,
        blobBytes * rounds,
        Effect.gen(function*() {
          for (let round = 0; round < rounds; round++) {
            ours.push(yield* elapsed(forwarded(kubelet, podName, blobBytes)))
            theirs.push(yield* elapsed(directly(address, blobBytes)))
          }
        })
      )
      const rate = (times: ReadonlyArray<number>) => megabytes(blobBytes) / (median(times) / 1000)
      measured.push({
        name,
        value: rate(ours),
        note: `median of ${rounds} times ${megabytes(blobBytes)} MB; straight to the container ${
          rate(theirs).toFixed(0)
        } MB/s; ${cost}`
      })
    })
    if (options.wanted("port-forward-grpc")) yield* portForward("port-forward-grpc", "web", arhat.pid)

    /** In turns; the value is the ratio of the rates. */
    const beside = Effect.fnUntraced(function*<E1, E2>(
      name: string,
      bytes: number,
      ours: Effect.Effect<unknown, E1>,
      theirs: Effect.Effect<unknown, E2>
    ) {
      yield* say(`streams: ${name}`)
      yield* ours
      yield* theirs
      const ourTimes: Array<number> = []
      const theirTimes: Array<number> = []
      const { cost } = yield* costing(
        arhat.pid,
        bytes * rounds,
        Effect.gen(function*() {
          for (let round = 0; round < rounds; round++) {
            ourTimes.push(yield* elapsed(ours))
            theirTimes.push(yield* elapsed(theirs))
          }
        })
      )
      const rate = (times: ReadonlyArray<number>) => megabytes(bytes) / (median(times) / 1000)
      measured.push({
        name,
        value: 100 * rate(ourTimes) / rate(theirTimes),
        note: `medians of ${rounds} times ${megabytes(bytes).toFixed(0)} MB in turns: ${
          rate(ourTimes).toFixed(1)
        } MB/s, engine alone ${rate(theirTimes).toFixed(1)} MB/s; ${cost}`
      })
    })

    type Exec = (
      command: ReadonlyArray<string>,
      options: { readonly stdin?: boolean }
    ) => Effect.Effect<Talk, { readonly message: string }, Scope.Scope>
    const throughLink: Exec = (command, more) => kubelet.exec("web", command, more)
    const throughEngine: Exec = (command, more) => engine.exec(container, command, more)
    const down = (exec: Exec) =>
      Effect.scoped(
        Effect.flatMap(
          exec(["busybox", "head", "-c", `${cpBytes}`, "/tmp/blob"], {}),
          (talk) => take("bytes out of the container", talk, cpBytes)
        )
      )
    /** Done when the process says that it has them all. */
    const up = (exec: Exec) =>
      Effect.scoped(
        Effect.gen(function*() {
          const talk = yield* exec(["sh", "-c", `busybox head -c ${cpBytes} > /tmp/up; echo done`], { stdin: true })
          const done = yield* Effect.forkScoped(limited("bytes into the container", firstByte(talk)), {
            startImmediately: true
          })
          yield* give(talk, cpBytes)
          yield* Fiber.join(done)
        })
      )
    if (options.wanted("cp-down-grpc")) {
      yield* beside("cp-down-grpc", cpBytes, down(throughLink), down(throughEngine))
    }
    if (options.wanted("cp-up-grpc")) yield* beside("cp-up-grpc", cpBytes, up(throughLink), up(throughEngine))

    if (options.wanted("logs-grpc")) {
      yield* create("talker", "edge-docker", talker(logLines))
      yield* running("talker")
      const talkerId = yield* containerOf(docker, "talker")
      const ended = Effect.scoped(Effect.gen(function*() {
        const response = yield* kubelet.logs("talker", "tailLines=1")
        const said = yield* Effect.callback<string>((resume) => {
          let text = ""
          response.on("data", (piece: Buffer) => void (text += piece.toString()))
          response.on("close", () => resume(Effect.succeed(text)))
        })
        return said === "the end\n"
      }))
      yield* limited(
        "the log to be written",
        Effect.repeat(Effect.delay(ended, "300 millis"), { until: (yes) => yes })
      )
      const whole = Effect.scoped(Effect.flatMap(kubelet.logs("talker", ""), drained))
      const bytes = yield* whole
      yield* beside(
        "logs-grpc",
        bytes,
        limited("the whole log", whole),
        limited("the whole log by the engine", Effect.scoped(Effect.flatMap(engine.logs(talkerId), drained)))
      )
    }

    if (
      options.wanted("interactive-beside-logs") || options.wanted("stalled-reader-operator") ||
      options.wanted("stalled-reader-agent")
    ) {
      yield* create("chatter", "edge-docker", chatter)
      yield* running("chatter")
    }

    if (options.wanted("interactive-beside-logs")) {
      yield* say("streams: typing beside a flood of logs")
      yield* Effect.scoped(Effect.gen(function*() {
        const talk = yield* kubelet.exec("web", ["busybox", "cat"], { stdin: true })
        let heard = () => {}
        talk.onBytes(() => heard())
        const typed = limited(
          "the echo",
          elapsed(Effect.callback<void>((resume) => {
            heard = () => resume(Effect.void)
            talk.write(new TextEncoder().encode("a line that somebody typed\n"))
          }))
        )
        const alone: Array<number> = []
        for (let turn = 0; turn < turns; turn++) alone.push(yield* typed)
        let bytes = 0
        // It ends where it was written faster than it could be read.
        yield* kubelet.logs("chatter", "follow=true&tailLines=1").pipe(
          Effect.flatMap((logs) =>
            Effect.callback<void>((resume) => {
              logs.on("data", (piece: Buffer) => void (bytes += piece.length))
              logs.on("error", () => {})
              logs.on("close", () => resume(Effect.void))
            })
          ),
          Effect.scoped,
          Effect.forever,
          Effect.forkScoped
        )
        yield* Effect.sleep("2 seconds")
        const [began, before] = [performance.now(), bytes]
        const beside: Array<number> = []
        while (performance.now() - began < 10_000) {
          beside.push(yield* typed)
          yield* Effect.sleep("50 millis")
        }
        const rate = megabytes(bytes - before) / ((performance.now() - began) / 1000)
        measured.push({
          name: "interactive-beside-logs",
          value: median(beside),
          note: `${beside.length} lines to cat and back: ${percentiles(beside)}, beside logs of ${
            rate.toFixed(1)
          } MB/s as they came; with nothing beside ${percentiles(alone)}`
        })
      }))
    }

    if (options.wanted("stalled-reader-operator") || options.wanted("stalled-reader-agent")) {
      yield* say("streams: readers that do not read")
      const held = Effect.gen(function*() {
        return [
          yield* usedHeap(system.operatorLog, { buffers: true }),
          yield* usedHeap(agent.logFile, { buffers: true })
        ] as const
      })
      yield* Effect.scoped(Effect.gen(function*() {
        yield* Effect.sleep("3 seconds")
        const before = yield* held
        for (let reader = 0; reader < stalledReaders; reader++) yield* kubelet.logs("chatter", "follow=true")
        yield* Effect.sleep(options.quick ? "10 seconds" : "30 seconds")
        const after = yield* held
        const each = (which: 0 | 1) => (after[which] - before[which]) / 1000 / stalledReaders
        const note =
          `${stalledReaders} of logs -f of 20 MB/s each, their sockets never read: heap and buffers after collection`
        measured.push({ name: "stalled-reader-operator", value: each(0), note })
        measured.push({ name: "stalled-reader-agent", value: each(1), note })
      }))
    }

    if (options.wanted("port-forward-mqtt")) {
      if (!hasMosquitto) measured.push({ name: "port-forward-mqtt", reason: "there is no mosquitto here" })
      else {
        const { ports: [brokerPort = 0] } = yield* mosquitto()
        const topicNamespace = "bench/edge-mqtt"
        const byBroker = yield* prepareAgent(programs, system, `${folder}/edge-mqtt`, {
          device: "edge-mqtt",
          runtime,
          method: {
            agent: {
              name: "mqtt",
              config: {
                endpoint: `127.0.0.1:${brokerPort}`,
                topicNamespaceFrom: { text: topicNamespace },
                tls: { enabled: false }
              }
            },
            connectivity: { method: "mqtt", mqtt: { broker: `127.0.0.1:${brokerPort}`, topicNamespace } }
          }
        })
        const brokered = yield* byBroker.start
        yield* connected("edge-mqtt")
        yield* create("web-mqtt", "edge-mqtt", web(blobBytes))
        yield* running("web-mqtt")
        yield* Effect.sleep("3 seconds")
        yield* portForward("port-forward-mqtt", "web-mqtt", brokered.pid)
      }
    }
    return measured
  })

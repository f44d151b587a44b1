/** What the built agent takes of its device's memory, idle, over the process runtime. */
import { Effect } from "effect"
import { startDaemon } from "../../e2e/daemon.ts"
import { prepareAgent } from "../agentProcess.ts"
import { condition, paths } from "../Cluster.ts"
import type { Measured, Scene } from "../Figure.ts"
import { megabytes, type Memory, memoryOf } from "../memory.ts"
import { pod, type Programs, say, startSystem } from "../System.ts"

const device = "edge-1"

export const footprintScene = (programs: Programs, folder: string): Scene =>
  Effect.fnUntraced(function*(options) {
    const system = yield* startSystem(programs, folder)
    const { cluster } = system
    const agent = yield* prepareAgent(programs, system, `${folder}/${device}`, {
      device,
      runtime: { docker: { enabled: false }, process: { enabled: true, allowRoot: true } }
    })
    const nodes = yield* cluster.observe(paths.nodes)
    const pods = yield* cluster.observe(paths.pods)
    const arhat = yield* agent.start
    yield* nodes.until("the device connected", (all) => condition(all.get(device), "DeviceConnected") === "True")
    // A process pod outlives its agent; nothing of this run may stay.
    yield* Effect.addFinalizer(() =>
      Effect.ignore(Effect.gen(function*() {
        for (const name of pods.objects.keys()) yield* cluster.call("DELETE", `${paths.pods}/${name}`)
        yield* pods.until("no pod left", (all) => all.size === 0, 60)
      }))
    )

    const bare = yield* startDaemon({
      name: "bare Node.js",
      command: process.execPath,
      args: ["-e", "setInterval(() => {}, 1e9)"],
      logFile: `${folder}/bare.log`
    })
    const idleWith = Effect.fnUntraced(function*(count: number) {
      for (let n = pods.objects.size + 1; n <= count; n++) {
        yield* cluster.call(
          "POST",
          paths.pods,
          pod(`app-${n}`, device, { image: "virtualimage.arhat.dev/hostexec", command: ["sleep", "3600"] })
        )
      }
      yield* pods.until(`${count} pods running`, (all) =>
        all.size === count && [...all.values()].every((each) => condition(each, "Ready") === "True"), 300)
      yield* Effect.sleep(options.quick ? "15 seconds" : "60 seconds")
      return yield* memoryOf(arhat.pid)
    })
    yield* say("footprint: 5 pods")
    const five = yield* idleWith(5)
    yield* say("footprint: 20 pods")
    const twenty = yield* idleWith(20)
    const beside = yield* memoryOf(bare.pid)

    const words = ({ proportional, resident }: Memory) =>
      `${megabytes(resident).toFixed(1)} MB RSS, ${megabytes(proportional).toFixed(1)} MB PSS`
    const how = `built agent, process runtime, linked by gRPC with TLS; bare Node.js ${process.version} beside it: ${
      words(beside)
    }`
    const figure = (name: string, value: number, memory: Memory): Measured => ({
      name,
      value: megabytes(value),
      note: `${words(memory)}; ${how}`
    })
    return [
      figure("agent-rss-5", five.resident, five),
      figure("agent-rss-20", twenty.resident, twenty),
      figure("agent-pss-20", twenty.proportional, twenty)
    ]
  })

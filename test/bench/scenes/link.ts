/** How a device starts with no line at all. */
import { Effect } from "effect"
import { condition, paths } from "../Cluster.ts"
import { median, type Scene } from "../Figure.ts"
import { startFleet } from "../Fleet.ts"
import { relayTo } from "../relay.ts"
import { edgeDevice, pod, type Programs, say, startSystem } from "../System.ts"

const rounds = 3
const podsEach = 10

export const linkScene = (programs: Programs, folder: string): Scene =>
  Effect.fnUntraced(function*() {
    const { cluster, ...system } = yield* startSystem(programs, folder)
    const { ask } = yield* startFleet
    const nodes = yield* cluster.observe(paths.nodes)
    const pods = yield* cluster.observe(paths.pods)
    // One for each round: a container that was restarted lately waits before the next time.
    const names = Array.from({ length: rounds }, (_, n) => `cold-${n + 1}`)
    const doors = yield* Effect.forEach(names, () => relayTo(system.grpcPort))
    const publicKeys = yield* ask({
      op: "prepare",
      operatorKey: system.operatorKey,
      caData: system.caData,
      devices: names.map((name, n) => ({ name, port: doors[n]?.port ?? 0 }))
    })
    for (const [n, name] of names.entries()) {
      yield* cluster.call("POST", paths.edgeDevices, edgeDevice(name, publicKeys[n] ?? ""))
    }
    yield* ask({ op: "start", names })
    for (const name of names) {
      yield* nodes.until(
        `${name} connected`,
        (objects) => condition(objects.get(name), "DeviceConnected") === "True"
      )
      for (let n = 1; n <= podsEach; n++) {
        yield* cluster.call(
          "POST",
          paths.pods,
          pod(`${name}-${n}`, name, { image: "bench.test/app:1", command: ["run"] })
        )
      }
    }
    yield* pods.until("all pods running", (objects) =>
      objects.size === rounds * podsEach
      && [...objects.values()].every((each) => condition(each, "Ready") === "True"))

    yield* say("link: the agent starts with the cloud away")
    const times = yield* Effect.forEach(names, (name, n) =>
      Effect.gen(function*() {
        yield* doors[n]?.open(false) ?? Effect.void
        yield* ask({ op: "powerCut", name })
        return yield* ask({ op: "startUntilRunning", name, containers: podsEach })
      }))
    return [{
      name: "offline-start-memory",
      value: median(times) / 1000,
      note: `median of ${rounds}: after a power cut, from the agent's start in a running Node.js to the tenth container`
    }]
  })

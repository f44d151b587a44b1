/** Several fields of one policy together: each time stands alone, and none disturbs another. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { atHome, bound, elsewhere, eventually, everything, inScene } from "./scene.ts"

const rested = ["daemon-of-edge-2 a #0"]
const boundAgain = ["bare a #1", "daemon-of-edge-1 a #1", "daemon-of-edge-2 a #0"]
const replacements = ["store-0 b #0", "web b #0"]
/** A pod of a ReplicaSet that is set aside has another one in its place; one of a StatefulSet has no place but its own. */
const standsIn = [...atHome, "web b on edge-2"]

/** From the cut on, which may take 135 s to be noticed. */
interface Moment {
  readonly minutes: number
  /** The Node's. */
  readonly ready: "True" | "False"
  readonly names: ReadonlyArray<string>
  readonly running: ReadonlyArray<string>
}

interface Story {
  readonly partition: object
  /** Whether it is the broker between the two that fails, not the link. */
  readonly broker?: boolean
  readonly away: ReadonlyArray<Moment>
  readonly back: Pick<Moment, "names" | "running">
  /** What is told of what is given up, or is not, each as often as it is told. */
  readonly told: ReadonlyArray<string>
  readonly twice: boolean
}

const stories: ReadonlyArray<readonly [title: string, story: Story]> = [
  ["notReadyAfter and stopWorkloadsAfter: the Node says so, workloads rest, nothing is given up for either", {
    partition: { notReadyAfter: "5m", stopWorkloadsAfter: "10m" },
    away: [
      { minutes: 4.5, ready: "True", names: atHome, running: everything },
      { minutes: 7.5, ready: "False", names: atHome, running: everything },
      { minutes: 12, ready: "False", names: atHome, running: rested },
      { minutes: 45, ready: "False", names: atHome, running: rested }
    ],
    back: { names: atHome, running: [...boundAgain, "store-0 a #1", "web a #1"] },
    told: [],
    twice: false
  }],
  ["notReadyAfter and keepOriginal: a pod that is set aside stays on a Node that is not ready, and comes back", {
    partition: { notReadyAfter: "5m", stopWorkloadsAfter: "10m", replaceAfter: "15m", onReturn: "keepOriginal" },
    away: [
      { minutes: 4.5, ready: "True", names: atHome, running: everything },
      { minutes: 14, ready: "False", names: atHome, running: rested },
      { minutes: 20, ready: "False", names: standsIn, running: [...rested, "web b #0"] },
      { minutes: 50, ready: "False", names: standsIn, running: [...rested, "web b #0"] }
    ],
    back: { names: atHome, running: [...boundAgain, "store-0 a #1", "web a #1"] },
    told: ["PodsReplaced", "SetAsideWhileDeviceIsAway"],
    twice: false
  }],
  ["notReadyAfter and allowRunningTwice: the Node says so while the originals run, also beside what replaces them", {
    partition: { notReadyAfter: "5m", replaceAfter: "15m", allowRunningTwice: true },
    away: [
      { minutes: 7.5, ready: "False", names: atHome, running: everything },
      { minutes: 14, ready: "False", names: atHome, running: everything },
      { minutes: 20, ready: "False", names: elsewhere, running: [...everything, ...replacements].sort() }
    ],
    back: { names: elsewhere, running: [...bound, ...replacements] },
    told: ["PodsReplaced", "ReplacedWhileDeviceIsAway", "ReplacedWhileDeviceIsAway"],
    twice: true
  }],
  ["replaceAfter before stopWorkloadsAfter, as allowRunningTwice lets it be: replaced first, at rest later", {
    partition: { replaceAfter: "15m", stopWorkloadsAfter: "30m", allowRunningTwice: true },
    away: [
      { minutes: 14, ready: "True", names: atHome, running: everything },
      { minutes: 20, ready: "True", names: elsewhere, running: [...everything, ...replacements].sort() },
      { minutes: 32, ready: "True", names: elsewhere, running: [...rested, ...replacements] }
    ],
    back: { names: elsewhere, running: [...boundAgain, ...replacements] },
    told: ["PodsReplaced", "ReplacedWhileDeviceIsAway", "ReplacedWhileDeviceIsAway"],
    twice: true
  }],
  [
    "keepOriginal with notReadyAfter and allowRunningTwice: the original runs on beside what stands in for it, and stays",
    {
      partition: { notReadyAfter: "5m", replaceAfter: "15m", allowRunningTwice: true, onReturn: "keepOriginal" },
      away: [
        { minutes: 4.5, ready: "True", names: atHome, running: everything },
        { minutes: 14, ready: "False", names: atHome, running: everything },
        { minutes: 20, ready: "False", names: standsIn, running: [...everything, "web b #0"].sort() },
        { minutes: 50, ready: "False", names: standsIn, running: [...everything, "web b #0"].sort() }
      ],
      back: { names: atHome, running: everything },
      told: ["PodsReplaced", "SetAsideWhileDeviceIsAway"],
      twice: false
    }
  ],
  ["keepOriginal with replaceAfter before stopWorkloadsAfter: set aside while it runs, at rest later, and back", {
    partition: { replaceAfter: "15m", stopWorkloadsAfter: "30m", allowRunningTwice: true, onReturn: "keepOriginal" },
    away: [
      { minutes: 14, ready: "True", names: atHome, running: everything },
      { minutes: 20, ready: "True", names: standsIn, running: [...everything, "web b #0"].sort() },
      { minutes: 32, ready: "True", names: standsIn, running: [...rested, "web b #0"] },
      { minutes: 50, ready: "True", names: standsIn, running: [...rested, "web b #0"] }
    ],
    back: { names: atHome, running: [...boundAgain, "store-0 a #1", "web a #1"] },
    told: ["PodsReplaced", "SetAsideWhileDeviceIsAway"],
    twice: false
  }],
  ["all times with allowRunningTwice: not ready, replaced while the originals run, at rest", {
    partition: { notReadyAfter: "5m", replaceAfter: "15m", stopWorkloadsAfter: "30m", allowRunningTwice: true },
    away: [
      { minutes: 4.5, ready: "True", names: atHome, running: everything },
      { minutes: 14, ready: "False", names: atHome, running: everything },
      { minutes: 20, ready: "False", names: elsewhere, running: [...everything, ...replacements].sort() },
      { minutes: 32, ready: "False", names: elsewhere, running: [...rested, ...replacements] }
    ],
    back: { names: elsewhere, running: [...boundAgain, ...replacements] },
    told: ["PodsReplaced", "ReplacedWhileDeviceIsAway", "ReplacedWhileDeviceIsAway"],
    twice: true
  }],
  ["all times with allowRunningTwice and keepOriginal, in another order: set aside, not ready, at rest, and back", {
    partition: {
      replaceAfter: "10m",
      notReadyAfter: "20m",
      stopWorkloadsAfter: "30m",
      allowRunningTwice: true,
      onReturn: "keepOriginal"
    },
    away: [
      { minutes: 9, ready: "True", names: atHome, running: everything },
      { minutes: 15, ready: "True", names: standsIn, running: [...everything, "web b #0"].sort() },
      { minutes: 25, ready: "False", names: standsIn, running: [...everything, "web b #0"].sort() },
      { minutes: 35, ready: "False", names: standsIn, running: [...rested, "web b #0"] }
    ],
    back: { names: atHome, running: [...boundAgain, "store-0 a #1", "web a #1"] },
    told: ["PodsReplaced", "SetAsideWhileDeviceIsAway"],
    twice: false
  }],
  ["all times, for want of a broker: a policy asks how long, not why", {
    partition: { notReadyAfter: "5m", stopWorkloadsAfter: "10m", replaceAfter: "15m" },
    broker: true,
    away: [
      { minutes: 4.5, ready: "True", names: atHome, running: everything },
      { minutes: 7.5, ready: "False", names: atHome, running: everything },
      { minutes: 14, ready: "False", names: atHome, running: rested },
      { minutes: 20, ready: "False", names: elsewhere, running: [...rested, ...replacements] }
    ],
    back: { names: elsewhere, running: [...boundAgain, ...replacements] },
    told: ["PodsReplaced", "ReplacedWhileDeviceIsAway", "ReplacedWhileDeviceIsAway"],
    twice: false
  }]
]

const givingUp = /(PodsReplaced|ReplacementHeld|ReplacedWhileDeviceIsAway|SetAsideWhileDeviceIsAway):/u
const wordsOf = (events: ReadonlyArray<string>) => events.flatMap((each) => givingUp.exec(each)?.[1] ?? []).sort()

const notReady = "node.kubernetes.io/not-ready:NoExecute"
/** Those of a Node of a device that is there. */
const settled = ["arhat.dev/namespace:NoSchedule"]

const play = ({ away, back, broker: byBroker = false, partition, told, twice }: Story) =>
  inScene(partition, (scene) =>
    Effect.gen(function*() {
      const { allReady, apart, broker, names, node, running, status, wait } = scene
      const cut = scene.time.now
      yield* byBroker ? broker.stop(true) : apart(true)
      for (const moment of away) {
        yield* wait(Duration.millis(cut + moment.minutes * 60_000 - scene.time.now))
        const { connected, ready, taints } = yield* node
        const then = `after ${moment.minutes} minutes`
        assert.strictEqual(ready, moment.ready, then)
        assert.deepStrictEqual(yield* names, moment.names, then)
        assert.deepStrictEqual(yield* running, moment.running, then)
        assert.strictEqual(connected, byBroker ? "BrokerDown" : "LinkDown")
        assert.strictEqual(taints.includes(notReady), ready === "False")
      }
      yield* byBroker ? broker.start : apart(false)
      yield* wait("6 minutes")
      yield* allReady(5)
      assert.deepStrictEqual({ names: yield* names, running: yield* running }, back)
      const { connected, ready, taints } = yield* node
      assert.deepStrictEqual({ connected, ready, taints }, { connected: "Connected", ready: "True", taints: settled })
      assert.isUndefined((yield* status)?.partition?.replaced)
      assert.deepStrictEqual(wordsOf(yield* scene.events), told)
      assert.strictEqual(yield* scene.twice, twice)
    }), { broker: byBroker })

describe("together", () => {
  it.live.each(stories)("%s", ([, story]) => play(story), 300_000)
})

describe("a device that is away", () => {
  it.live(
    "stays away while the reason for it changes: what is counted goes on",
    () =>
      inScene(
        { notReadyAfter: "10m", replaceAfter: "20m", allowRunningTwice: true },
        (scene) =>
          Effect.gen(function*() {
            const { apart, broker, names, node, told, wait } = scene
            const connection = Effect.map(
              scene.status,
              (status) => status?.conditions?.find(({ type }) => type === "Connected")?.reason
            )
            const says = (reason: string) =>
              Effect.gen(function*() {
                assert.strictEqual((yield* node).connected, reason)
                assert.strictEqual(yield* connection, reason)
              })
            yield* apart(true)
            yield* wait("5 minutes")
            yield* says("LinkDown")
            yield* broker.stop(true)
            yield* wait("4 minutes")
            yield* says("BrokerDown")
            assert.strictEqual((yield* node).ready, "True")
            yield* broker.start
            yield* wait("4 minutes")
            yield* says("LinkDown")
            assert.strictEqual((yield* node).ready, "False")
            yield* broker.stop(true)
            yield* wait("10 minutes")
            yield* says("BrokerDown")
            assert.deepStrictEqual(yield* names, elsewhere)
            yield* broker.start
            yield* apart(false)
            yield* eventually(node, ({ connected, ready }) => connected === "Connected" && ready === "True", 600)
            assert.lengthOf(yield* told("DeviceDisconnected"), 1)
            assert.lengthOf(yield* told("DeviceConnected"), 1)
          }),
        { broker: true }
      ),
    300_000
  )
})

/** How the operator's subscriptions follow what it wants, at a broker that takes its time or says no. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Scope, SubscriptionRef } from "effect"
import type { BrokerClient, OpenBrokerClient } from "../../../adapters/mqtt/BrokerClient.ts"
import { type BrokerState, makeMqttAcceptor, type MqttAcceptorOptions } from "../../../adapters/mqtt/MqttAcceptor.ts"
import type { BrokerOptions } from "../../../adapters/mqtt/MqttBroker.ts"
import { simulate } from "../../simulation/VirtualTime.ts"

const broker: BrokerOptions = {
  host: "127.0.0.1",
  port: 1883,
  transport: "tcp",
  version: "3.1.1",
  clientId: "operator"
}

/** Lets everybody in and confirms at once, but for what a test says. */
const agreeable = (but: Partial<BrokerClient>): OpenBrokerClient => (_, { accepted }) => {
  accepted({})
  return {
    publish: (_, __, ___, done) => done(undefined),
    subscribe: (topics, done) => done(topics.map(() => 1)),
    unsubscribe: (_, done) => done(),
    leave: Effect.void,
    cut: () => {},
    ...but
  }
}

const accepting = Effect.fnUntraced(function*(
  but: Partial<BrokerClient>,
  options: Partial<MqttAcceptorOptions> = {}
) {
  const namespaces = yield* SubscriptionRef.make<ReadonlyArray<string>>(["edge/1"])
  const states: Array<BrokerState> = []
  yield* Effect.forkScoped(
    makeMqttAcceptor({
      broker,
      topicNamespaces: SubscriptionRef.changes(namespaces),
      open: agreeable(but),
      ...options,
      onState: (state) => Effect.sync(() => void states.push(state))
    }).run(() => Effect.never)
  )
  return { namespaces, states }
})

const inTime = <E>(name: string, test: Effect.Effect<void, E, Scope.Scope>) =>
  it.live(name, () => simulate(1, () => Effect.scoped(test)))

describe("the operator's subscriptions", () => {
  inTime(
    "keep up with a fleet that grows faster than the broker answers",
    Effect.gen(function*() {
      const context = yield* Effect.context<Scope.Scope>()
      const subscribed = new Set<string>()
      const { namespaces } = yield* accepting({
        subscribe: (topics, done) => {
          const answer = Effect.sync(() => {
            for (const topic of topics) subscribed.add(topic)
            done(topics.map(() => 1))
          })
          Effect.runSyncWith(context)(Effect.forkScoped(Effect.delay(answer, "100 millis")))
        }
      })
      const fleet: Array<string> = []
      for (let count = 1; count <= 500; count++) {
        fleet.push(`edge/${count}`)
        yield* SubscriptionRef.set(namespaces, [...fleet])
        yield* Effect.sleep("2 millis")
      }
      yield* Effect.sleep("500 millis")
      assert.isTrue(subscribed.has("edge/500/status"))
      assert.strictEqual(subscribed.size, 1000)
    })
  )

  inTime(
    "tell devices that their connections may be gone, also where a namespace goes and comes while the broker takes its time",
    Effect.gen(function*() {
      const said: Array<string> = []
      let answer: (() => void) | undefined
      const { namespaces } = yield* accepting({
        subscribe: (topics, done) => {
          const granted = () => done(topics.map(() => 1))
          if (topics.includes("edge/2/msg")) answer = granted
          else granted()
        },
        publish: (topic, _, __, done) => {
          said.push(topic)
          done(undefined)
        }
      })
      for (const next of [["edge/1", "edge/2"], ["edge/2"], ["edge/1", "edge/2"]]) {
        yield* Effect.sleep("1 second")
        yield* SubscriptionRef.set(namespaces, next)
      }
      yield* Effect.sleep("1 second")
      assert.deepStrictEqual(said, ["edge/1/cmd"])
      answer?.()
      yield* Effect.sleep("1 second")
      assert.deepStrictEqual(said, ["edge/1/cmd", "edge/1/cmd", "edge/2/cmd"])
    })
  )

  for (const mute of ["subscribe", "unsubscribe"] as const) {
    inTime(
      `are not waited for for ever where the broker never answers: ${mute}`,
      Effect.gen(function*() {
        let asked = 0
        const { namespaces, states } = yield* accepting({ [mute]: () => void (asked += 1) })
        yield* Effect.sleep("1 second")
        yield* SubscriptionRef.set(namespaces, ["edge/2"])
        yield* Effect.sleep("18 seconds")
        assert.deepStrictEqual([asked, states.filter(({ status }) => status === "Disconnected").length], [1, 0])
        yield* Effect.sleep("4 seconds")
        const state = states.find(({ status }) => status === "Disconnected")
        const error = state?.status === "Disconnected" ? state.error : assert.fail("still connected")
        assert.strictEqual(error.reason, "Lost")
        assert.include(error.detail, `no answer to ${mute.toUpperCase()} within 20s`)
        yield* Effect.sleep("2 minutes")
        assert.isAtLeast(states.length, 3)
      })
    )
  }

  inTime(
    "are asked for again where the broker refused them: somebody may have mended its access rules",
    Effect.gen(function*() {
      let allowed = false
      const asked: Array<ReadonlyArray<string>> = []
      const said: Array<string> = []
      const told: Array<string> = []
      const { namespaces, states } = yield* accepting({
        subscribe: (topics, done) => {
          asked.push(topics)
          done(topics.map((topic) => allowed || !topic.startsWith("edge/2/") ? 1 : 0x80))
        },
        publish: (topic, _, __, done) => {
          said.push(topic)
          done(undefined)
        }
      }, {
        onNamespaceRefused: (topicNamespace, why) => Effect.sync(() => void told.push(`${topicNamespace}: ${why}`))
      })
      const refusal = "edge/2: 127.0.0.1:1883: the broker does not let us subscribe to its topics: see its access rules"
      yield* Effect.sleep("1 second")
      yield* SubscriptionRef.set(namespaces, ["edge/1", "edge/2"])
      yield* Effect.sleep("1 second")
      assert.deepStrictEqual(told, [refusal])
      // What else is wanted meanwhile does not ask for them.
      yield* SubscriptionRef.set(namespaces, ["edge/1", "edge/2", "edge/3"])
      yield* Effect.sleep("1 second")
      assert.lengthOf(asked.filter((topics) => topics.includes("edge/2/msg")), 1)
      yield* Effect.sleep("6 minutes")
      assert.isAtLeast(asked.filter((topics) => topics.includes("edge/2/msg")).length, 2)
      assert.deepStrictEqual(new Set(told), new Set([refusal]))
      allowed = true
      yield* Effect.sleep("6 minutes")
      assert.strictEqual(told.at(-1), "edge/2: undefined")
      assert.strictEqual(said.at(-1), "edge/2/cmd")
      // Granted, they are not asked for any more.
      const count = asked.length
      yield* Effect.sleep("1 hour")
      assert.deepStrictEqual([asked.length, told.length, states.length], [
        count,
        told.indexOf("edge/2: undefined") + 1,
        1
      ])
    })
  )
})

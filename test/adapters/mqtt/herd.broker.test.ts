/** A whole fleet behind one broker that dies: how it comes back. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Queue, Schedule, Stream, SubscriptionRef } from "effect"
import { NodeCryptography } from "../../../adapters/crypto/NodeCryptography.ts"
import { type BrokerState, makeMqttAcceptor } from "../../../adapters/mqtt/MqttAcceptor.ts"
import { makeMqttDialer } from "../../../adapters/mqtt/MqttDialer.ts"
import { defaultTimings } from "../../../core/link/LinkTimings.ts"
import type { Acceptor } from "../../../core/link/Transport.ts"
import { deviceOn, operatorOn } from "../../contracts/linked.ts"
import { hasMosquitto, mosquitto } from "./mosquitto.ts"

const agents = 300

describe.skipIf(!hasMosquitto)("three hundred agents at a mosquitto that is killed and comes back", () => {
  it.live("return each with its own session, spread over time", () =>
    Effect.gen(function*() {
      const { kill, ports: [port = 0], start } = yield* mosquitto()
      const broker = { host: "127.0.0.1", port, transport: "tcp", version: "3.1.1" } as const
      const names = Array.from({ length: agents }, (_, n) => `edge-${n + 1}`)
      const states = yield* Queue.unbounded<BrokerState>()
      const came: Array<number> = []
      const door = makeMqttAcceptor({
        broker: { ...broker, clientId: "operator" },
        topicNamespaces: Stream.make(names.map((name) => `sites/${name}`)),
        onState: (state) => Effect.asVoid(Queue.offer(states, state))
      })
      const noted: Acceptor = {
        method: door.method,
        run: (serve) =>
          door.run((connection) =>
            Effect.flatMap(Clock.currentTimeMillis, (now) => {
              came.push(now)
              return serve(connection)
            })
          )
      }
      const { served } = yield* operatorOn(noted, defaultTimings)
      assert.strictEqual((yield* Queue.take(states)).status, "Connected")
      const clients = yield* Effect.forEach(names, (name) =>
        Effect.map(
          deviceOn(
            name,
            makeMqttDialer({ broker: { ...broker, clientId: name }, topicNamespace: `sites/${name}` }),
            defaultTimings
          ),
          ({ client }) => client
        ))
      const connected = Effect.map(
        Effect.forEach(clients, ({ state }) => SubscriptionRef.get(state)),
        (all) => all.filter(({ status }) => status === "Connected").length
      )
      const count = (wanted: (up: number) => boolean) =>
        connected.pipe(
          Effect.flatMap((up) =>
            wanted(up) ? Effect.succeed(up) : Effect.fail(new Error(`${up} of ${agents} are connected`))
          ),
          Effect.retry(Schedule.spaced("200 millis").pipe(Schedule.upTo({ times: 900 })))
        )
      yield* count((up) => up === agents)
      assert.lengthOf(served.admitted, agents)

      yield* kill
      yield* count((up) => up === 0)
      came.length = 0
      yield* start
      const back = yield* Clock.currentTimeMillis
      yield* count((up) => up === agents)
      const took = ((yield* Clock.currentTimeMillis) - back) / 1000
      const seconds: Array<number> = Array.from({ length: Math.ceil(took) + 1 }, () => 0)
      for (const at of came) seconds[Math.max(0, Math.floor((at - back) / 1000))]! += 1
      console.log([
        `connections of ${agents} agents in each second after the broker is back; all are there after ${
          took.toFixed(1)
        } s`,
        ...seconds.map((many, second) => `${String(second).padStart(4)} s ${"#".repeat(many / 3)} ${many}`)
      ].join("\n"))
      assert.lengthOf(served.admitted, agents, "each goes on with the session it had")
      // A third of them on a machine of its own; one that is busy takes those of two seconds in one.
      assert.isAtMost(Math.max(...seconds) / agents, 0.7)
    }).pipe(Effect.scoped, Effect.provide(NodeCryptography.layer)), 500_000)
})

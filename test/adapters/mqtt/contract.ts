/** The transport contract for both ends of MQTT, through whichever broker. */
import { Deferred, Effect, type Scope, Stream } from "effect"
import { makeMqttAcceptor } from "../../../adapters/mqtt/MqttAcceptor.ts"
import type { BrokerOptions } from "../../../adapters/mqtt/MqttBroker.ts"
import { makeMqttDialer } from "../../../adapters/mqtt/MqttDialer.ts"
import type { Dialer } from "../../../core/link/Transport.ts"
import { transportContract } from "../../contracts/transport.ts"

export type Options = Omit<BrokerOptions, "clientId">

export const over = (name: string, broker: Effect.Effect<Options, never, Scope.Scope>, slow?: string) =>
  transportContract({
    name,
    ...(slow === undefined ? {} : { slow }),
    make: Effect.gen(function*() {
      const options = yield* broker
      const listening = yield* Deferred.make<void>()
      let clients = 0
      // A broker keeps one connection per client id, and nothing for an operator that has not subscribed.
      const dialing = (port: number): Dialer => ({
        method: "mqtt",
        connect: Effect.suspend(() =>
          makeMqttDialer({ broker: { ...options, port, clientId: `device-${clients++}` }, topicNamespace: "edge/lamp" })
            .connect
        )
      })
      const dialer = dialing(options.port)
      return {
        acceptor: makeMqttAcceptor({
          broker: { ...options, clientId: "operator" },
          topicNamespaces: Stream.make(["edge/lamp", "edge/other"]),
          onState: ({ status }) =>
            status === "Connected" ? Effect.asVoid(Deferred.succeed(listening, undefined)) : Effect.void
        }),
        dialer: { ...dialer, connect: Effect.andThen(Deferred.await(listening), dialer.connect) },
        nowhere: dialing(1)
      }
    })
  })

export const plain = { host: "127.0.0.1", version: "3.1.1", transport: "tcp" } as const

/** Several MQTT methods of one agent, as a broker sees them. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Logger, References } from "effect"
import { createHash } from "node:crypto"
import { stringify } from "yaml"
import { ArhatConfig } from "../../../apps/arhat/ArhatConfig.ts"
import { dialers } from "../../../apps/arhat/dialers.ts"
import { decodeConfig } from "../../../core/config/decodeConfig.ts"
import { aedesBroker } from "../../adapters/mqtt/aedesBroker.ts"

const dialersOf = Effect.fnUntraced(function*(methods: ReadonlyArray<object>) {
  const warnings: Array<string> = []
  const yaml = stringify({
    arhat: { namespace: "edge", device: "lamp" },
    connectivity: {
      operatorKey: Buffer.alloc(32, 9).toString("base64"),
      methods: methods.map((config, index) => ({
        name: "mqtt",
        priority: index,
        config: { topicNamespaceFrom: { text: "example.com/lamp" }, tls: { enabled: false }, ...config }
      }))
    }
  })
  const made = yield* dialers(yield* decodeConfig(ArhatConfig)("arhat.yaml", yaml, () => undefined)).pipe(
    Effect.provide(Logger.layer([Logger.make(({ message }) => void warnings.push(String(message)))])),
    Effect.provideService(References.MinimumLogLevel, "Warn")
  )
  return { made, warnings }
})

describe("several MQTT methods at one broker", () => {
  it.live("do not end each other's connections", () =>
    Effect.gen(function*() {
      const { broker, port } = yield* aedesBroker()
      const endpoint = `127.0.0.1:${port}`
      const ids: Array<string> = []
      broker.on("client", ({ id }) => void ids.push(id))
      const { made, warnings } = yield* dialersOf([{ endpoint }, { endpoint }])
      for (const dialer of made) yield* dialer.connect
      yield* Effect.sleep(100)
      assert.strictEqual(broker.connectedClients, 2)
      // The first as it always was: a broker's rules may know it.
      const own = `arhat-${createHash("sha256").update("edge/lamp").digest("hex").slice(0, 12)}`
      assert.deepStrictEqual(ids, [own, `${own}-2`])
      assert.deepStrictEqual(warnings, [])
    }).pipe(Effect.scoped))

  it.effect("warn of one name that the owner gave to both", () =>
    Effect.gen(function*() {
      const { warnings } = yield* dialersOf([
        { endpoint: "broker.example:1883", clientID: "lamp" },
        { endpoint: "other.example:1883", clientID: "lamp" },
        { endpoint: "Broker.example:8083", clientID: "lamp", transport: "websocket" },
        { endpoint: "broker.example:1884", clientID: "another" }
      ])
      assert.lengthOf(warnings, 1)
      assert.include(
        warnings[0],
        "connectivity.methods[0].config.clientID and connectivity.methods[2].config.clientID are the same at one broker"
      )
    }))
})

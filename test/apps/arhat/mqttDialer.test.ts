/** What an MQTT method of the agent reads besides its configuration. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Schema } from "effect"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { mqttDialer } from "../../../apps/arhat/mqttDialer.ts"
import { MqttMethod } from "../../../apps/arhat/MqttMethod.ts"

const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "arhat-mqtt-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true }))
)

const dialer = Effect.fnUntraced(function*(config: object) {
  const method = yield* Schema.decodeUnknownEffect(MqttMethod)({
    name: "mqtt",
    config: { endpoint: "127.0.0.1:1", topicNamespaceFrom: { text: "sites/1" }, tls: { enabled: false }, ...config }
  })
  return yield* mqttDialer(method, {
    at: "connectivity.methods[0].config",
    device: "edge/edge-1",
    place: 0,
    dialTimeout: Duration.seconds(5)
  })
})
const refusal = (config: object) => Effect.map(Effect.flip(dialer(config)), (error) => error.message)

describe("an MQTT method of the agent", () => {
  it.live("takes its topic namespace from a text, a file, or what a program prints", () =>
    Effect.gen(function*() {
      const path = `${yield* folder}/topics`
      writeFileSync(path, "  sites/#\n")
      const at = "connectivity.methods[0].config.topicNamespaceFrom"
      const wildcard = "what it gives holds a + or a #, which are wildcards: leave them out"
      assert.strictEqual(yield* refusal({ topicNamespaceFrom: { file: path } }), `${at}.file: ${wildcard}`)
      const exec = ["cat", path]
      assert.strictEqual(yield* refusal({ topicNamespaceFrom: { exec } }), `${at}.exec: ${wildcard}`)
      assert.strictEqual(yield* refusal({ topicNamespaceFrom: { exec, file: path } }), `${at}.file: ${wildcard}`)
      yield* dialer({ topicNamespaceFrom: { exec, file: path, text: "sites/1" } })
      yield* dialer({ topicNamespaceFrom: { exec: ["echo", "sites/2"] } })
      assert.strictEqual(
        yield* refusal({ topicNamespaceFrom: { exec: ["true"] } }),
        `${at}.exec: what it gives is empty: give each device a text of its own, such as sites/hall-7/edge-1`
      )
      assert.include(yield* refusal({ topicNamespaceFrom: { exec: ["false"] } }), `${at}.exec: false: `)
      assert.include(
        yield* refusal({ topicNamespaceFrom: { exec: ["yes"] } }),
        `${at}.exec: yes: `,
        "what prints without end is ended"
      )
      assert.include(yield* refusal({ topicNamespaceFrom: { file: `${path}.not` } }), `${at}.file: ENOENT`)
    }))

  it.live("does not wait for a program that has been ended and does not listen", () =>
    Effect.gen(function*() {
      const exec = ["sh", "-c", "trap '' TERM; head -c 5000 /dev/zero; exec sleep 600"]
      assert.include(
        yield* refusal({ topicNamespaceFrom: { exec } }),
        "connectivity.methods[0].config.topicNamespaceFrom.exec: sh: stdout maxBuffer length exceeded"
      )
    }))

  it.live("says at the start which file is missing, and at each dial which one has gone", () =>
    Effect.gen(function*() {
      const path = `${yield* folder}/password`
      const config = { username: "edge-1", passwordFile: path }
      assert.include(yield* refusal(config), "connectivity.methods[0].config.passwordFile: ENOENT")
      writeFileSync(path, "secret\n")
      const { connect } = yield* dialer(config)
      rmSync(path)
      const error = yield* Effect.flip(Effect.scoped(connect))
      assert.strictEqual(error.reason, "Refused")
      assert.include(error.message, "connectivity.methods[0].config.passwordFile: ENOENT")
      writeFileSync(path, "another\n")
      assert.notInclude((yield* Effect.flip(Effect.scoped(connect))).message, "another")
    }))

  it.live("needs certificate and key together", () =>
    Effect.gen(function*() {
      assert.strictEqual(
        yield* refusal({ tls: { certData: "QQ==" } }),
        "connectivity.methods[0].config.tls: cert and key go together: give both or neither"
      )
    }))
})

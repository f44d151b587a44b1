/** What examples/ shows is taken as it stands there. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { parseAllDocuments } from "yaml"
import { ArhatConfig } from "../../apps/arhat/ArhatConfig.ts"
import { decodeConfig } from "../../core/config/decodeConfig.ts"
import { decodeEdgeDevice } from "../../core/device/decodeEdgeDevice.ts"
import { brokerAccess } from "../../core/operator/brokerAccess.ts"

const text = (name: string) => readFileSync(fileURLToPath(new URL(`../../examples/${name}`, import.meta.url)), "utf8")
const objects = (name: string) => parseAllDocuments(text(name)).map((document) => document.toJS())
const edgeDeviceOf = (name: string) =>
  decodeEdgeDevice(objects(name).find(({ kind }: { readonly kind: string }) => kind === "EdgeDevice"))

describe("the examples", () => {
  it.effect.each(["edgedevice-grpc.yaml", "edgedevice-mqtt.yaml"])(
    "of an EdgeDevice, %s, is good and up to date",
    (name) =>
      Effect.gen(function*() {
        assert.deepStrictEqual((yield* edgeDeviceOf(name)).warnings, [])
      })
  )

  it.effect("of both ends of MQTT fit each other", () =>
    Effect.gen(function*() {
      const { mqtt } = (yield* edgeDeviceOf("edgedevice-mqtt.yaml")).spec.connectivity
      const { connectivity } = yield* decodeConfig(ArhatConfig)("arhat-mqtt.yaml", text("arhat-mqtt.yaml"), () =>
        undefined)
      const best = connectivity.methods.toSorted((a, b) =>
        a.priority - b.priority
      )[0]
      assert.strictEqual(best?.name, "mqtt")
      if (best?.name !== "mqtt" || mqtt === undefined) return assert.fail("the example is about MQTT")
      assert.strictEqual(best.config.endpoint, mqtt.broker)
      assert.strictEqual(best.config.topicNamespaceFrom.text, mqtt.topicNamespace)
      assert.strictEqual(best.config.maxPayloadSize, mqtt.maxPayloadSize)
      assert.isTrue(best.config.tls.enabled)

      const encoded = (name: string) => {
        const { stringData, ...rest } = objects("edgedevice-mqtt.yaml").find(({ kind, metadata }) =>
          kind === "Secret" && metadata.name === name
        )
        const data = Object.fromEntries(
          Object.entries(stringData as Record<string, string>).map((
            [key, value]
          ) => [key, Buffer.from(value).toString("base64")])
        )
        return { ...rest, data }
      }
      const reading = brokerAccess(mqtt, encoded("broker-tls"), encoded("broker-login"))
      assert.isTrue("found" in reading, "wrong" in reading ? reading.wrong : "")
    }))
})

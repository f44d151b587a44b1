/** Devices that reach their operator through a broker: what runs, what a broker that dies costs, and the way round it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { apply, eventually } from "./Line.ts"
import { login, mqttLine, passwordOf, pod, waitFor } from "./mqttLine.ts"

/** Ends by itself after ten minutes, should a failing test leave it behind. */
const counting = "n=0; while [ $n -lt 6000 ]; do n=$((n+1)); echo line $n; sleep 0.1; done"

const numbers = (text: string) => [...text.matchAll(/^line (\d+)$/gm)].map(([, n]) => Number(n))

/** Whatever was counted is there once and in order, from the first on. */
const assertWhole = (text: string) => {
  const counted = numbers(text)
  assert.deepStrictEqual(counted, counted.map((_, index) => index + 1), "every line came once and in order")
}

describe("a device at a broker", () => {
  it.live(
    "runs pods and gives their logs; a broker that is killed under load is missed by name, and nothing restarts",
    () =>
      Effect.gen(function*() {
        const line = yield* mqttLine("a device at a broker", { beatInterval: "2s" })
        if (line === undefined) return
        const { agent, broker, carriedBy, condition, edgeDevice, identityOf, kubectl, mqtt, running, watching } = line
        const arhat = yield* agent("edge-1")
        yield* apply(kubectl, edgeDevice("edge-1", arhat.publicKey, mqtt("edge-1")))
        yield* arhat.start
        yield* carriedBy("edge-1", "mqtt")
        yield* condition("edgedevice", "edge-1", "BrokerConnected", /^True Connected connected to 127\.0\.0\.1:\d+$/)
        yield* condition("node", "edge-1", "DeviceConnected", /^True /)

        yield* apply(
          kubectl,
          pod("edge-1", "count", counting),
          pod("edge-1", "flood", `while :; do ${counting.replace("sleep 0.1", ":")}; sleep 1; done`)
        )
        yield* running("count")
        yield* running("flood")
        const before = yield* identityOf("count")
        const followed = yield* watching("followed", ["logs", "-f", "-n", "edge", "count"])
        const flooded = yield* watching("flooded", ["logs", "-f", "-n", "edge", "flood"])
        const last = () => numbers(followed()).at(-1) ?? 0
        yield* waitFor("the log at first", followed, () => last() > 10)
        yield* waitFor("much of the other log", () => String(flooded().length), (seen) => Number(seen) > 100_000)

        const cutAt = last()
        yield* broker.kill
        yield* condition("edgedevice", "edge-1", "BrokerConnected", /^False BrokerDown .*(ECONNREFUSED|lost|ended)/)
        yield* condition("node", "edge-1", "DeviceConnected", /^False BrokerDown the way to the device is down/)
        yield* apply(kubectl, pod("edge-1", "later", counting))
        yield* broker.start
        yield* condition("edgedevice", "edge-1", "BrokerConnected", /^True /)
        yield* condition("node", "edge-1", "DeviceConnected", /^True /)
        yield* waitFor("the log after the broker is back", followed, () => last() > cutAt + 100)
        yield* running("later")
        assert.strictEqual(yield* identityOf("count"), before, "the same pod, container and count of restarts")

        const deleted = yield* kubectl(["delete", "pod", "--all", "-n", "edge", "--timeout=60s"])
        assert.strictEqual(deleted.exitCode, 0, deleted.stderr)
        assertWhole(followed())
        assert.notInclude(followed(), "error")
      }).pipe(Effect.scoped),
    300_000
  )

  it.live(
    "falls over to gRPC when the broker dies and goes back when it lives, under a log that is being followed",
    () =>
      Effect.gen(function*() {
        const line = yield* mqttLine("falling over from a broker to gRPC", { beatInterval: "2s" })
        if (line === undefined) return
        const { agent, broker, carriedBy, edgeDevice, identityOf, kubectl, mqtt, running, watching } = line
        const arhat = yield* agent("edge-1", { grpc: true })
        yield* apply(kubectl, edgeDevice("edge-1", arhat.publicKey, mqtt("edge-1")))
        yield* arhat.start
        yield* carriedBy("edge-1", "mqtt")
        yield* apply(kubectl, pod("edge-1", "count", counting))
        yield* running("count")
        const before = yield* identityOf("count")
        const followed = yield* watching("followed", ["logs", "-f", "-n", "edge", "count"])
        const last = () => numbers(followed()).at(-1) ?? 0
        yield* waitFor("the log by way of the broker", followed, () => last() > 10)

        yield* broker.kill
        yield* carriedBy("edge-1", "grpc")
        const byGrpc = last()
        yield* waitFor("the log by gRPC", followed, () => last() > byGrpc + 50)
        yield* broker.start
        yield* carriedBy("edge-1", "mqtt", 240)
        const byBroker = last()
        yield* waitFor("the log by way of the broker again", followed, () => last() > byBroker + 50)

        assert.strictEqual(yield* identityOf("count"), before, "the same pod, container and count of restarts")
        const deleted = yield* kubectl(["delete", "pod", "count", "-n", "edge", "--timeout=60s"])
        assert.strictEqual(deleted.exitCode, 0, deleted.stderr)
        assertWhole(followed())
      }).pipe(Effect.scoped),
    600_000
  )

  it.live(
    "is told what is wrong with its Secret, gets through once that is mended, and no other device notices",
    () =>
      Effect.gen(function*() {
        const line = yield* mqttLine("a broker's Secret that is wrong", { beatInterval: "2s" })
        if (line === undefined) return
        const { agent, broker, carriedBy, condition, edgeDevice, kubectl, mqtt } = line
        const first = yield* agent("edge-1")
        // Written as in 2019.
        const second = yield* agent("edge-2")
        yield* apply(
          kubectl,
          { ...login(passwordOf("aranya")), metadata: { namespace: "edge", name: "other-login" } },
          edgeDevice("edge-1", first.publicKey, mqtt("edge-1")),
          edgeDevice("edge-2", second.publicKey, {
            method: "mqtt",
            grpcConfig: { tlsSecretRef: {} },
            mqttConfig: {
              server: broker.address,
              messageNamespace: "edge/edge-2",
              tlsSecretRef: { name: "broker-ca" },
              userPassRef: { name: "other-login" },
              connectPacket: { cleanSession: true, keepalive: 30 }
            }
          })
        )
        yield* first.start
        yield* second.start
        yield* carriedBy("edge-1", "mqtt")
        yield* carriedBy("edge-2", "mqtt")
        yield* condition(
          "edgedevice",
          "edge-2",
          "Invalid",
          /^False UnderstoodWithWarnings .*spec\.connectivity\.mqtt\.messageNamespace is an older spelling: write spec\.connectivity\.mqtt\.topicNamespace\./
        )
        yield* eventually(
          kubectl,
          ["get", "events", "-n", "edge", "-o", "jsonpath={.items[?(@.reason=='OlderSpelling')].message}"],
          (out) => out.includes("spec.connectivity.grpcConfig is an older spelling: write spec.connectivity.grpc.")
        )

        yield* apply(kubectl, login("a wrong one"))
        yield* condition(
          "edgedevice",
          "edge-1",
          "BrokerConnected",
          /^False BrokerDown a credential was not accepted: .*(username|authori[sz]e)/
        )
        const untouched = yield* condition("edgedevice", "edge-2", "BrokerConnected", /^True /)
        yield* kubectl(["delete", "secret", "broker-login", "-n", "edge"])
        yield* condition(
          "edgedevice",
          "edge-1",
          "BrokerConnected",
          /^False BrokerUnusable Secret broker-login of spec\.connectivity\.mqtt\.userPassRef does not exist$/
        )
        yield* apply(kubectl, login(passwordOf("aranya")))
        yield* condition("edgedevice", "edge-1", "BrokerConnected", /^True /)
        yield* carriedBy("edge-1", "mqtt", 240)
        assert.strictEqual(yield* condition("edgedevice", "edge-2", "BrokerConnected", /^/), untouched)

        const refused = yield* kubectl([
          "patch",
          "edgedevice",
          "edge-1",
          "-n",
          "edge",
          "--type=merge",
          "-p",
          JSON.stringify({ spec: { connectivity: { mqtt: { variant: "azure-iot-hub" } } } })
        ])
        if (refused.exitCode === 0) {
          yield* condition(
            "edgedevice",
            "edge-1",
            "Invalid",
            /^True SpecInvalid spec\.connectivity\.mqtt\.variant "azure-iot-hub" is not supported by this version: /
          )
        } else assert.include(refused.stderr, "it is not spoken at both ends yet")
      }).pipe(Effect.scoped),
    600_000
  )
})

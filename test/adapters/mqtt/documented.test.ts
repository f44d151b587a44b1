import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Redacted, Stream } from "effect"
import mqtt from "mqtt"
import { spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"
import { NodeCryptography } from "../../../adapters/crypto/NodeCryptography.ts"
import { decode, encode, Kind, provesEnd } from "../../../adapters/mqtt/envelope.ts"
import { makeMqttAcceptor } from "../../../adapters/mqtt/MqttAcceptor.ts"
import type { BrokerOptions } from "../../../adapters/mqtt/MqttBroker.ts"
import { makeMqttDialer } from "../../../adapters/mqtt/MqttDialer.ts"
import { deviceOn, operatorOn } from "../../contracts/linked.ts"
import { hasMosquitto, mosquitto } from "./mosquitto.ts"

const doc = (name: string) => readFileSync(new URL(`../../../docs/${name}`, import.meta.url), "utf8")

it("a connection's id is made of its secret as docs/protocol.md says", () => {
  const [, secret = "", id = ""] =
    /From the secret\s+`([0-9a-f]{32})` comes the id `([0-9a-f]{16})`/u.exec(doc("protocol.md")) ?? []
  assert.strictEqual(createHash("sha256").update(Buffer.from(secret, "hex")).digest("hex").slice(0, 16), id)
  const message = decode(encode(Kind.End, id, Buffer.from(secret, "hex")))
  assert.isTrue(message !== undefined && provesEnd(message))
  const other = decode(encode(Kind.End, id, Buffer.from(secret.replace("00", "01"), "hex")))
  assert.isFalse(other === undefined || provesEnd(other))
})

describe.skipIf(!hasMosquitto)("the access rules for mosquitto in docs/security.md", () => {
  it.live("let a link through, and nobody else near it", () =>
    Effect.gen(function*() {
      const [, rules = ""] = /```conf\n# acl_file\n([^`]*)```/u.exec(doc("security.md")) ?? []
      assert.match(rules, /pattern/u)
      const { directory, kill, ports: [port = 0], start } = yield* mosquitto({
        lines: [
          "allow_anonymous false",
          "password_file %DIR%/passwords",
          "acl_file %DIR%/acl",
          "message_size_limit 131072"
        ],
        files: { passwords: "", acl: rules }
      })
      for (const user of ["aranya", "lamp", "door"]) {
        spawnSync("mosquitto_passwd", ["-b", `${directory}/passwords`, user, `of ${user}`])
      }
      yield* kill
      yield* start
      const as = (user: string): BrokerOptions => ({
        host: "127.0.0.1",
        port,
        transport: "tcp",
        version: "5",
        username: user,
        password: Redacted.make(`of ${user}`),
        clientId: user
      })
      const listening = yield* Deferred.make<void>()
      yield* operatorOn(makeMqttAcceptor({
        broker: as("aranya"),
        topicNamespaces: Stream.make(["edge/lamp", "edge/door"]),
        onState: () => Effect.asVoid(Deferred.succeed(listening, undefined))
      }))
      yield* Deferred.await(listening)
      const heard: Array<string> = []
      const other = yield* Effect.acquireRelease(
        Effect.promise(() =>
          mqtt.connectAsync({ host: "127.0.0.1", port, protocol: "mqtt", username: "door", password: "of door" })
        ),
        (other) => Effect.promise(() => other.endAsync(true))
      )
      other.on("message", (topic) => heard.push(topic))
      yield* Effect.promise(() =>
        other.subscribeAsync(["#", "edge/lamp/cmd", "edge/lamp/msg", "edge/door/cmd"], { qos: 1 })
      )
      const dialer = makeMqttDialer({ broker: as("lamp"), topicNamespace: "edge/lamp" })
      const lamp = yield* (yield* deviceOn("lamp", dialer)).session
      // Whole frames pass the limit of payloads too.
      assert.strictEqual((yield* lamp.request(new Uint8Array(500_000))).length, 500_000)
      assert.deepStrictEqual(heard.filter((topic) => !topic.startsWith("edge/door/")), [])
    }).pipe(Effect.scoped, Effect.provide(NodeCryptography.layer), Effect.timeout("50 seconds")), 60_000)
})

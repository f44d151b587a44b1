import { describe } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { makeAuthority } from "../grpc/certificates.ts"
import { type Options, over, plain } from "./contract.ts"
import { hasMosquitto, mosquitto } from "./mosquitto.ts"

const authority = makeAuthority("the broker's")
const server = authority.issue("broker.example")
const files = {
  "ca.pem": authority.cert,
  "cert.pem": server.cert,
  "key.pem": server.key
}
const encrypted = ["cafile %DIR%/ca.pem", "certfile %DIR%/cert.pem", "keyfile %DIR%/key.pem"]
const trusting = { ca: authority.cert, serverName: "broker.example" }

const slowWebsockets = "mosquitto 2.0 reads 4 KiB of a websocket in 0.1 s"

const from = (lines: ReadonlyArray<string>, options: Partial<Options>) =>
  Effect.map(
    mosquitto({ files, listeners: [{ lines }] }),
    ({ ports: [port = 0] }): Options => ({ ...plain, port, ...options })
  )

describe.skipIf(!hasMosquitto)("by mosquitto", () => {
  over("MQTT 3.1.1", from([], {}))
  over("MQTT 5", from([], { version: "5" }))
  over(
    "MQTT 5 with websockets",
    from(["protocol websockets"], { version: "5", transport: "websocket" }),
    slowWebsockets
  )
  over(
    "MQTT 5 with secure websockets",
    from([...encrypted, "protocol websockets"], { version: "5", transport: "secure websocket", tls: trusting }),
    slowWebsockets
  )
  over("MQTT 3.1.1 over TLS", from(encrypted, { transport: "tls", tls: trusting }))
  over(
    "MQTT 5 over mutual TLS",
    from([...encrypted, "require_certificate true"], {
      version: "5",
      transport: "tls",
      tls: { ...trusting, identity: authority.issue("edge-1") },
      username: "lamp",
      password: Redacted.make("not asked for")
    })
  )
})

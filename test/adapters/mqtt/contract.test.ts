import { describe } from "@effect/vitest"
import { Effect } from "effect"
import { makeAuthority } from "../grpc/certificates.ts"
import { aedesBroker, overWebsockets } from "./aedesBroker.ts"
import { over, plain } from "./contract.ts"

const authority = makeAuthority("the broker's")
const identity = authority.issue("broker.example")

describe("by aedes", () => {
  over("MQTT 3.1.1", Effect.map(aedesBroker(), ({ port }) => ({ ...plain, port })))
  over(
    "MQTT 3.1.1 with websockets",
    Effect.map(aedesBroker({}, overWebsockets()), ({ port }) => ({ ...plain, port, transport: "websocket" as const }))
  )
  over(
    "MQTT 3.1.1 with secure websockets",
    Effect.map(aedesBroker({}, overWebsockets({ identity })), ({ port }) => ({
      ...plain,
      port,
      transport: "secure websocket" as const,
      tls: { ca: authority.cert, serverName: "broker.example" }
    }))
  )
})

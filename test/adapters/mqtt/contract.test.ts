import { describe } from "@effect/vitest"
import { Effect } from "effect"
import { aedesBroker, websocketServer } from "./aedesBroker.ts"
import { over, plain } from "./contract.ts"

describe("by aedes", () => {
  over("MQTT 3.1.1", Effect.map(aedesBroker(), ({ port }) => ({ ...plain, port })))
  over(
    "MQTT 3.1.1 with websockets",
    Effect.map(aedesBroker({}, websocketServer), ({ port }) => ({ ...plain, port, transport: "websocket" as const }))
  )
})

/** HTTP/2 pings on silent connections, as they pass between both ends. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { makeGrpcDialer } from "../../../adapters/grpc/GrpcDialer.ts"
import { listening } from "./listening.ts"
import { pingRelay, type Pings } from "./pingRelay.ts"

const often = { keepalive: "100 millis" } as const

/** A connection on which nobody says anything, and what passes on its way. */
const silentConnection = Effect.fnUntraced(function*(told: { readonly device?: object; readonly operator?: object }) {
  const door = yield* listening(told.operator ?? {}, () => Effect.never)
  const relay = yield* pingRelay(door.port)
  yield* makeGrpcDialer({ target: `127.0.0.1:${relay.port}`, tls: "insecure", ...told.device }).connect
  return relay
})

describe("a silent gRPC connection", () => {
  for (const end of ["device", "operator"] as const) {
    it.live(`is pinged again and again by the ${end} where that is told to, and by nobody else`, () =>
      Effect.gen(function*() {
        // Silent for longer, and nobody was told anything.
        const quiet = yield* silentConnection({})
        const { pings, until } = yield* silentConnection({ [end]: often })
        yield* until(({ [end]: count }) => count >= 5)
        const none: Pings = { device: 0, operator: 0 }
        assert.deepStrictEqual({ ...pings, [end]: 0 }, none)
        assert.deepStrictEqual(quiet.pings, none)
      }).pipe(Effect.scoped))
  }
})

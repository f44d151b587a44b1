import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { countedConnection } from "../../../core/link/Traffic.ts"
import type { Connection } from "../../../core/link/Transport.ts"

it("a connection whose bytes are counted is still known to be open to strangers", () => {
  const connection: Connection = {
    description: "memory",
    maxFrame: 4096,
    send: () => Effect.void,
    receive: Effect.never,
    strangers: true,
    proven: Effect.void
  }
  const { connection: counted } = countedConnection(connection)
  assert.deepStrictEqual([counted.strangers, counted.proven], [true, connection.proven])
})

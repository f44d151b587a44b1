/** Loopback ports nobody listens on at this moment, all different; for programs that cannot be told to choose one themselves. */
import { Effect } from "effect"
import { createServer, type Server } from "node:net"

export const freePorts = (count: number): Effect.Effect<ReadonlyArray<number>> =>
  Effect.scoped(Effect.all(Array.from({ length: count }, () => heldPort)))

const heldPort = Effect.acquireRelease(
  Effect.callback<Server>((resume) => {
    const server = createServer()
    server.once("error", (error) => resume(Effect.die(error)))
    server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
  }),
  (server) => Effect.callback<void>((resume) => void server.close(() => resume(Effect.void)))
).pipe(Effect.map((server) => {
  const address = server.address()
  return typeof address === "object" && address !== null ? address.port : 0
}))

/**
 * Loopback ports nobody listens on at this moment, all different; for programs that cannot be told to choose one themselves. Below
 * the range from which the system gives out ports: a program that is stopped for a while finds its port free again.
 */
import { Effect, Schedule } from "effect"
import { randomInt } from "node:crypto"
import { createServer, type Server } from "node:net"

/** Linux gives out 32768 and above. */
const [least, below] = [10_000, 32_768] as const

export const freePorts = (count: number): Effect.Effect<ReadonlyArray<number>> =>
  Effect.scoped(Effect.all(Array.from({ length: count }, () => heldPort)))

const heldPort = Effect.acquireRelease(
  Effect.callback<Server, Error>((resume) => {
    const server = createServer()
    server.once("error", (error) => resume(Effect.fail(error)))
    server.listen(randomInt(least, below), "127.0.0.1", () => resume(Effect.succeed(server)))
  }).pipe(Effect.retry(Schedule.recurs(50)), Effect.orDie),
  (server) => Effect.callback<void>((resume) => void server.close(() => resume(Effect.void)))
).pipe(Effect.map((server) => {
  const address = server.address()
  return typeof address === "object" && address !== null ? address.port : 0
}))

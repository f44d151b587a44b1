/** A stretch of network between an agent and its operator that can be cut in the ways networks are: a loopback TCP proxy. */
import { Effect, type Scope } from "effect"
import { connect, createServer, type Server, type Socket } from "node:net"

/**
 * `pass`: bytes go both ways. `blackHole`: connections open and stay open, what comes is taken and nothing comes back.
 * `reset`: connections are answered with RST. `refuse`: nobody listens.
 */
export type ProxyMode = "pass" | "blackHole" | "reset" | "refuse"

export interface TcpProxy {
  readonly port: number
  /**
   * From now on, for new connections and those that are up; `refuse` leaves the latter as they are. What fell into a black
   * hole never comes out of it: TCP knows no gaps, so such a connection stays dead when the mode changes back.
   */
  readonly become: (mode: ProxyMode) => Effect.Effect<void>
  /** Connections opened to it since it began. */
  readonly connections: () => number
}

interface Pair {
  readonly near: Socket
  readonly far: Socket | undefined
  swallowed: boolean
}

/** Listens on 127.0.0.1 until the scope closes; what passes goes to `target`, a port of 127.0.0.1. */
export const startTcpProxy = (target: number): Effect.Effect<TcpProxy, never, Scope.Scope> =>
  Effect.gen(function*() {
    const pairs = new Set<Pair>()
    let mode: ProxyMode = "pass"
    let opened = 0

    const end = (pair: Pair, how: "destroy" | "resetAndDestroy") => {
      pairs.delete(pair)
      pair.near[how]()
      pair.far?.[how]()
    }

    const accept = (near: Socket) => {
      opened += 1
      // Its end is told by `close`, whatever was before.
      near.on("error", () => {})
      if (mode === "reset") return void near.resetAndDestroy()
      if (mode === "blackHole") {
        const pair: Pair = { near, far: undefined, swallowed: true }
        pairs.add(pair)
        near.on("close", () => end(pair, "destroy"))
        return void near.resume()
      }
      const far = connect({ port: target, host: "127.0.0.1" })
      far.on("error", () => {})
      const pair: Pair = { near, far, swallowed: false }
      pairs.add(pair)
      for (const [from, to] of [[near, far], [far, near]] as const) {
        from.setNoDelay(true)
        from.on("data", (bytes) => {
          if (pair.swallowed) return
          if (!to.write(bytes)) from.pause()
        })
        to.on("drain", () => from.resume())
        from.on("end", () => {
          if (!pair.swallowed) to.end()
        })
        // In a black hole the other end learns nothing of it.
        from.on("close", () => {
          if (!pair.swallowed) return end(pair, "destroy")
          if (near.destroyed && far.destroyed) pairs.delete(pair)
        })
      }
    }

    const server = yield* Effect.acquireRelease(
      Effect.sync(() => createServer({ allowHalfOpen: true }, accept)),
      (server) =>
        Effect.callback<void>((resume) => {
          for (const pair of [...pairs]) end(pair, "destroy")
          server.close(() => resume(Effect.void))
        })
    )
    const port = yield* listen(server, 0)

    const become = Effect.fnUntraced(function*(next: ProxyMode) {
      const before = mode
      mode = next
      if (next === "blackHole") {
        for (const pair of pairs) {
          pair.swallowed = true
          pair.near.resume()
          pair.far?.resume()
        }
      }
      if (next === "reset") { for (const pair of [...pairs]) end(pair, "resetAndDestroy") }
      if (next === "refuse" && before !== "refuse") yield* Effect.sync(() => void server.close())
      if (next !== "refuse" && before === "refuse") yield* listen(server, port)
    })
    return { port, become, connections: () => opened }
  })

const listen = (server: Server, port: number) =>
  Effect.callback<number>((resume) => {
    server.once("error", (error) => resume(Effect.die(error)))
    server.listen(port, "127.0.0.1", () => {
      server.removeAllListeners("error")
      const address = server.address()
      resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0))
    })
  })

/**
 * Notices that the client of an upgraded connection has gone also while nothing is read from it, because its command takes no more
 * input: its end of stream then waits behind what it sent. A ping makes the kernel of one that is gone answer with a reset, and who
 * stands in between (an API server) try to hand it on.
 */
import { Context, type Duration, Effect } from "effect"
import type { Duplex } from "node:stream"
import { ClientGone } from "../../core/kubelet/RemoteClient.ts"

/** The connection itself, below whatever reads it. */
export type Connection = Duplex & { readonly bytesRead?: number }

/** A client from which nothing comes is pinged so often; those of Kubernetes ping every 5 s by themselves. */
export const PingInterval = Context.Reference<Duration.Input>("aranya/kubelet/PingInterval", {
  defaultValue: () => "5 seconds"
})

const closed = (connection: Connection) =>
  Effect.callback<void>((resume) => {
    const done = () => resume(Effect.void)
    connection.on("close", done)
    return Effect.sync(() => connection.off("close", done))
  })

/** Fails when the connection is over. `ping` is a whole frame that may go between any two others. */
export const hangUp = Effect.fnUntraced(function*(connection: Connection, ping: () => Uint8Array) {
  const every = yield* PingInterval
  const probes = Effect.gen(function*() {
    for (let read = connection.bytesRead; !connection.destroyed; read = connection.bytesRead) {
      yield* Effect.sleep(every)
      // Output that waits is a probe by itself.
      if (connection.bytesRead === read && !connection.destroyed && !connection.writableNeedDrain) {
        connection.write(ping())
      }
    }
  })
  yield* Effect.raceFirst(closed(connection), probes)
  return yield* new ClientGone({ detail: "the client hung up" })
})

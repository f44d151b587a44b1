/** WebSockets whose writers wait for a client that reads slowly: by themselves they take everything into memory. */
import { Effect } from "effect"
import { Socket } from "effect/socket"
import type { Duplex } from "node:stream"

/** At once where it takes more, else when what it holds has been taken, or it is gone. */
const drained = (carrier: Duplex): Effect.Effect<void> =>
  Effect.callback((resume) => {
    if (!carrier.writableNeedDrain || carrier.closed) return resume(Effect.void)
    const off = () => {
      carrier.off("drain", on)
      carrier.off("close", on)
    }
    const on = () => {
      off()
      resume(Effect.void)
    }
    carrier.on("drain", on)
    carrier.on("close", on)
    return Effect.sync(off)
  })

/** `carrier` is the connection below it. */
export const patientWebSocket = (socket: Socket.Socket, carrier: Duplex): Socket.Socket => {
  const patience = drained(carrier)
  return Socket.make({
    reader: socket.reader,
    writer: Effect.map(socket.writer, ({ write, writeAll }) => ({
      write: (chunk) => Effect.andThen(write(chunk), patience),
      writeAll: (chunks) => Effect.andThen(writeAll(chunks), patience)
    }))
  })
}

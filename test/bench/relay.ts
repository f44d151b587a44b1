/** A relay in front of the operator's door that can be closed, as a line can be down. */
import { Effect } from "effect"
import { connect, createServer, type Socket } from "node:net"

export interface Relay {
  readonly port: number
  /** Whether connections are let in from now on; closing breaks what is connected. */
  readonly open: (open: boolean) => Effect.Effect<void>
}

export const relayTo = (targetPort: number) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly close: () => void; readonly relay: Relay }>((resume) => {
      let letIn = true
      const sockets = new Set<Socket>()
      const breakAll = () => {
        for (const socket of sockets) socket.destroy()
      }
      const pass = (from: Socket, to: Socket) => {
        sockets.add(from)
        from.setNoDelay(true)
        from.on("data", (chunk) => to.write(chunk))
        from.once("end", () => to.end())
        from.once("error", () => to.destroy())
        from.once("close", () => {
          sockets.delete(from)
          to.destroy()
        })
      }
      const server = createServer((device) => {
        if (!letIn) {
          device.destroy()
          return
        }
        const operator = connect({ host: "127.0.0.1", port: targetPort })
        pass(device, operator)
        pass(operator, device)
      })
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        const port = typeof address === "object" && address !== null ? address.port : 0
        const close = () => {
          server.close()
          breakAll()
        }
        const relay: Relay = {
          port,
          open: (open) =>
            Effect.sync(() => {
              letIn = open
              if (!open) breakAll()
            })
        }
        resume(Effect.succeed({ close, relay }))
      })
    }),
    ({ close }) => Effect.sync(close)
  ).pipe(Effect.map(({ relay }) => relay))

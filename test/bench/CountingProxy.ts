/** A relay in front of the operator's door that counts what passes, both ways, as a metered line would. */
import { Effect } from "effect"
import { connect, createServer, type Socket } from "node:net"

export interface Traffic {
  /** Bytes of TCP payload, both directions. */
  readonly bytes: number
  /** Packets with data, at a common segment size. */
  readonly segments: number
  readonly connections: number
}

/** TCP payload of an Ethernet packet: 1500 less IPv4, TCP and timestamps. */
const segmentSize = 1448
/** IPv4 (20), TCP (20), timestamps (12). */
const headers = 52
/** SYN and SYN-ACK (60 each with their options), ACK. */
const opening = 60 + 60 + headers
/** FIN and ACK each way. */
const closing = 4 * headers

/** What the line carries, packet headers included, if each data packet is answered by one bare acknowledgement: the most there can be. */
export const onTheWire = ({ bytes, connections, segments }: Traffic): number =>
  bytes + 2 * headers * segments + (opening + closing) * connections

export const less = (now: Traffic, before: Traffic): Traffic => ({
  bytes: now.bytes - before.bytes,
  segments: now.segments - before.segments,
  connections: now.connections - before.connections
})

export interface CountingProxy {
  readonly port: number
  readonly traffic: Effect.Effect<Traffic>
  /** Breaks what is connected; devices may come back at once. */
  readonly cut: Effect.Effect<void>
  /** Whether connections are let in from now on; closing breaks what is connected. */
  readonly open: (open: boolean) => Effect.Effect<void>
}

export const countingProxy = (targetPort: number) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly close: () => void; readonly proxy: CountingProxy }>((resume) => {
      let traffic: Traffic = { bytes: 0, segments: 0, connections: 0 }
      let letIn = true
      const sockets = new Set<Socket>()
      const breakAll = () => {
        for (const socket of sockets) socket.destroy()
      }
      const relay = (from: Socket, to: Socket) => {
        sockets.add(from)
        from.setNoDelay(true)
        from.on("data", (chunk) => {
          traffic = {
            ...traffic,
            bytes: traffic.bytes + chunk.length,
            segments: traffic.segments + Math.ceil(chunk.length / segmentSize)
          }
          to.write(chunk)
        })
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
        traffic = { ...traffic, connections: traffic.connections + 1 }
        const operator = connect({ host: "127.0.0.1", port: targetPort })
        relay(device, operator)
        relay(operator, device)
      })
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        const port = typeof address === "object" && address !== null ? address.port : 0
        const close = () => {
          server.close()
          breakAll()
        }
        const proxy: CountingProxy = {
          port,
          traffic: Effect.sync(() => traffic),
          cut: Effect.sync(breakAll),
          open: (open) =>
            Effect.sync(() => {
              letIn = open
              if (!open) breakAll()
            })
        }
        resume(Effect.succeed({ close, proxy }))
      })
    }),
    ({ close }) => Effect.sync(close)
  ).pipe(Effect.map(({ proxy }) => proxy))

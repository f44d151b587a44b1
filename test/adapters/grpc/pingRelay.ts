/** A way between both ends of gRPC in plain text, which counts the HTTP/2 pings that pass it. */
import { Effect } from "effect"
import { connect, createServer, type Server, type Socket } from "node:net"

export interface Pings {
  device: number
  operator: number
}

/** RFC 9113: 3.4, 4.1 and 6.7. */
const preface = Buffer.byteLength("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
const frameHead = 9
const pingType = 0x6
const acknowledgement = 0x1

/** Calls `pinged` for each PING in a stream of frames, however it is cut, that is no answer to one; `skip` bytes come before the first. */
const watch = (skip: number, pinged: () => void) => {
  let left = skip
  let head = Buffer.alloc(0)
  return (chunk: Buffer): void => {
    let rest = chunk
    while (rest.length > 0) {
      const passed = Math.min(left, rest.length)
      left -= passed
      rest = rest.subarray(passed)
      const taken = rest.subarray(0, left > 0 ? 0 : frameHead - head.length)
      head = Buffer.concat([head, taken])
      rest = rest.subarray(taken.length)
      if (head.length < frameHead) continue
      left = head.readUIntBE(0, 3)
      if (head[3] === pingType && ((head[4] ?? 0) & acknowledgement) === 0) pinged()
      head = Buffer.alloc(0)
    }
  }
}

/** Leads to an operator's port for as long as the scope lives; `pings` grow under the eyes of whoever reads them. */
export const pingRelay = Effect.fnUntraced(function*(port: number) {
  const pings: Pings = { device: 0, operator: 0 }
  const sockets = new Set<Socket>()
  const server = yield* Effect.acquireRelease(
    Effect.callback<Server>((resume) => {
      const server = createServer((device) => {
        const operator = connect(port, "127.0.0.1")
        for (const [from, to] of [[device, operator], [operator, device]] as const) {
          sockets.add(from)
          from.on("error", () => {}).once("close", () => {
            sockets.delete(from)
            to.destroy()
          }).pipe(to)
        }
        device.on("data", watch(preface, () => pings.device += 1))
        operator.on("data", watch(0, () => pings.operator += 1))
      })
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) =>
      Effect.sync(() => {
        server.close()
        for (const socket of sockets) socket.destroy()
      })
  )
  const until = (holds: (pings: Readonly<Pings>) => boolean) =>
    Effect.sleep("10 millis").pipe(
      Effect.repeat({ until: () => holds(pings) }),
      Effect.timeout("30 seconds")
    )
  return { port: (server.address() as { readonly port: number }).port, pings: pings as Readonly<Pings>, until }
})

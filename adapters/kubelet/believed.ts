/** Which connections have shown their certificate to the authorities of today: TLS judges each of them once, when it begins. */
import type { Server } from "node:https"
import type { Socket } from "node:net"

const clientOf = ({ remoteAddress, remotePort }: Socket) => `${remoteAddress} ${remotePort}`

export interface Believed {
  readonly isOfToday: (socket: Socket) => boolean
  /** Other authorities count from now on, also for what is asked next on connections that go on. */
  readonly authoritiesChanged: () => void
}

export const believedBy = (server: Server): Believed => {
  let today = {}
  const judged = new WeakMap<Socket, object>()
  const beginning = new Map<string, Socket>()
  server.on("connection", (socket: Socket) => {
    const client = clientOf(socket)
    beginning.set(client, socket)
    socket.once("close", () => beginning.delete(client))
  })
  server.on("secureConnection", (socket) => {
    beginning.delete(clientOf(socket))
    judged.set(socket, today)
  })
  return {
    isOfToday: (socket) => judged.get(socket) === today,
    authoritiesChanged: () => {
      today = {}
      // These will be judged by the authorities of before.
      for (const socket of beginning.values()) socket.destroy()
      // Their clients make others; who is still known should not hear a refusal first.
      server.closeIdleConnections()
    }
  }
}

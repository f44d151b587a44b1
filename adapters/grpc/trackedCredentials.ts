/**
 * Channel credentials that know the sockets made with them. grpc-js 1.14 forgets a socket on which a peer accepts but never
 * speaks HTTP/2 (a captive portal, a hung balancer): closing the client leaves it open for ever.
 */
import type { ChannelCredentials } from "@grpc/grpc-js"
import type { Socket } from "node:net"

export interface TrackedCredentials {
  readonly credentials: ChannelCredentials
  /** Destroys whatever is still open. */
  readonly destroySockets: () => void
}

/** The credentials must be of one client alone. */
export const trackedCredentials = (credentials: ChannelCredentials): TrackedCredentials => {
  const sockets = new Set<Socket>()
  const create = credentials._createSecureConnector.bind(credentials)
  credentials._createSecureConnector = (...args) => {
    const connector = create(...args)
    const connect = connector.connect.bind(connector)
    connector.connect = (socket) => {
      sockets.add(socket)
      socket.once("close", () => sockets.delete(socket))
      return connect(socket)
    }
    return connector
  }
  return {
    credentials,
    destroySockets: () => {
      for (const socket of sockets) socket.destroy()
    }
  }
}

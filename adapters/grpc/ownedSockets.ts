/**
 * Channel credentials that own the sockets made with them, for what grpc-js 1.14 and Node 20 to 24 leave undone:
 *
 * - grpc-js forgets a socket on which a peer accepts but never speaks HTTP/2 (a captive portal, a hung balancer), and a client that
 *   failed to connect and was closed connects again when its back-off is over, and stays connected for ever.
 * - Node's HTTP/2 stops reading while a write is under way, and loses the end of a write that TLS was busy with when the peer's
 *   reset arrived: nobody learns that the connection is gone. Here TLS runs over a stream that is always read, and goes when it goes.
 */
import type { ChannelCredentials } from "@grpc/grpc-js"
import type { Socket } from "node:net"
import { Duplex } from "node:stream"

export interface OwnedSockets {
  readonly credentials: ChannelCredentials
  /** Destroys whatever is open, and opens nothing more. */
  readonly close: () => void
}

/** What came before the end has this long to be read. */
const readingMillis = 1000

const closed = () => Promise.reject(new Error("the client was closed"))

/** The credentials must be of one client alone. */
export const ownedSockets = (credentials: ChannelCredentials): OwnedSockets => {
  const sockets = new Set<Socket>()
  let over = false
  const create = credentials._createSecureConnector.bind(credentials)
  credentials._createSecureConnector = (...args) => {
    const connector = create(...args)
    const connect = connector.connect.bind(connector)
    const waitForReady = connector.waitForReady.bind(connector)
    connector.waitForReady = () => over ? closed() : waitForReady()
    connector.connect = async (socket) => {
      if (over) return closed()
      sockets.add(socket)
      socket.once("close", () => sockets.delete(socket))
      if (!credentials._isSecure()) return connect(socket)
      const stream = Duplex.from({ readable: socket, writable: socket })
      // Of an error the end is told; both must have a listener all the same.
      for (const each of [socket, stream]) each.on("error", () => {})
      // TLS takes any stream, whatever its type says.
      const made = await connect(stream as Socket)
      socket.once("close", () => setTimeout(() => made.socket.destroy(), readingMillis).unref())
      return made
    }
    return connector
  }
  return {
    credentials,
    close: () => {
      over = true
      for (const socket of sockets) socket.destroy()
    }
  }
}

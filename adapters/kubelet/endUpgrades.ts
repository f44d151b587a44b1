/** What Node's HTTP server leaves to others: the end of connections that asked for an upgrade, were it refused or is it over. */
import type { IncomingMessage, ServerResponse } from "node:http"
import type { Server } from "node:https"
import type { Duplex } from "node:stream"

/** Node answers some requests by itself, such as those without a Host, and tells nobody but by this. */
const isAnswered = (socket: Duplex) => (socket as { readonly _httpMessage?: unknown })._httpMessage != null

/** The client has so many milliseconds to read what is left for it and to hang up. */
export const endWithin = (socket: Duplex, goodbye: number): void => {
  if (socket.closed) return
  const timer = setTimeout(() => socket.destroy(), goodbye)
  socket.once("close", () => clearTimeout(timer))
}

/**
 * Nobody reads such a connection after its last word, and what its client still says would keep it open for ever, client or not.
 * `goodbye` is the time in milliseconds that a client has to read that last word and to hang up. An upgrade that is sent right
 * behind another request is hung up on: both answers would want the connection, or the one before was its last word.
 */
export const endUpgrades = (server: Server, goodbye: number): void => {
  const answering = new WeakMap<Duplex, Set<ServerResponse>>()
  /** Answers that are open on a connection, told when it ends: Node tells none any more once an upgrade or CONNECT came behind them. */
  const openOn = (socket: Duplex): Set<ServerResponse> => {
    const known = answering.get(socket)
    if (known !== undefined) return known
    const open = new Set<ServerResponse>()
    answering.set(socket, open)
    socket.once("close", () => {
      for (const response of open) {
        response.req.destroy()
        response.emit("close")
      }
    })
    return open
  }
  const note = ({ socket }: IncomingMessage, response: ServerResponse) => {
    const open = openOn(socket).add(response)
    response.once("close", () => open.delete(response))
  }
  // Either of the two for each request: those that ask to be waited for come by a name of their own.
  server.on("request", note)
  server.on("checkContinue", note)
  server.on("upgrade", (_, socket) => {
    if (isAnswered(socket) || socket.writableEnded) return void socket.destroy()
    socket.once("finish", () => {
      socket.resume()
      endWithin(socket, goodbye)
    })
  })
}

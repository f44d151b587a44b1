/** What Node's HTTP server leaves to others: the end of connections that asked for an upgrade, were it refused or is it over. */
import type { Server } from "node:https"
import type { Duplex } from "node:stream"

/**
 * Nobody reads such a connection after its last word, and what its client still says would keep it open for ever, client or not.
 * `goodbye` is the time in milliseconds that a client has to read that last word and to hang up. An upgrade that is sent right
 * behind another request is hung up on: both answers would want the connection.
 */
export const endUpgrades = (server: Server, goodbye: number): void => {
  const answering = new WeakSet<Duplex>()
  server.on("request", ({ socket }, response) => {
    answering.add(socket)
    response.once("close", () => answering.delete(socket))
  })
  server.on("upgrade", (_, socket) => {
    if (answering.has(socket)) return void socket.destroy()
    socket.once("finish", () => {
      socket.resume()
      const timer = setTimeout(() => socket.destroy(), goodbye)
      socket.once("close", () => clearTimeout(timer))
    })
  })
}

/** How long the headers of a request may be, by who sends them: they are kept, and copied with each piece, before it is known who asks. */
import type { Server } from "node:https"

/** Bytes. Who has shown a certificate of an authority of ours is no stranger. */
export const limitHeaders = (server: Server, limits: { readonly known: number; readonly strangers: number }): void => {
  // Node reads it for the parser of each connection, in the listener behind this one.
  const parsers = server as Server & { maxHeaderSize?: number }
  server.prependListener("secureConnection", ({ authorized }) => {
    parsers.maxHeaderSize = authorized ? limits.known : limits.strangers
  })
}

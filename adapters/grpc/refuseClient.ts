/**
 * Tells a client whose certificate is missing or not accepted that this is why, as the answer to its call: Node's TLS sends no alert
 * for it, and a connection that just ends looks like any other network that hangs up.
 */
import { status } from "@grpc/grpc-js"
import { constants, performServerHandshake } from "node:http2"
import type { TLSSocket } from "node:tls"

/** A client that does not ask by then is not told. */
const askedWithin = 5_000

export const hasShownCertificate = (socket: TLSSocket): boolean =>
  Object.keys(socket.getPeerCertificate() ?? {}).length > 0

const reasonOf = (socket: TLSSocket): string => {
  // At run time it is the code of OpenSSL, such as CERT_HAS_EXPIRED.
  const why = String(socket.authorizationError).toLowerCase().replaceAll("_", " ")
  return hasShownCertificate(socket)
    ? `the operator does not accept this client certificate (${why}): set tls.cert and tls.key to one that is valid and of an `
      + "authority it trusts"
    : "the operator wants a client certificate: set tls.cert and tls.key"
}

export const refuseClient = (socket: TLSSocket): void => {
  const message = encodeURI(reasonOf(socket))
  const session = performServerHandshake(socket, {
    settings: { maxConcurrentStreams: 1, enablePush: false },
    maxSessionMemory: 1,
    maxHeaderListPairs: 64
  })
  const end = setTimeout(() => socket.destroy(), askedWithin)
  session.on("error", () => socket.destroy())
  session.on("close", () => clearTimeout(end))
  session.once("stream", (stream) => {
    stream.on("error", () => {})
    if (stream.destroyed) return
    stream.respond({
      [constants.HTTP2_HEADER_STATUS]: 200,
      [constants.HTTP2_HEADER_CONTENT_TYPE]: "application/grpc",
      "grpc-status": String(status.UNAUTHENTICATED),
      "grpc-message": message
    }, { endStream: true })
    session.close()
  })
}

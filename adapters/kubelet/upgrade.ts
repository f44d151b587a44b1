/** Takes a connection from HTTP to the streams of exec, attach and port-forward, in the protocol that its client speaks. */
import { NodeHttpServerRequest } from "@effect/platform-node"
import { Effect, Fiber } from "effect"
import { type HttpServerRequest, HttpServerResponse } from "effect/http"
import type { KubeletAnswer } from "../../core/kubelet/KubeletAnswer.ts"
import type { ClientGone } from "../../core/kubelet/RemoteClient.ts"
import { type Connection, hangUp } from "./hangUp.ts"
import { patientWebSocket } from "./patientWebSocket.ts"
import { portForwardProtocol, spdyForwardClient } from "./spdy/forwardClient.ts"
import { pingFrame } from "./spdy/frames.ts"
import { remoteCommandProtocols, spdyProcessClient } from "./spdy/processClient.ts"
import { makeSpdyConnection } from "./spdy/SpdyConnection.ts"
import { makeChannelSocket } from "./webSocket/channels.ts"
import { portForwardSubprotocols, webSocketForwardClient } from "./webSocket/forwardClient.ts"
import { remoteCommandSubprotocols, webSocketProcessClient } from "./webSocket/processClient.ts"

export type Upgrading = Extract<KubeletAnswer, { readonly _tag: "Process" | "Forward" }>

/** SPDY as the payload of a WebSocket's messages, which newer clients use to port-forward. */
export const tunnelled = `SPDY/3.1+${portForwardProtocol}`

/** A client has this long to read the end and to hang up by itself; closing first could take the last output with it. */
const lingering = "5 seconds"

const listed = (header: string | undefined): ReadonlyArray<string> =>
  (header ?? "").split(",").map((name) => name.trim()).filter((name) => name !== "")

const refused = (status: number, text: string, headers: Record<string, string> = {}) =>
  HttpServerResponse.text(text, { status, headers })

/** What the WebSocket server chooses of what a client offers; it is asked before any request is answered. */
export const chooseSubprotocol = (offered: Iterable<string>): string | false => {
  const known = [...remoteCommandSubprotocols, tunnelled]
  return [...offered].find((name) => known.includes(name)) ?? false
}

/** Messages of a WebSocket, before they are read. */
export const mostMessageBytes = 4 * 1024 * 1024

type Socket = Effect.Success<ReturnType<HttpServerRequest.HttpServerRequest["upgradeWith"]>>

const spdySession = Effect.fnUntraced(function*(
  answer: Upgrading,
  protocol: string,
  socket: Socket,
  raw: Connection
) {
  const connection = yield* makeSpdyConnection(socket, raw)
  const served = answer._tag === "Process"
    ? Effect.flatMap(spdyProcessClient(connection, protocol, answer.options), answer.serve)
    : answer.serve(spdyForwardClient(connection))
  yield* Effect.raceFirst(served, connection.closed)
  yield* Effect.timeoutOption(connection.closed, lingering)
}, Effect.scoped)

const channelSession = Effect.fnUntraced(function*(answer: Upgrading, protocol: string, socket: Socket) {
  const channels = yield* makeChannelSocket(socket, protocol.includes("base64"))
  const [served, left] = answer._tag === "Process"
    ? yield* Effect.map(
      webSocketProcessClient(channels, protocol, answer.options),
      ({ client, left }) => [answer.serve(client), left] as const
    )
    : yield* Effect.map(
      webSocketForwardClient(channels, answer.ports),
      ({ client, left }) => [answer.serve(client), left] as const
    )
  yield* Effect.raceFirst(served, Fiber.join(left))
  yield* Effect.timeoutOption(Fiber.join(left), lingering)
}, Effect.scoped)

/** An empty ping of RFC 6455, unmasked as a server's are. */
const webSocketPing = () => Uint8Array.of(0x89, 0)

/** A server's pings have even numbers. */
const makeSpdyPing = () => {
  let number = 0
  return () => pingFrame(number = (number + 2) % 0x7ffffffe)
}

/** Until the streams are over; fails when the connection below them is. */
export const overSpdy = (answer: Upgrading, protocol: string, socket: Socket, raw: Connection, ping = makeSpdyPing()) =>
  Effect.raceFirst(spdySession(answer, protocol, socket, raw), hangUp(raw, ping))

/** The same for the channels of a WebSocket, and for SPDY in its messages. */
export const overWebSocket = (answer: Upgrading, protocol: string, socket: Socket, raw: Connection) => {
  const patient = patientWebSocket(socket, raw)
  return protocol === tunnelled
    ? overSpdy(answer, portForwardProtocol, patient, raw, webSocketPing)
    : Effect.raceFirst(channelSession(answer, protocol, patient), hangUp(raw, webSocketPing))
}

/** Who leaves is not told. */
const quietly = <E extends ClientGone | { readonly message: string }, R>(session: Effect.Effect<void, E, R>) =>
  Effect.catch(session, (error) => Effect.logDebug(`a client of the kubelet API left: ${error.message}`))

/** The response to be returned once the streams are over, or at once where the client's protocol is unknown. */
export const upgrade = Effect.fnUntraced(function*(
  request: HttpServerRequest.HttpServerRequest,
  answer: Upgrading
) {
  const raw: Connection = NodeHttpServerRequest.toIncomingMessage(request).socket
  const to = request.headers["upgrade"]?.toLowerCase()
  if (to === "spdy/3.1") {
    const known = answer._tag === "Process" ? remoteCommandProtocols : [portForwardProtocol]
    const offered = listed(request.headers["x-stream-protocol-version"])
    if (offered.length === 0) {
      return refused(400, "unable to upgrade: header X-Stream-Protocol-Version must name a protocol")
    }
    const protocol = offered.find((name) => known.includes(name))
    if (protocol === undefined) {
      return refused(
        403,
        `unable to upgrade: unable to negotiate protocol: client supports ${offered.join(", ")}, server accepts ` +
          known.join(", "),
        { "x-accepted-stream-protocol-versions": known.join(", ") }
      )
    }
    const socket = yield* request.upgradeWith({ headers: { "X-Stream-Protocol-Version": protocol } })
    yield* quietly(overSpdy(answer, protocol, socket, raw))
    return HttpServerResponse.empty()
  }
  if (to !== "websocket") return refused(400, "unable to upgrade: SPDY/3.1 and WebSocket are spoken here")

  const known = answer._tag === "Process" ? remoteCommandSubprotocols : [...portForwardSubprotocols, tunnelled]
  const offered = listed(request.headers["sec-websocket-protocol"])
  const protocol = offered.length === 0 ? "" : chooseSubprotocol(offered)
  if (protocol === false || (protocol !== "" && !known.includes(protocol))) {
    return refused(400, `unable to upgrade: client supports ${offered.join(", ")}, server accepts ${known.join(", ")}`)
  }
  if (answer._tag === "Forward" && answer.ports.length === 0 && protocol !== tunnelled) {
    return refused(400, "query parameter port is required: which ports shall be forwarded?")
  }
  const socket = yield* request.upgradeWith({})
  yield* quietly(overWebSocket(answer, protocol, socket, raw))
  return HttpServerResponse.empty()
})

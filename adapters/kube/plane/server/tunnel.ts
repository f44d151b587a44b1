/**
 * Upgrades (exec, attach, port-forward): after the control plane has allowed one, the bytes of both connections are joined
 * and nobody in between understands them, which carries SPDY/3.1 and WebSocket v4 alike.
 */
import { Effect } from "effect"
import type { IncomingMessage } from "node:http"
import type { Duplex } from "node:stream"
import { connect, type TLSSocket } from "node:tls"
import type { ControlPlane } from "../ControlPlane.ts"
import type { ApiFailure } from "../object/ApiFailure.ts"
import { internalError } from "../object/ApiFailure.ts"
import { type ApiRequest, type KubeletTarget, KubeletUnreachable } from "../request/ApiRequest.ts"
import { kubeletTls, type KubeletTrust } from "./kubelets.ts"

/** A client that opened a WebSocket of v5 or tunnelled SPDY falls back to SPDY when it is refused in plain HTTP. */
const untranslated = ["v5.channel.k8s.io", "SPDY/3.1+portforward.k8s.io"]

export const needsTranslation = ({ headers }: ApiRequest): boolean => {
  if ((headers["upgrade"] ?? "").toLowerCase() !== "websocket") return false
  const offered = (headers["sec-websocket-protocol"] ?? "").split(",").map((name) => name.trim())
  // v4 beside v5 would do, but whoever offers v5 knows how to fall back.
  return offered.some((name) => untranslated.includes(name))
}

/** As long as a real API server waits for a connection to a kubelet: either may be busy. */
const dialLimitMillis = 30_000

const head = (incoming: IncomingMessage, target: KubeletTarget): string => {
  const lines = [`${target.method} ${target.path} HTTP/1.1`]
  for (let i = 0; i + 1 < incoming.rawHeaders.length; i += 2) {
    const name = incoming.rawHeaders[i] ?? ""
    const value = incoming.rawHeaders[i + 1] ?? ""
    // The caller's credentials are for the API server alone.
    if (["authorization", "host", "x-forwarded-uri", "cookie"].includes(name.toLowerCase())) continue
    // A browser-like client may not smuggle its token to the kubelet either.
    if (name.toLowerCase() === "sec-websocket-protocol") {
      const kept = value.split(",").filter((each) => !each.trim().startsWith("base64url.bearer.authorization.k8s.io."))
      lines.push(`${name}: ${kept.join(",")}`)
    } else lines.push(`${name}: ${value}`)
  }
  lines.push(
    `Host: ${incoming.headers.host ?? `${target.address}:${target.port}`}`,
    `X-Forwarded-For: ${incoming.socket.remoteAddress ?? ""}`
  )
  return `${lines.join("\r\n")}\r\n\r\n`
}

const dial = (target: KubeletTarget, trust: KubeletTrust): Effect.Effect<TLSSocket, KubeletUnreachable> =>
  Effect.callback<TLSSocket, KubeletUnreachable>((resume) => {
    const socket = connect({
      host: target.address,
      port: target.port,
      ALPNProtocols: ["http/1.1"],
      ...kubeletTls(trust)
    })
    const failed = (cause: unknown) => {
      socket.destroy()
      resume(Effect.fail(new KubeletUnreachable({ node: target.node, cause })))
    }
    socket.setTimeout(dialLimitMillis, () => failed(new Error(`no connection within ${dialLimitMillis / 1000} s`)))
    socket.once("error", failed)
    socket.once("secureConnect", () => {
      socket.setTimeout(0)
      socket.removeListener("error", failed)
      resume(Effect.succeed(socket))
    })
    return Effect.sync(() => {
      socket.destroy()
    })
  })

const reasons: Readonly<Record<number, string>> = {
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  500: "Internal Server Error"
}

const answer = (client: Duplex, status: number, type: string, body: string): void => {
  client.end(
    `HTTP/1.1 ${status} ${reasons[status] ?? "Error"}\r\nContent-Type: ${type}\r\nContent-Length: ${
      Buffer.byteLength(body)
    }\r\nConnection: close\r\n\r\n${body}`
  )
}

const refuse = (client: Duplex, error: ApiFailure): void =>
  answer(client, error.code, "application/json", JSON.stringify(error.status))

/** Joins the two until both sides have ended or one breaks. */
const join = (client: Duplex, kubelet: TLSSocket): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    let open = 2
    const ended = () => {
      open -= 1
      if (open === 0) resume(Effect.void)
    }
    const broken = () => {
      client.destroy()
      kubelet.destroy()
      resume(Effect.void)
    }
    for (const side of [client, kubelet]) {
      side.on("error", broken)
      side.on("end", ended)
      side.on("close", broken)
    }
    client.pipe(kubelet)
    kubelet.pipe(client)
    return Effect.sync(broken)
  })

/** Serves one upgrade request until its connection ends. */
export const tunnel = (
  plane: ControlPlane["Service"],
  trust: KubeletTrust,
  incoming: IncomingMessage,
  request: ApiRequest,
  client: Duplex,
  first: Buffer
): Effect.Effect<void> =>
  Effect.gen(function*() {
    const target = yield* plane.upgradeTarget(request)
    if (needsTranslation(request)) {
      answer(
        client,
        400,
        "text/plain",
        "unable to upgrade: this server does not translate WebSocket v5; use SPDY/3.1 or v4.channel.k8s.io"
      )
      return
    }
    const kubelet = yield* dial(target, trust)
    kubelet.setNoDelay(true)
    kubelet.write(head(incoming, target))
    if (first.length > 0) kubelet.write(first)
    yield* join(client, kubelet)
  }).pipe(
    Effect.catchTag("KubeletUnreachable", (error) => Effect.sync(() => refuse(client, internalError(error.message)))),
    Effect.catchTag("ApiFailure", (error) => Effect.sync(() => refuse(client, error)))
  )

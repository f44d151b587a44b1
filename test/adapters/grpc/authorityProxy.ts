/** What an Ingress controller does for gRPC: ends TLS, and sends each request to the backend of its `:authority`. */
import { Effect } from "effect"
import {
  connect,
  createSecureServer,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type ServerHttp2Stream
} from "node:http2"
import type { AddressInfo } from "node:net"
import type { Issued } from "./certificates.ts"

export interface Backend {
  readonly url: string
  /** PEM of whom to trust where it speaks TLS. */
  readonly ca?: Uint8Array
}

/** Hop-by-hop pseudo headers are the session's own. */
const forwarded = (headers: IncomingHttpHeaders): OutgoingHttpHeaders =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => name !== ":status" && typeof name === "string"))

/** Listens on a free port of 127.0.0.1 for as long as the scope lives; `seen` has the authority of each request. */
export const authorityProxy = Effect.fnUntraced(function*(
  identity: Issued,
  backends: Readonly<Record<string, Backend>>
) {
  const seen: Array<string> = []
  const clients = new Set<{ destroy(): void }>()

  const relay = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
    const authority = String(headers[":authority"] ?? "").replace(/:\d+$/u, "")
    seen.push(authority)
    const backend = backends[authority]
    stream.on("error", () => {})
    if (backend === undefined) {
      stream.respond({ ":status": 404 }, { endStream: true })
      return
    }
    const client = connect(backend.url, backend.ca === undefined ? {} : { ca: Buffer.from(backend.ca) })
    clients.add(client)
    client.on("error", () => stream.destroy())
    const onward = client.request(headers)
    onward.on("error", () => stream.destroy())
    onward.on("response", (answer) => {
      if (stream.destroyed) return
      stream.respond({ ...forwarded(answer), ":status": Number(answer[":status"] ?? 502) }, { waitForTrailers: true })
      let trailers: IncomingHttpHeaders = {}
      onward.on("trailers", (came) => {
        trailers = came
      })
      stream.on("wantTrailers", () => stream.sendTrailers(forwarded(trailers)))
      onward.pipe(stream)
    })
    stream.pipe(onward)
    stream.on("close", () => {
      onward.close()
      client.close()
      clients.delete(client)
    })
  }

  const server = yield* Effect.acquireRelease(
    Effect.callback<ReturnType<typeof createSecureServer>>((resume) => {
      const server = createSecureServer({ key: Buffer.from(identity.key), cert: Buffer.from(identity.cert) })
      server.on("session", (session) => {
        clients.add(session)
        session.on("close", () => clients.delete(session))
        session.on("error", () => {})
      })
      server.on("stream", relay)
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) =>
      Effect.sync(() => {
        server.close()
        for (const client of clients) client.destroy()
      })
  )
  return { port: (server.address() as AddressInfo).port, seen }
})

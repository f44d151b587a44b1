/** Serves metric families to Prometheus by plain HTTP: GET /metrics and nothing else. */
import { Effect, Schema, type Scope } from "effect"
import { createServer, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { exposition, expositionType, type MetricFamily } from "../../core/metrics/exposition.ts"

export class MetricsUnavailable extends Schema.TaggedError<MetricsUnavailable>()("MetricsUnavailable", {
  detail: Schema.String
}) {
  override get message() {
    return `metrics cannot be served: ${this.detail}`
  }
}

/** Scrapers are few, and each asks for one page. */
const mostConnections = 32
const requestMillis = 10_000
const mostHeaderBytes = 8 * 1024

/** Listens until the scope closes; the port it took. */
export const serveMetrics = (options: {
  readonly host: string
  /** 0 is any free one. */
  readonly port: number
  readonly families: Effect.Effect<ReadonlyArray<MetricFamily>>
}): Effect.Effect<number, MetricsUnavailable, Scope.Scope> =>
  Effect.gen(function*() {
    const context = yield* Effect.context<never>()
    const run = Effect.runSyncWith(context)
    const listening = Effect.callback<Server, MetricsUnavailable>((resume) => {
      const server = createServer(
        { headersTimeout: requestMillis, requestTimeout: requestMillis, maxHeaderSize: mostHeaderBytes },
        (request, response) => {
          const path = (request.url ?? "").split("?")[0]
          const isRead = request.method === "GET" || request.method === "HEAD"
          if (path !== "/metrics" || !isRead) {
            const status = path === "/metrics" ? 405 : 404
            response.writeHead(status, { "content-type": "text/plain" }).end(`${status}: ask for GET /metrics\n`)
            return
          }
          const page = exposition(run(options.families))
          response.writeHead(200, { "content-type": expositionType, "content-length": Buffer.byteLength(page) })
          response.end(request.method === "HEAD" ? undefined : page)
        }
      )
      server.maxConnections = mostConnections
      server.once("error", (error) => resume(Effect.fail(new MetricsUnavailable({ detail: error.message }))))
      server.listen(options.port, options.host, () => resume(Effect.succeed(server)))
    })
    const server = yield* Effect.acquireRelease(listening, (open) =>
      Effect.callback<void>((resume) => {
        open.close(() => resume(Effect.void))
        open.closeAllConnections()
      }))
    return (server.address() as AddressInfo).port
  })

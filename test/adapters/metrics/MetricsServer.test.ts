import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { serveMetrics } from "../../../adapters/metrics/MetricsServer.ts"

const ask = (port: number, path: string, method = "GET") =>
  Effect.promise(async () => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { method })
    return { status: response.status, type: response.headers.get("content-type"), text: await response.text() }
  })

describe("the metrics' door", () => {
  it.live("serves what is true at that moment, and nothing but that", () =>
    Effect.gen(function*() {
      let value = 0
      const port = yield* serveMetrics({
        host: "127.0.0.1",
        port: 0,
        families: Effect.sync(() => [{
          name: "asked_total",
          help: "How often.",
          type: "counter",
          samples: [{ labels: {}, value: ++value }]
        }])
      })
      const first = yield* ask(port, "/metrics")
      assert.strictEqual(first.status, 200)
      assert.strictEqual(first.type, "text/plain; version=0.0.4; charset=utf-8")
      assert.strictEqual(first.text, "# HELP asked_total How often.\n# TYPE asked_total counter\nasked_total 1\n")
      assert.match((yield* ask(port, "/metrics?x=1")).text, /asked_total 2\n/u)
      assert.strictEqual((yield* ask(port, "/")).status, 404)
      assert.strictEqual((yield* ask(port, "/metrics", "POST")).status, 405)
    }))

  it.live("says why it cannot be opened, and is closed with its scope", () =>
    Effect.gen(function*() {
      const families = Effect.succeed([])
      const port = yield* Effect.scoped(Effect.gen(function*() {
        const taken = yield* serveMetrics({ host: "127.0.0.1", port: 0, families })
        const error = yield* Effect.flip(serveMetrics({ host: "127.0.0.1", port: taken, families }))
        assert.match(error.message, /^metrics cannot be served: .*EADDRINUSE/u)
        return taken
      }))
      yield* serveMetrics({ host: "127.0.0.1", port, families })
    }))
})

/** The table of verbs: everything a person does with kubectl, on every runtime, by every transport, with every generation of kubectl. */
import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import { exitCode } from "./verbs/exitCodes.ts"
import { rows, tryRow } from "./verbs/rows.ts"
import { runtimes, Site, transports } from "./verbs/Site.ts"

describe("kubectl", () => {
  layer(Site.layer, { excludeTestServices: true, timeout: 600_000 })((it) => {
    for (const runtime of runtimes) {
      for (const transport of transports) {
        describe(`on ${runtime} by ${transport}`, () => {
          for (const row of rows) {
            it.effect(`${row.verb} ${row.shows}`, () =>
              Effect.gen(function*() {
                const { column, folder } = yield* Site
                const found = column(runtime, transport)
                const why = typeof found === "string" ? found : row.not?.(found, found.clients[0]!)
                if (typeof found === "string" || (yield* tryRow(row, found, folder)) === 0) {
                  console.warn(`SKIPPED ${row.verb} on ${runtime} by ${transport}: ${why}`)
                }
              }), 600_000)
          }
        })
      }
    }

    it.effect("exec tells every exit code from 0 to 255", () =>
      Effect.gen(function*() {
        const { column, embedded } = yield* Site
        const found = column("processes", "grpc")
        if (typeof found === "string") return console.warn(`SKIPPED exit codes: ${found}`)
        const codes = Array.from({ length: 256 }, (_, code) => `${code}`)
        const told = yield* Effect.forEach(
          codes,
          (code) => exitCode(embedded, found.pod("shell"), ["/bin/busybox", "sh", "-c", `exit ${code}`]),
          { concurrency: 8 }
        )
        assert.deepStrictEqual(told, codes)
      }), 600_000)
  })
})

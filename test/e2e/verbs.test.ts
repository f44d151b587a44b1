/** The table of verbs: everything a person does with kubectl, on every runtime, by every transport, with every generation of kubectl. */
import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import { exitCode } from "./verbs/exitCodes.ts"
import { losesTheLink } from "./verbs/lostLink.ts"
import { rows } from "./verbs/rows.ts"
import { runtimes, Site, transports } from "./verbs/Site.ts"
import { tryRow } from "./verbs/tryRow.ts"

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

    for (const runtime of runtimes) {
      it.effect(
        `exec, attach, logs and port-forward tell that the link to a device of ${runtime} was lost, and that it is away`,
        () =>
          Effect.gen(function*() {
            const { column, folder, way } = yield* Site
            const found = column(runtime, "grpc")
            if (typeof found === "string" || way === undefined) {
              return console.warn(`SKIPPED a lost link on ${runtime}: ${String(found)}`)
            }
            yield* losesTheLink(found, folder, way)
          }),
        600_000
      )
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

/** How a device finds out that it is not only arhat that ends. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { chmodSync, writeFileSync } from "node:fs"
import { machineEnding } from "../../../adapters/store/machineEnding.ts"
import { temporary } from "./temporary.ts"

const systemctl = Effect.fnUntraced(function*(script: string) {
  const path = `${yield* temporary}/systemctl`
  writeFileSync(path, `#!/bin/sh\n[ "$*" = is-system-running ] || exit 2\n${script}\n`)
  chmodSync(path, 0o755)
  return path
})

const answers = (script: string) => Effect.scoped(Effect.flatMap(systemctl(script), machineEnding))

describe("a machine", () => {
  it.live("goes down where systemd says that it is stopping", () =>
    Effect.gen(function*() {
      assert.isTrue(yield* answers("echo stopping; exit 1"))
    }))

  it.live("does not, whatever else systemd says", () =>
    Effect.gen(function*() {
      for (const word of ["running", "degraded", "starting", "maintenance", "offline", "unknown", ""]) {
        assert.isFalse(yield* answers(`echo ${word}; exit 1`), word)
      }
    }))

  it.live("is not known to where nobody answers", () =>
    Effect.gen(function*() {
      assert.isFalse(yield* machineEnding("/no/such/systemctl"))
      assert.isFalse(yield* answers("exec sleep 60"))
    }))
})

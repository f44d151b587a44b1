/** A directory of the test's own, gone with its scope. */
import { Effect } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

export const temporary = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "aranya-store-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

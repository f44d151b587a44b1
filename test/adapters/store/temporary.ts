/** A directory of the test's own, gone with its scope. */
import { Effect } from "effect"
import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const temporaryBelow = (parent: () => string) =>
  Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(parent(), "aranya-store-"))),
    (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
  )

export const temporary = temporaryBelow(tmpdir)

/** In memory where the system has such a place: for thousands of synced writes whose wait would prove nothing. */
export const temporaryInMemory = temporaryBelow(() => existsSync("/dev/shm") ? "/dev/shm" : tmpdir())

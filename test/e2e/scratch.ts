/** A folder for one test; what an agent mounted in it (secrets lie in memory across its restarts) goes with it. */
import { Effect } from "effect"
import { spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"

export const scratch = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(`${tmpdir()}/aranya-e2e-`)),
  (folder) =>
    Effect.sync(() => {
      const mounts = readFileSync("/proc/mounts", "utf8").split("\n").flatMap((line) => line.split(" ")[1] ?? [])
      for (const mount of mounts) if (mount.startsWith(`${folder}/`)) spawnSync("umount", ["-l", mount])
      // KEEP=1 leaves the logs for a look.
      if (process.env["KEEP"] === undefined) rmSync(folder, { recursive: true, force: true })
    })
)

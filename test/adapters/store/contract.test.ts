import { Effect } from "effect"
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { DiskPodFiles } from "../../../adapters/store/DiskPodFiles.ts"
import { unmountBelow } from "../../../adapters/store/mounts.ts"
import { NodeHostFacts } from "../../../adapters/store/NodeHostFacts.ts"
import { SqliteJournal } from "../../../adapters/store/SqliteJournal.ts"
import { hostFactsContract } from "../../contracts/hostFacts.ts"
import { journalContract } from "../../contracts/journal.ts"
import { podFilesContract } from "../../contracts/podFiles.ts"
import { temporary } from "./temporary.ts"

journalContract(
  "SqliteJournal",
  Effect.map(temporary, (directory) => ({
    layer: SqliteJournal.layer({ path: `${directory}/state/journal.db`, deviceKey: new Uint8Array(32).fill(7) })
  }))
)

hostFactsContract("NodeHostFacts", NodeHostFacts.layer({ storage: "/" }))

// With `auto` secrets lie on a tmpfs where this process may mount one.
for (const memory of ["never", "auto"] as const) {
  podFilesContract(
    `DiskPodFiles, memory ${memory},`,
    Effect.gen(function*() {
      const directory = yield* temporary
      // The mount outlives its process, so that a restarted agent finds its secrets.
      yield* Effect.addFinalizer(() => Effect.sync(() => unmountBelow(directory)))
      const hostDirectory = `${directory}/srv`
      mkdirSync(hostDirectory)
      const resolvConf = `${directory}/resolv.conf`
      writeFileSync(resolvConf, "nameserver 192.168.7.1\n")
      return {
        layer: DiskPodFiles.layer({ root: `${directory}/arhat`, memory, resolvConf }),
        hostDirectory,
        read: (path) => Effect.sync(() => existsSync(path) ? readFileSync(path, "utf8") : undefined)
      }
    })
  )
}

/** The demo's control plane as a program of its own: writes its kubeconfig where it is told, and runs until it is ended. */
import { Effect } from "effect"
import { renameSync, writeFileSync } from "node:fs"
import { startEmbedded } from "../../adapters/kube/plane/server/startEmbedded.ts"
import { runProgram } from "../shared/runProgram.ts"

/** The second argument is how often nodes are scraped for `kubectl top`, seconds; without it, when somebody asks. */
const [kubeconfigPath = "", resolution] = process.argv.slice(2)

runProgram(
  Effect.gen(function*() {
    const embedded = yield* startEmbedded(
      resolution === undefined ? {} : { metricResolution: `${Number(resolution)} seconds` }
    )
    // Whoever waits for the file finds it whole.
    writeFileSync(`${kubeconfigPath}.new`, embedded.adminKubeconfigYaml, { mode: 0o600 })
    renameSync(`${kubeconfigPath}.new`, kubeconfigPath)
    yield* Effect.logInfo(`the control plane answers on ${embedded.url}`)
    return yield* Effect.never
  }).pipe(Effect.scoped)
)

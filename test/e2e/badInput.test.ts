/** Every mistake that people make, and the sentence each of them sees; docs/troubleshooting.md has the same sentences. */
import { it as plain, layer } from "@effect/vitest"
import { Option } from "effect"
import { budgets } from "./badInput/budgets.ts"
import { configuration } from "./badInput/configuration.ts"
import { devices } from "./badInput/devices.ts"
import { edgeDevices } from "./badInput/edgeDevices.ts"
import { pods } from "./badInput/pods.ts"
import { kubectlPath, Site } from "./badInput/Site.ts"

if (Option.isNone(kubectlPath)) {
  plain("bad input", () => console.warn("SKIPPED what a person sees of bad input: there is no kubectl on the PATH"))
} else {
  layer(Site.layer, { excludeTestServices: true, timeout: "3 minutes" })("bad input", (it) => {
    configuration(it)
    edgeDevices(it)
    devices(it)
    pods(it)
    budgets(it)
  })
}

/** Ends a kubeconfig's credential plugin when nobody waits for it any more: client-node starts it without any limit. */
import type { KubeConfig } from "@kubernetes/client-node/dist/config.js"
import { spawn, type SpawnOptionsWithoutStdio } from "node:child_process"

/** What client-node calls private: it has no other way to the process. */
interface PluginStarter {
  execFn?: (command: string, args: ReadonlyArray<string>, options: SpawnOptionsWithoutStdio) => unknown
}

export const endPluginWith = (config: KubeConfig, signal: AbortSignal): void => {
  const { authenticators } = config as unknown as { readonly authenticators: ReadonlyArray<PluginStarter> }
  for (const authenticator of authenticators) {
    if (authenticator.execFn === undefined) continue
    authenticator.execFn = (command, args, options) => {
      // A group of its own: most plugins are scripts, and what they wait for is another process.
      const plugin = spawn(command, args, { ...options, detached: true })
      const end = () => {
        if (plugin.pid === undefined) return
        try {
          process.kill(-plugin.pid, "SIGKILL")
        } catch {
          // It ended between the look and the signal.
        }
      }
      signal.addEventListener("abort", end, { once: true })
      plugin.on("close", () => signal.removeEventListener("abort", end))
      return plugin
    }
  }
}

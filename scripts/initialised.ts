/**
 * Keeps the re-exports of `ws` in a bundle. Where one part of a program loads a module on demand and another imports it through a
 * package without side effects, esbuild leaves the second without the call that makes the module: the kubelet API's WebSockets
 * were undefined in the built operator, while its MQTT, which loads `ws` late, had them.
 */
import type { Plugin } from "esbuild"

const within = "initialised"

export const initialisedPlugin: Plugin = {
  name: "initialised re-exports",
  setup: (build) => {
    build.onResolve(
      { filter: /NodeWS(\.js)?$/ },
      async ({ importer, kind, path, pluginData, resolveDir, with: attributes }) => {
        if (pluginData === within) return undefined
        const found = await build.resolve(path, { importer, kind, resolveDir, with: attributes, pluginData: within })
        return { ...found, sideEffects: true }
      }
    )
  }
}

/**
 * Lets a bundle take from Effect's packages only the modules it names. Where a module is loaded on demand, a bundler of a single
 * file keeps all that its imports reach, and a package's index reaches everything (the agent had a Redis client in it).
 */
import type { Plugin } from "esbuild"
import { readFile } from "node:fs/promises"
import { relative } from "node:path"

/** Packages and folders of packages whose index is `export * as Name from "./Name"` throughout. */
const barrel = /^(effect(\/[a-z-]+)?|@effect\/platform-node)$/

const imports = /^import \{([^}]*)\} from "([^"]+)"/gm

/** `import { Effect, type Scope } from "effect"` as one import of a module for each value. */
export const deepImports = (source: string): string =>
  source.replace(imports, (whole, names: string, from: string) => {
    if (!barrel.test(from)) return whole
    const values = names.split(",").map((name) => name.trim()).filter((name) => name !== "" && !/^type\s/.test(name))
    // On one line, so that line numbers stay.
    return values.map((name) => {
      const [module, local = module] = name.split(/\s+as\s+/)
      return `import * as ${local} from "${from}/${module}"`
    }).join(";") + "\n".repeat(whole.split("\n").length - 1)
  })

export const deepImportsPlugin = (root: string): Plugin => ({
  name: "deep imports",
  setup: (build) => {
    build.onLoad({ filter: /\.ts$/ }, async ({ path }) =>
      /^(core|adapters|apps)\//.test(relative(root, path))
        ? { contents: deepImports(await readFile(path, "utf8")), loader: "ts" }
        : undefined)
  }
})

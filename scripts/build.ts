/** `npm run build [-- --outdir DIR]`: each program as one file that runs alone under Node 24; in dist/ unless told. */
import { build } from "esbuild"
import { chmodSync, readFileSync } from "node:fs"
import { resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { deepImportsPlugin } from "./deepImports.ts"
import { initialisedPlugin } from "./initialised.ts"

const root = fileURLToPath(new URL("..", import.meta.url))
const { version } = JSON.parse(readFileSync(`${root}package.json`, "utf8"))
const { values } = parseArgs({ options: { outdir: { type: "string", default: `${root}dist` } } })
const outdir = resolve(values.outdir)

for (const program of ["aranya", "arhat"]) {
  await build({
    absWorkingDir: root,
    entryPoints: [`apps/${program}/main.ts`],
    outfile: `${outdir}/${program}.mjs`,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node24",
    // Names stay as they are: to shorten them and keep them for errors and profiles would wrap each closure that is made.
    minifyWhitespace: true,
    minifySyntax: true,
    plugins: [deepImportsPlugin(root), initialisedPlugin],
    legalComments: "linked",
    define: { "process.env.ARANYA_VERSION": JSON.stringify(version) },
    banner: {
      js: "#!/usr/bin/env node\nimport{createRequire as __cr}from'node:module';const require=__cr(import.meta.url);"
    },
    logLevel: "info"
  })
  chmodSync(`${outdir}/${program}.mjs`, 0o755)
}

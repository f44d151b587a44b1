/** `npm run build`: each program as one file that runs alone under Node 24. */
import { build } from "esbuild"
import { chmodSync, readFileSync } from "node:fs"

const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"))

for (const program of ["aranya", "arhat"]) {
  await build({
    entryPoints: [`apps/${program}/main.ts`],
    outfile: `dist/${program}.mjs`,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node24",
    minify: true,
    keepNames: true,
    legalComments: "linked",
    define: { "process.env.ARANYA_VERSION": JSON.stringify(version) },
    banner: {
      js: "#!/usr/bin/env node\nimport{createRequire as __cr}from'node:module';const require=__cr(import.meta.url);"
    },
    logLevel: "info"
  })
  chmodSync(`dist/${program}.mjs`, 0o755)
}

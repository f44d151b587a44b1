/** `npm run check`: everything that can be judged without running the product. All judges speak, then the verdict. */
import { existsSync } from "node:fs"
import { run, tools } from "./tools.ts"

const judges: ReadonlyArray<readonly [name: string, judge: () => boolean]> = [
  ["types", () => run(tools.tsc, ["-b"])],
  ["lint", () => run(tools.tsgo, ["-b", "--force", "tsconfig.lint.json"])],
  ["format", () => run(tools.dprint, ["check"])],
  ["proto", () => run(process.execPath, ["scripts/protoCheck.ts"])],
  ["architecture", () => run(tools.vitest, ["run", "test/architecture.test.ts"])]
]

const failed: Array<string> = []
for (const [name, judge] of judges) {
  if (name === "lint" && !existsSync(tools.tsgo)) {
    console.warn("lint: skipped, Effect's compiler has no build for this platform")
    continue
  }
  console.log(`\n== ${name}`)
  if (!judge()) failed.push(name)
}
console.log(failed.length === 0 ? "\ncheck passed" : `\ncheck failed: ${failed.join(", ")}`)
process.exitCode = failed.length === 0 ? 0 : 1

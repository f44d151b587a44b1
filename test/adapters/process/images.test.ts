/** Root filesystems out of archives: extracted once, and whole. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { execFileSync } from "node:child_process"
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { makeImages } from "../../../adapters/process/images.ts"
import { findTools, type Tool } from "../../../adapters/process/tools.ts"
import { temporaryFolder } from "./processWorld.ts"

const NAME = "files:test"

/** A device with an archive of many files, whose tools note that they are called before they do as they should. */
const device = Effect.map(temporaryFolder, (folder) => {
  const [files, dataDir, archive, calls] = ["files", "data", "archive.tar", "calls"].map((name) => join(folder, name))
  mkdirSync(files!)
  for (let index = 0; index < 200; index++) writeFileSync(join(files!, `${index}`), `${index}\n`)
  execFileSync("tar", ["--create", "--file", archive!, "--directory", files!, "."])
  writeFileSync(calls!, "")
  const tools = findTools(false)
  const instead = new Map<Tool, string>()
  const become = (name: Tool, does: string) => {
    const path = join(folder, name)
    writeFileSync(path, `#!/bin/sh\necho ${name} >> "${calls}"\n${does}\n`)
    chmodSync(path, 0o755)
    instead.set(name, path)
  }
  for (const name of ["tar", "sync"] as const) become(name, `exec ${tools.path(name)} "$@"`)
  const images = join(dataDir!, "images")
  return {
    images: makeImages(
      {
        enabled: true,
        dataDir: dataDir!,
        allowRoot: true,
        uidRange: { first: 1, last: 2 },
        images: { [NAME]: archive! }
      },
      { ...tools, path: (tool) => instead.get(tool) ?? tools.path(tool) }
    ),
    become,
    calls: () => readFileSync(calls!, "utf8").trim().split("\n"),
    kept: () => readdirSync(images),
    filesOf: (name: string) => readdirSync(join(images, name)).length
  }
})

describe("an archive of the table", () => {
  it.live("is extracted once, however many containers want it at the same moment", () =>
    Effect.gen(function*() {
      const { calls, filesOf, images, kept } = yield* device
      const pulls = Array.from({ length: 3 }, () => images.pull(NAME))
      yield* Effect.all(pulls, { concurrency: "unbounded" })
      assert.deepStrictEqual(calls(), ["tar", "sync"])
      assert.deepStrictEqual(kept().map(filesOf), [200])
    }).pipe(Effect.scoped))

  it.live("is there only when all of it is known to be on the disk", () =>
    Effect.gen(function*() {
      const { become, calls, images } = yield* device
      become("sync", "[ -e \"$2/199\" ] && echo \"no space left\" >&2; exit 1")
      const error = yield* Effect.flip(images.pull(NAME))
      assert.deepStrictEqual([error.reason, error.detail], ["ImageUnavailable", "sync: no space left"])
      assert.deepStrictEqual(calls(), ["tar", "sync"])
      assert.strictEqual((yield* Effect.flip(images.image(NAME))).reason, "NotFound")
    }).pipe(Effect.scoped))
})

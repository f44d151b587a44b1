import { assert, describe, it } from "@effect/vitest"
import { deepImports } from "../../scripts/deepImports.ts"

describe("deepImports", () => {
  it("imports each value's own module in place of the package's index", () => {
    assert.strictEqual(
      deepImports("import { Effect, Stream as S } from \"effect\"\nimport { Command } from \"effect/cli\"\n"),
      "import * as Effect from \"effect/Effect\";import * as S from \"effect/Stream\"\n"
        + "import * as Command from \"effect/cli/Command\"\n"
    )
  })

  it("leaves types away and keeps line numbers", () => {
    assert.strictEqual(
      deepImports("import {\n  type Duration,\n  Effect\n} from \"effect\"\nEffect.void\n"),
      "import * as Effect from \"effect/Effect\"\n\n\n\nEffect.void\n"
    )
  })

  it("touches nothing else", () => {
    const source = [
      "import { readFile } from \"node:fs/promises\"",
      "import type { Effect } from \"effect\"",
      "import { NodeServices } from \"@effect/platform-node/NodeServices\"",
      "import { create } from \"@bufbuild/protobuf\"",
      "import { local } from \"./effect\""
    ].join("\n")
    assert.strictEqual(deepImports(source), source)
  })
})

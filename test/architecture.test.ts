/** Arrows point inwards: apps -> adapters -> core; no adapter knows another; core knows Effect, protobuf and itself. */
import { assert, describe, it } from "@effect/vitest"
import { readdirSync, readFileSync } from "node:fs"
import { dirname, join, normalize } from "node:path"
import { fileURLToPath } from "node:url"

const root = normalize(fileURLToPath(new URL("..", import.meta.url)))

const sources = (folder: string): ReadonlyArray<string> =>
  readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length))

const imports = (file: string): ReadonlyArray<string> =>
  [
    ...readFileSync(join(root, file), "utf8").matchAll(
      /^\s*(?:import|export)\b[^"';]*?from\s+"([^"]+)"|^import "([^"]+)"/gm
    )
  ]
    .map((match) => (match[1] ?? match[2])!)

/** Where a relative import leads, from the root; packages stay as they are. */
const target = (file: string, specifier: string) =>
  specifier.startsWith(".") ? join(dirname(file), specifier) : specifier

const breaches = (folder: string, allowed: (file: string, to: string) => boolean) =>
  sources(folder).flatMap((file) =>
    imports(file).map((specifier) => target(file, specifier)).filter((to) => !allowed(file, to)).map((to) =>
      `${file} -> ${to}`
    )
  )

/** `adapters/kube/plane/x.ts` belongs to `adapters/kube`. */
const adapterOf = (path: string) => path.split("/").slice(0, 2).join("/")

/** Low-level building blocks that carry no port and that several adapters share. */
const shared = new Set(["adapters/x509"])

describe("the architecture", () => {
  it("finds the sources", () => {
    assert.isAbove(sources("core").length, 10)
  })

  it("lets core import only effect, the protobuf runtime and itself", () => {
    assert.deepStrictEqual(
      breaches(
        "core",
        (_, to) => to.startsWith("core/") || /^effect(\/|$)/.test(to) || /^@bufbuild\/protobuf(\/|$)/.test(to)
      ),
      []
    )
  })

  it("lets no adapter import another adapter, an app or a test", () => {
    assert.deepStrictEqual(
      breaches("adapters", (file, to) => {
        if (to.startsWith("apps/") || to.startsWith("test/") || to.startsWith("scripts/")) return false
        return !to.startsWith("adapters/") || adapterOf(to) === adapterOf(file) || shared.has(adapterOf(to))
      }),
      []
    )
  })

  it("lets no app import another app or a test", () => {
    assert.deepStrictEqual(
      breaches("apps", (file, to) =>
        !to.startsWith("test/") && !to.startsWith("scripts/") &&
        (!to.startsWith("apps/") || adapterOf(to) === adapterOf(file) || adapterOf(to) === "apps/shared")),
      []
    )
  })
})

import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { customResourceDefinition } from "../../../core/device/customResourceDefinition.ts"
import { definitionYaml } from "../../../scripts/generate.ts"

describe("the CustomResourceDefinition", () => {
  it("is committed as it is generated", () => {
    const committed = readFileSync(
      fileURLToPath(new URL("../../../deploy/crd/edgedevices.yaml", import.meta.url)),
      "utf8"
    )
    assert.strictEqual(committed, definitionYaml())
  })

  it("types every field, as structural schemas must", () => {
    const untyped: Array<string> = []
    const walk = (node: unknown, path: string) => {
      if (typeof node !== "object" || node === null) return
      const schema = node as Record<string, unknown>
      if (schema["type"] === undefined && schema["x-kubernetes-int-or-string"] !== true) untyped.push(path)
      for (const [name, inner] of Object.entries(schema["properties"] ?? {})) walk(inner, `${path}.${name}`)
      if (schema["items"] !== undefined) walk(schema["items"], `${path}[]`)
      if (typeof schema["additionalProperties"] === "object") walk(schema["additionalProperties"], `${path}{}`)
    }
    walk(crdSchema(), "")
    assert.deepStrictEqual(untyped, [])
  })
})

const crdSchema = () => {
  const crd = customResourceDefinition() as {
    readonly spec: { readonly versions: ReadonlyArray<{ readonly schema: { readonly openAPIV3Schema: unknown } }> }
  }
  return crd.spec.versions[0]?.schema.openAPIV3Schema
}

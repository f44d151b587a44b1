/** `npm run generate`: protobuf code from proto/, and the CustomResourceDefinition from the EdgeDevice schema. */
import { mkdirSync, writeFileSync } from "node:fs"
import { stringify } from "yaml"
import { customResourceDefinition } from "../core/device/customResourceDefinition.ts"
import { run, tools } from "./tools.ts"

const header = "# Generated from core/device/EdgeDevice.ts by `npm run generate`.\n"

export const definitionYaml = (): string =>
  header + stringify(customResourceDefinition(), { aliasDuplicateObjects: false, lineWidth: 0 })

if (import.meta.main) {
  const generated = run(tools.buf, ["generate"])
  mkdirSync("deploy/crd", { recursive: true })
  writeFileSync("deploy/crd/edgedevices.yaml", definitionYaml())
  process.exitCode = generated ? 0 : 1
}

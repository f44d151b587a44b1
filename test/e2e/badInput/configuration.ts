/** Configuration files of both programs that say what there is not. */
import { assert, type Vitest } from "@effect/vitest"
import { Effect } from "effect"
import { writeFileSync } from "node:fs"
import { says } from "./sentences.ts"
import { run, Site } from "./Site.ts"

export const configuration = (it: Vitest.MethodsNonLive<Site>) => {
  for (
    const [program, text, sentence] of [
      ["aranya", "kubelet: { adress: 10.0.0.7 }", "unknown key kubelet.adress, did you mean address?"],
      [
        "aranya",
        "nonsense: 1",
        "unknown key nonsense (known here: aranya, connectivity, kubelet, metrics, pod)"
      ],
      ["arhat", "arhat: { devise: edge-1 }", "unknown key arhat.devise, did you mean device?"],
      [
        "arhat",
        "connectivity: { operatorKey: x }",
        "connectivity.operatorKey: expected the operator's public key, 32 bytes in base64"
      ],
      ["arhat", "arhat: [", "it cannot be read as YAML: "]
    ] as const
  ) {
    it.effect(`${program} does not start with ${text}: ${sentence}`, () =>
      Effect.gen(function*() {
        const { folder } = yield* Site
        const file = `${folder}/config.yaml`
        writeFileSync(file, text)
        for (const command of ["run", "check-config"]) {
          const { exitCode, stderr, stdout } = yield* run(program, command, "-c", file)
          assert.strictEqual(exitCode, 1)
          assert.strictEqual(stdout, "")
          assert.isTrue(stderr.startsWith(`error: ${file}: `), stderr)
          says(stderr, sentence)
          assert.lengthOf(stderr.trimEnd().split("\n"), 1)
        }
      }), 60_000)
  }
}

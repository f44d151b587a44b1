/** What the agent says to who stands at the device. */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Console, Effect } from "effect"
import { Command } from "effect/cli"
import { Base64 } from "effect/encoding"
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { NodeCryptography } from "../../../adapters/crypto/NodeCryptography.ts"
import { loadOrCreateDeviceKey } from "../../../adapters/store/DeviceKeys.ts"
import { arhat } from "../../../apps/arhat/commandLine.ts"
import { Cryptography } from "../../../core/link/Cryptography.ts"

const scratch = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(`${tmpdir()}/aranya-command-`)),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
)

/** What it prints, told these arguments in this environment. */
const printed = Effect.fnUntraced(function*(args: ReadonlyArray<string>, env: Readonly<Record<string, string>> = {}) {
  const lines: Array<string> = []
  yield* Command.runWith(arhat, { version: "0.0.0" })(args).pipe(
    Effect.provideService(Console.Console, { ...globalThis.console, log: (line: string) => void lines.push(line) }),
    Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env })),
    Effect.provide(NodeServices.layer)
  )
  return lines.join("\n")
})

/** The public half of the key that lies in a folder, made there if need be. */
const keyIn = (folder: string) =>
  Effect.gen(function*() {
    const key = yield* loadOrCreateDeviceKey(`${folder}/device.key`)
    return Base64.encode((yield* Cryptography).x25519Public(key))
  }).pipe(Effect.provide(NodeCryptography.layer))

describe("arhat identity", () => {
  it.live("prints the key that arhat run will have, by the same file, and makes no other", () =>
    Effect.gen(function*() {
      const folder = yield* scratch
      const file = `${folder}/config.yaml`
      // Its operator is not known yet: that one is told this key first.
      writeFileSync(file, `arhat: { dataDir: ${folder}/data }\nconnectivity: {}\n`)
      const key = yield* keyIn(`${folder}/data`)
      assert.strictEqual(yield* printed(["identity", "-c", file]), key)
      assert.strictEqual(yield* printed(["identity"], { ARHAT_CONFIG: file }), key)
      assert.deepStrictEqual(readdirSync(folder).toSorted(), ["config.yaml", "data"])
      assert.deepStrictEqual(readdirSync(`${folder}/data`), ["device.key"])
    }).pipe(Effect.scoped))

  it.live("takes the folder of a flag before that of the environment, and both before that of the file", () =>
    Effect.gen(function*() {
      const folder = yield* scratch
      const file = `${folder}/config.yaml`
      writeFileSync(file, `arhat: { dataDir: ${folder}/of-file }\n`)
      const env = { ARHAT_DATA_DIR: `${folder}/of-environment` }
      const byFlag = yield* printed(["identity", "-c", file, "--data-dir", `${folder}/of-flag`], env)
      assert.strictEqual(byFlag, yield* keyIn(`${folder}/of-flag`))
      assert.isFalse(existsSync(`${folder}/of-environment`))
      assert.strictEqual(yield* printed(["identity", "-c", file], env), yield* keyIn(`${folder}/of-environment`))
      assert.isFalse(existsSync(`${folder}/of-file`))
    }).pipe(Effect.scoped))

  it.live("makes none by a file that is not there or is misspelt", () =>
    Effect.gen(function*() {
      const folder = yield* scratch
      const file = `${folder}/config.yaml`
      assert.include(String(yield* Effect.flip(printed(["identity", "-c", file]))), "there is no such file")
      writeFileSync(file, `arhat: { datadir: ${folder}/data }\n`)
      assert.include(String(yield* Effect.flip(printed(["identity", "-c", file]))), "did you mean dataDir?")
      assert.deepStrictEqual(readdirSync(folder), ["config.yaml"])
    }).pipe(Effect.scoped))
})

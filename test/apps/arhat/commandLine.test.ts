/** What the agent says to who stands at the device. */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Console, Effect, Option } from "effect"
import { Command } from "effect/cli"
import { Base64 } from "effect/encoding"
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { relative } from "node:path"
import { NodeCryptography } from "../../../adapters/crypto/NodeCryptography.ts"
import { loadOrCreateDeviceKey } from "../../../adapters/store/DeviceKeys.ts"
import { arhat, configured } from "../../../apps/arhat/commandLine.ts"
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

describe("a path below the working directory", () => {
  const absent = { device: Option.none<string>(), namespace: Option.none<string>(), dataDir: Option.none<string>() }

  it.live("is the same for the programs of pods, which are started somewhere else", () =>
    Effect.gen(function*() {
      const folder = yield* scratch
      const config = `${folder}/config.yaml`
      const here = relative(process.cwd(), folder)
      writeFileSync(
        config,
        JSON.stringify({
          arhat: { device: "edge-1", dataDir: `${here}/data` },
          connectivity: {
            operatorKey: Buffer.alloc(32, 9).toString("base64"),
            methods: [{ name: "grpc", config: { endpoint: "aranya.example.com:8443" } }]
          },
          runtime: { process: { images: { small: `${here}/small.tar`, large: `${folder}/large` } } }
        })
      )
      const { arhat, runtime } = yield* configured({ ...absent, config })
      assert.strictEqual(arhat.dataDir, `${folder}/data`)
      assert.deepStrictEqual(runtime.process.images, { small: `${folder}/small.tar`, large: `${folder}/large` })
      const told = yield* configured({ ...absent, config, dataDir: Option.some(`${here}/other`) })
      assert.strictEqual(told.arhat.dataDir, `${folder}/other`)
    }).pipe(Effect.provide(NodeServices.layer), Effect.scoped))

  it.live("is not meant by an empty one", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(printed(["identity", "--data-dir", ""]))
      assert.include(String(error), "arhat.dataDir : ENOENT")
    }))
})

/** What the agent can be asked for on its command line. */
import { Config, Console, Effect, Option, Record, Schema } from "effect"
import { Command, Flag } from "effect/cli"
import { Base64 } from "effect/encoding"
import { resolve } from "node:path"
import { NodeCryptography } from "../../adapters/crypto/NodeCryptography.ts"
import { loadOrCreateDeviceKey } from "../../adapters/store/DeviceKeys.ts"
import { Cryptography } from "../../core/link/Cryptography.ts"
import { checkConfig, printVersion } from "../shared/commonCommands.ts"
import { readConfig } from "../shared/readConfig.ts"
import { runProgram } from "../shared/runProgram.ts"
import { version } from "../shared/version.ts"
import { ArhatConfig } from "./ArhatConfig.ts"
import { keyFile, makeDataDir, runAgent } from "./runAgent.ts"

const defaultPath = "/etc/arhat/config.yaml"

const config = Flag.String("config").pipe(
  Flag.withAlias("c"),
  Flag.withDescription("Configuration file"),
  Flag.withFallbackConfig(Config.String("ARHAT_CONFIG")),
  Flag.withDefault(defaultPath)
)

/** A flag wins over the environment, and both over the file. */
const overriding = (name: string, variable: string, what: string) =>
  Flag.String(name).pipe(
    Flag.withDescription(`${what} (environment: ${variable})`),
    Flag.withFallbackConfig(Config.String(variable)),
    Flag.optional
  )

const flags = {
  config,
  device: overriding("device", "ARHAT_DEVICE", "Name of the EdgeDevice that this device is"),
  namespace: overriding("namespace", "ARHAT_NAMESPACE", "Namespace of the EdgeDevice"),
  dataDir: overriding("data-dir", "ARHAT_DATA_DIR", "Where journal, keys and pods' files lie")
}

/** Programs of pods are started in `/`: what lies below the working directory has another name there. An empty path stays a mistake. */
const fromHere = (path: string) => path === "" ? path : resolve(path)

export const configured = Effect.fnUntraced(function*(given: {
  readonly config: string
  readonly device: Option.Option<string>
  readonly namespace: Option.Option<string>
  readonly dataDir: Option.Option<string>
}) {
  const read = yield* readConfig(ArhatConfig, {
    path: given.config,
    required: true,
    remedy: "write one (docs/configuration.md has an example) or name another with --config"
  })
  return {
    ...read,
    arhat: {
      ...read.arhat,
      device: Option.getOrElse(given.device, () => read.arhat.device),
      namespace: Option.getOrElse(given.namespace, () => read.arhat.namespace),
      dataDir: fromHere(Option.getOrElse(given.dataDir, () => read.arhat.dataDir))
    },
    runtime: {
      ...read.runtime,
      process: { ...read.runtime.process, images: Record.map(read.runtime.process.images, fromHere) }
    }
  }
})

const run = Command.make("run", flags, (given) => Effect.flatMap(configured(given), runAgent)).pipe(
  Command.withDescription("Run the agent until it is told to stop"),
  Command.withExamples([{ command: "arhat run -c /etc/arhat/config.yaml", description: "Run this device's pods" }])
)

/** The file may be unfinished when the key is made: beside the place for it, only what stands in that section has to be right. */
const Unfinished = Schema.StructWithRest(
  Schema.Struct({
    arhat: Schema.Struct({ ...ArhatConfig.fields.arhat.fields, device: Schema.optionalKey(Schema.String) }).pipe(
      Schema.withDecodingDefaultKey(Effect.succeed({}))
    )
  }),
  [Schema.Record(Schema.String, Schema.Unknown)]
)

/** Where `run` will look for the key: a second one somewhere else would be a second device. */
const placeOfKey = (given: { readonly config: string; readonly dataDir: Option.Option<string> }) =>
  Option.match(given.dataDir, {
    onSome: (dataDir) => Effect.succeed(fromHere(dataDir)),
    onNone: () =>
      Effect.map(
        readConfig(Unfinished, {
          path: given.config,
          required: given.config !== defaultPath,
          remedy: "write one (docs/configuration.md has an example) or say where the key lies with --data-dir"
        }),
        ({ arhat }) => fromHere(arhat.dataDir)
      )
  })

const identity = Command.make("identity", { config, dataDir: flags.dataDir }, (given) =>
  Effect.gen(function*() {
    const dataDir = yield* placeOfKey(given)
    yield* makeDataDir(dataDir)
    const key = yield* loadOrCreateDeviceKey(keyFile(dataDir))
    const { x25519Public } = yield* Cryptography
    yield* Console.log(Base64.encode(x25519Public(key)))
  }).pipe(Effect.provide(NodeCryptography.layer))).pipe(
    Command.withDescription("Print the device's public key, for spec.identity.publicKey of its EdgeDevice"),
    Command.withExamples([{
      command: "arhat identity -c /etc/arhat/config.yaml",
      description: "Make the key on the first call, where arhat.dataDir says"
    }])
  )

export const arhat = Command.make("arhat").pipe(
  Command.withDescription("The agent that runs Kubernetes pods on this device"),
  Command.withSubcommands([run, identity, checkConfig(flags, configured), printVersion])
)

export const runCommandLine = () => runProgram(Command.run(arhat, { version }))

/** `aranya`: the operator in the cluster. */
import { Config, Effect, Option } from "effect"
import { Command, Flag } from "effect/cli"
import { NodeCryptography } from "../../adapters/crypto/NodeCryptography.ts"
import { layerKubeConfig } from "../../adapters/kube/client/layerKubeConfig.ts"
import { checkConfig, printVersion } from "../shared/commonCommands.ts"
import { readConfig } from "../shared/readConfig.ts"
import { runProgram } from "../shared/runProgram.ts"
import { version } from "../shared/version.ts"
import { AranyaConfig } from "./AranyaConfig.ts"
import { printKey } from "./printKey.ts"
import { ownNamespace, runOperator } from "./runOperator.ts"

const defaultPath = "/etc/aranya/config.yaml"

const flags = {
  config: Flag.String("config").pipe(
    Flag.withAlias("c"),
    Flag.withDescription("Configuration file; without one the defaults hold"),
    Flag.withFallbackConfig(Config.String("ARANYA_CONFIG")),
    Flag.optional
  ),
  kubeconfig: Flag.String("kubeconfig").pipe(
    Flag.withDescription("How to reach the cluster; inside one it is not needed"),
    Flag.optional
  )
}

const configured = Effect.fnUntraced(function*(given: {
  readonly config: Option.Option<string>
  readonly kubeconfig: Option.Option<string>
}) {
  const read = yield* readConfig(AranyaConfig, {
    path: Option.getOrElse(given.config, () => defaultPath),
    required: Option.isSome(given.config),
    remedy: "write one (docs/configuration.md has an example) or leave --config away"
  })
  return Option.match(given.kubeconfig, {
    onNone: () => read,
    onSome: (kubeconfig) => ({ ...read, aranya: { ...read.aranya, kubeClient: { kubeconfig } } })
  })
})

const run = Command.make("run", flags, (given) => Effect.flatMap(configured(given), runOperator)).pipe(
  Command.withDescription("Serve every EdgeDevice until told to stop"),
  Command.withExamples([
    { command: "aranya run", description: "In a cluster, with the defaults" },
    { command: "aranya run -c config.yaml --kubeconfig ~/.kube/config", description: "From outside a cluster" }
  ])
)

const key = Command.make("key", flags, (given) =>
  Effect.gen(function*() {
    const config = yield* configured(given)
    yield* printKey(ownNamespace(config)).pipe(
      Effect.provide(layerKubeConfig({ kubeconfigPath: config.aranya.kubeClient.kubeconfig }))
    )
  }).pipe(Effect.provide(NodeCryptography.layer))).pipe(
    Command.withDescription("Print the operator's public key, for connectivity.operatorKey of the agents"),
    Command.withExamples([{ command: "aranya key --kubeconfig ~/.kube/config", description: "Made on the first call" }])
  )

const aranya = Command.make("aranya").pipe(
  Command.withDescription("Runs Kubernetes workloads on edge devices: one Node for each EdgeDevice"),
  Command.withSubcommands([run, key, checkConfig(flags, configured), printVersion])
)

runProgram(Command.run(aranya, { version }))

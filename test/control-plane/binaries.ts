/** Where the programs of a real control plane come from: KUBEBUILDER_ASSETS when set, else the module beside this file, and Debian's etcd. */
import { Effect, Option } from "effect"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { findProgram, isExecutable, ProgramFailed, runProgram } from "../e2e/program.ts"

/** A program and the arguments that go before its own. */
export type Command = readonly [program: string, ...args: ReadonlyArray<string>]

export interface Binaries {
  readonly etcd: Command
  readonly apiserver: Command
  readonly controllerManager: Command
  readonly scheduler: Command
  readonly kubectl: Command
}

const buildScript = join(dirname(fileURLToPath(import.meta.url)), "build.sh")

const asset = (name: string): Option.Option<Command> => {
  const folder = process.env["KUBEBUILDER_ASSETS"] ?? ""
  const path = join(folder, name)
  return folder !== "" && isExecutable(path) ? Option.some([path]) : Option.none()
}

/** The path build.sh prints; the first build of a version takes minutes. */
const built = Effect.gen(function*() {
  // Go and the build need the caller's cache, proxy and toolchain settings.
  const env = goEnvironment()
  const cached = yield* runProgram("bash", [buildScript, "--cached"], { env })
  if (cached.exitCode === 0) return cached.stdout.trim()
  yield* Effect.logWarning("building the control plane of the tests once; this takes minutes")
  const outcome = yield* runProgram("bash", [buildScript], { env })
  const path = outcome.stdout.trim()
  if (outcome.exitCode !== 0 || !isExecutable(path)) {
    const problem = `cannot build the control plane: ${outcome.stderr.trim().slice(-2000)}`
    return yield* new ProgramFailed({ command: "test/control-plane/build.sh", problem })
  }
  return path
})

const goEnvironment = () =>
  Object.fromEntries(
    Object.entries(process.env).flatMap(([name, value]) =>
      value !== undefined && /^(GO|HOME$|PATH$|XDG_|TMPDIR$|https?_proxy$|no_proxy$)/i.test(name) ? [[name, value]] : []
    )
  )

/** Finds every program, building what is missing. */
export const findBinaries: Effect.Effect<Binaries, ProgramFailed> = Effect.gen(function*() {
  const etcd = Option.orElse(asset("etcd"), () => Option.map(findProgram("etcd"), (path): Command => [path]))
  if (Option.isNone(etcd)) {
    return yield* new ProgramFailed({ command: "etcd", problem: "is not installed (Debian: etcd-server)" })
  }
  if (Option.isNone(findProgram("openssl"))) {
    return yield* new ProgramFailed({
      command: "openssl",
      problem: "is not installed, and certificates are made with it"
    })
  }
  const orBuilt = (name: string, component: string) =>
    Option.match(asset(name), {
      onSome: (command) => Effect.succeed(command),
      onNone: () => Effect.map(built, (path): Command => [path, component])
    })
  return {
    etcd: etcd.value,
    apiserver: yield* orBuilt("kube-apiserver", "apiserver"),
    controllerManager: yield* orBuilt("kube-controller-manager", "controller-manager"),
    scheduler: yield* orBuilt("kube-scheduler", "scheduler"),
    kubectl: yield* orBuilt("kubectl", "kubectl")
  }
})

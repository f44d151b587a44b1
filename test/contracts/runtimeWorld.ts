/** The ground the contract of ContainerRuntime stands on: programs in the abstract, specs, and short ways to run and to wait. */
import { type Duration, Effect, type Layer, Option, Schedule, type Scope, Stream } from "effect"
import {
  ContainerRuntime,
  type ContainerSpec,
  type LogChunk,
  type Output,
  type RuntimeError,
  type SandboxSpec
} from "../../core/pod/ContainerRuntime.ts"

/** What a container of the suite does; each runtime says it in its own words. */
export type ContractProgram =
  | { readonly _tag: "Forever" }
  /** Ends with 0 on SIGTERM. */
  | { readonly _tag: "Polite" }
  | { readonly _tag: "Deaf" }
  | { readonly _tag: "Exits"; readonly code: number }
  /** Prints the lines to stdout, `complaint` to stderr, then ends with 0. */
  | { readonly _tag: "Prints"; readonly lines: ReadonlyArray<string>; readonly complaint?: string }
  /** A line each 100 ms, for ever: `0`, `1`... */
  | { readonly _tag: "Counts" }
  | { readonly _tag: "Echoes" }
  /** Greets each connection to the port with `hello` and closes it. */
  | { readonly _tag: "Greets"; readonly port: number }
  /** Prints each argument in a line of its own. */
  | { readonly _tag: "Arguments"; readonly args: ReadonlyArray<string> }
  | { readonly _tag: "Environment"; readonly name: string }
  | { readonly _tag: "File"; readonly path: string }
  /** Tries to make a file; prints `written` or `refused`. */
  | { readonly _tag: "Writes"; readonly path: string }
  | { readonly _tag: "NoSuchCommand" }

export interface ContractWorld {
  /** A new instance over the same containers, as after a restart of the agent. */
  readonly runtime: Layer.Layer<ContainerRuntime, RuntimeError>
  readonly image: string
  readonly missingImage: string
  readonly program: (program: ContractProgram) => Pick<ContainerSpec, "command" | "args">
  /** A command for exec that writes `text` to stderr and ends with `code`. */
  readonly complains: (text: string, code: number) => ReadonlyArray<string>
  /** Whether commands and containers can sit at terminals, and `sh` and `stty` are there. */
  readonly terminals?: boolean
  /** A directory of the host with a file `greeting` containing `hello\n`; none where there is no host. */
  readonly directory?: string
  /** Where to mount it. */
  readonly mountTarget?: string
  /** A port a program of the pod may listen on. */
  readonly port: number
  readonly uid: string
}

/** One promise of the contract: a sentence, and a body that holds in a world of its own. */
export type ContractTest = (
  sentence: string,
  body: (world: ContractWorld) => Effect.Effect<void, unknown, ContainerRuntime | Scope.Scope>
) => void

export const security: ContainerSpec["security"] = {
  runAsNonRoot: false,
  supplementalGroups: [],
  privileged: false,
  readOnlyRootFilesystem: false,
  allowPrivilegeEscalation: false,
  addCapabilities: [],
  dropCapabilities: []
}

export const sandboxSpec = (world: Pick<ContractWorld, "uid">, attempt = 0): SandboxSpec => ({
  uid: world.uid,
  namespace: "default",
  pod: "web",
  attempt,
  hostname: "web",
  hostNetwork: false,
  hostPID: false,
  hostIPC: false,
  shareProcessNamespace: false,
  dns: { inheritHost: true, nameservers: [], searches: [], options: [] },
  sysctls: {},
  ports: []
})

export const containerSpec = (
  world: Pick<ContractWorld, "uid" | "image" | "program">,
  sandboxId: string,
  program: ContractProgram,
  overrides: Partial<ContainerSpec> = {}
): ContainerSpec => ({
  uid: world.uid,
  namespace: "default",
  pod: "web",
  sandboxId,
  container: "app",
  attempt: 0,
  specHash: "5f3a",
  image: world.image,
  imageId: world.image,
  ...world.program(program),
  workingDir: "",
  env: [],
  mounts: [],
  resources: { cpuRequest: 0, cpuLimit: 0, memoryRequest: 0, memoryLimit: 0 },
  oomScoreAdj: 1000,
  security,
  stdin: false,
  stdinOnce: false,
  tty: false,
  ...overrides
})

export const textOf = (chunks: Iterable<Output | LogChunk>, stream?: Output["stream"]): string =>
  new TextDecoder().decode(
    Buffer.concat(
      [...chunks].filter((chunk) => stream === undefined || chunk.stream === stream).map(({ bytes }) => bytes)
    )
  )

export const untilExited = Effect.fnUntraced(function*(id: string, within: Duration.Input = "20 seconds") {
  const runtime = yield* ContainerRuntime
  return yield* runtime.inspect(id).pipe(
    Effect.flatMap((container) => container.state === "exited" ? Effect.succeed(container) : Effect.fail("runs")),
    Effect.retry({ schedule: Schedule.spaced("30 millis"), while: (error) => error === "runs" }),
    Effect.timeout(within)
  )
})

/** A started container in a fresh sandbox; all of it is cleared away with the scope. */
export const launch = Effect.fnUntraced(function*(
  world: ContractWorld,
  program: ContractProgram,
  overrides: Partial<ContainerSpec> = {}
) {
  const runtime = yield* ContainerRuntime
  const sandbox = yield* ensured(world)
  const id = yield* runtime.create(containerSpec(world, sandbox.id, program, overrides))
  yield* runtime.start(id)
  return { id, sandboxId: sandbox.id }
})

export const ensured = Effect.fnUntraced(function*(world: ContractWorld) {
  const runtime = yield* ContainerRuntime
  yield* Effect.addFinalizer(() => Effect.ignore(cleared(world)))
  if (Option.isNone(yield* Effect.option(runtime.image(world.image)))) yield* runtime.pull(world.image, [])
  return yield* runtime.ensureSandbox(sandboxSpec(world))
})

const cleared = Effect.fnUntraced(function*(world: ContractWorld) {
  const runtime = yield* ContainerRuntime
  for (const { id } of yield* runtime.containers(world.uid)) {
    yield* Effect.andThen(runtime.stop(id, 0), runtime.remove(id))
  }
  for (const { id } of yield* runtime.sandboxes(world.uid)) yield* runtime.removeSandbox(id)
})

/** Waits until a line of the container's log is `line`. */
export const printed = Effect.fnUntraced(function*(id: string, line: string) {
  const runtime = yield* ContainerRuntime
  yield* Effect.map(Stream.runCollect(runtime.logs(id, { follow: false })), (chunks) => textOf(chunks)).pipe(
    Effect.flatMap((text) => text.split("\n").includes(line) ? Effect.void : Effect.fail("not yet")),
    Effect.retry({ schedule: Schedule.spaced("30 millis"), while: (error) => error === "not yet" }),
    Effect.timeout("20 seconds")
  )
})

/** Runs a command without input to its end. */
export const executed = Effect.fnUntraced(function*(id: string, command: ReadonlyArray<string>) {
  const runtime = yield* ContainerRuntime
  const process = yield* runtime.exec(id, { command, stdin: false, stdout: true, stderr: true, tty: false })
  const output = yield* Effect.timeout(Stream.runCollect(process.output), "20 seconds")
  return { code: yield* process.exitCode, stdout: textOf(output, "stdout"), stderr: textOf(output, "stderr") }
}, Effect.scoped)

export const allLogs = Effect.fnUntraced(function*(id: string, query: { since?: number; tail?: number } = {}) {
  const runtime = yield* ContainerRuntime
  return yield* Stream.runCollect(runtime.logs(id, { follow: false, ...query }))
})

export const reasonOf = <A, R>(effect: Effect.Effect<A, RuntimeError, R>) =>
  Effect.map(Effect.flip(effect), (error) => error.reason)

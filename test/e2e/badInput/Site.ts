/** A cluster with one operator, and as many agents as a test likes, for showing what each mistake looks like to a person. */
import { Context, Effect, Layer, Option, Schedule, Scope } from "effect"
import { readFileSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { startEmbedded } from "../../../adapters/kube/plane/server/startEmbedded.ts"
import { grpcAuthority, type Kubectl, NotAsExpected, prepareAgent, prepareOperator } from "../Line.ts"
import { findProgram, runProgram } from "../program.ts"
import { scratch } from "../scratch.ts"

const root = fileURLToPath(new URL("../../..", import.meta.url))

/** Where kubectl is; without it nothing here can be shown. */
export const kubectlPath = findProgram("kubectl")

/** One line of a program's log. */
export interface LogLine {
  readonly level: string
  readonly msg: string
}

const logLines = (file: string): ReadonlyArray<LogLine> =>
  readFileSync(file, "utf8").split("\n").flatMap((line) => {
    try {
      const { level, msg } = JSON.parse(line) as Partial<LogLine>
      return level === undefined || msg === undefined ? [] : [{ level, msg }]
    } catch {
      return [] // the last line may be half written, and what is not ours is not JSON
    }
  })

/** Waits until a program has logged so many lines that fit, and returns them. */
export const logged = (file: string, fits: (line: LogLine) => boolean, count = 1, limitSeconds = 90) =>
  Effect.suspend(() => {
    const lines = logLines(file)
    const found = lines.filter(fits)
    const seen = lines.slice(-12).map(({ level, msg }) => `${level} ${msg}`).join("\n")
    return found.length < count ? Effect.fail(new NotAsExpected({ what: file, seen })) : Effect.succeed(found)
  }).pipe(Effect.retry(Schedule.spaced("200 millis").pipe(Schedule.upTo({ times: limitSeconds * 5 }))))

/** Runs one of the two programs to its end. */
export const run = (program: "aranya" | "arhat", ...args: ReadonlyArray<string>) =>
  runProgram(`${root}node_modules/.bin/node`, [`${root}apps/${program}/main.ts`, ...args])

/** What an agent is told otherwise than it should be. */
export interface Wrong {
  readonly device?: string
  readonly operatorKey?: string
  readonly caData?: string
}

const make = Effect.gen(function*() {
  const folder = yield* scratch
  const embedded = yield* startEmbedded()
  const kubeconfigPath = `${folder}/kubeconfig`
  writeFileSync(kubeconfigPath, embedded.adminKubeconfigYaml, { mode: 0o600 })
  writeFileSync(`${folder}/client-ca.pem`, embedded.kubeletClientCaPem)
  const kubectl: Kubectl = (args, options) =>
    runProgram(
      Option.getOrElse(kubectlPath, () => "kubectl"),
      ["--kubeconfig", kubeconfigPath, "--cache-dir", `${folder}/cache`, ...args],
      options ?? {}
    )
  const operator = yield* prepareOperator({ kubeconfigPath, kubectl }, `${folder}/operator`, {
    clientCaFile: `${folder}/client-ca.pem`
  })
  const scope = yield* Effect.scope
  const start = Scope.provide(operator.start, scope)
  let running = yield* start
  const restartOperator = Effect.gen(function*() {
    yield* running.stop
    running = yield* start
  })
  const caData = yield* grpcAuthority(kubectl)
  const endpoint = `localhost:${operator.grpcPort}`

  const agent = (name: string, wrong: Wrong = {}) =>
    prepareAgent(`${folder}/${name}`, {
      device: name,
      operatorKey: operator.publicKey,
      caData,
      endpoint,
      runtime: { docker: { enabled: false }, process: { enabled: true, allowRoot: true } },
      ...wrong
    })
  const made = new Map<string, unknown>()
  /** What several tests use lives as long as the site, made by the first that asks for it. */
  const once = <A, E, R>(name: string, make: Effect.Effect<A, E, R>): Effect.Effect<A, E, Exclude<R, Scope.Scope>> =>
    Effect.suspend(() =>
      made.has(name)
        ? Effect.succeed(made.get(name) as A)
        : Effect.tap(Scope.provide(make, scope), (value) => Effect.sync(() => made.set(name, value)))
    )
  return { folder, kubectl, operator, restartOperator, caData, endpoint, agent, once }
})

export class Site extends Context.Service<Site, Effect.Success<typeof make>>()("aranya/test/e2e/Site") {
  static readonly layer = Layer.effect(Site, make)
}

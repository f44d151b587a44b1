/** A real control plane on loopback ports for the end-to-end tests: etcd, kube-apiserver, kube-controller-manager and kube-scheduler. */
import { Context, Effect, Exit, Layer, Option, Schema, Scope } from "effect"
import { mkdtemp, readFile, rm } from "node:fs/promises"
import { get as httpsGet } from "node:https"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type DaemonFailed, startDaemon, untilReady } from "../e2e/daemon.ts"
import { freePorts } from "../e2e/freePorts.ts"
import { type Outcome, ProgramFailed, type RunOptions, runProgram } from "../e2e/program.ts"
import { type Command, findBinaries } from "./binaries.ts"
import type { CertificateAuthority, KeyPair } from "./certificateAuthority.ts"
import { makeCertificates } from "./certificates.ts"
import { apiserverFlags, controllerManagerFlags, etcdFlags, schedulerFlags } from "./flags.ts"
import { writeKubeconfig } from "./kubeconfig.ts"

export interface ControlPlaneOptions {
  /** Let the API server verify kubelets' serving certificates against the cluster's authority; false unless told. */
  readonly kubeletCertificateAuthority?: boolean
  /** Flags added to each program's own; of a flag given twice the last one counts. */
  readonly apiserverFlags?: ReadonlyArray<string>
  readonly controllerManagerFlags?: ReadonlyArray<string>
  readonly schedulerFlags?: ReadonlyArray<string>
}

export class ControlPlane extends Context.Service<ControlPlane, {
  /** Of a user in group system:masters; certificates inside, so it may be copied. */
  readonly kubeconfigPath: string
  readonly url: string
  /** The authority's certificate, PEM. */
  readonly ca: string
  /** The file of the authority that signs client certificates: what a kubelet verifies the API server's connections with. */
  readonly clientCaFile: string
  /** What the API server shows to kubelets. */
  readonly kubeletClient: KeyPair
  /** More certificates of the same authority, in the control plane's folder. */
  readonly issueCertificate: CertificateAuthority["issue"]
  /** Runs kubectl as the administrator; a non-zero exit code is an outcome. */
  readonly kubectl: (args: ReadonlyArray<string>, options?: RunOptions) => Effect.Effect<Outcome, ProgramFailed>
  /** kubectl's program and first arguments, for starting one that stays, e.g. `logs -f`. */
  readonly kubectlCommand: Command
  /** Everything it wrote, a file for each program, is below; removed when it stops. */
  readonly folder: string
  /** An outage: ends the API server and starts it again on the same port when the effect is done. */
  readonly withoutApiserver: <A, E, R>(during: Effect.Effect<A, E, R>) => Effect.Effect<A, E | DaemonFailed, R>
  /** Ends all programs and removes the folder; closing the scope does the same. */
  readonly stop: Effect.Effect<void>
}>()("test/ControlPlane") {
  /** Starts everything and returns when all programs are ready and the default ServiceAccount exists. */
  static readonly start = (options: ControlPlaneOptions = {}) => start(options)

  static readonly layer = (options: ControlPlaneOptions = {}) => Layer.effect(ControlPlane, start(options))

  /**
   * Why it cannot run on this machine, as a sentence to print when tests are skipped; none when it can. Builds the programs
   * first when that is needed, which takes minutes.
   */
  static readonly whyItCannotRun: Effect.Effect<Option.Option<string>> = findBinaries.pipe(
    Effect.as(Option.none<string>()),
    Effect.catch((error) => Effect.succeed(Option.some(error.message)))
  )
}

const start = Effect.fn("ControlPlane.start")(
  function*(options: ControlPlaneOptions): Effect.fn.Return<
    ControlPlane["Service"],
    DaemonFailed | ProgramFailed,
    Scope.Scope
  > {
    const outer = yield* Effect.scope
    const scope = yield* Scope.fork(outer)
    return yield* assemble(options, scope).pipe(Scope.provide(scope))
  }
)

const assemble = Effect.fnUntraced(function*(options: ControlPlaneOptions, scope: Scope.Closeable) {
  const binaries = yield* findBinaries
  const folder = yield* temporaryFolder
  const [etcd, etcdPeer, apiserver, controllerManager, scheduler] = yield* freePorts(5) as Effect.Effect<FivePorts>
  const ports = { etcd, etcdPeer, apiserver, controllerManager, scheduler }
  const url = `https://127.0.0.1:${apiserver}`
  const certificates = yield* makeCertificates(folder)
  const { authority } = certificates
  const ca = yield* Effect.promise(() => readFile(authority.pair.certificate, "utf8"))
  const kubeconfig = (name: string, pair: KeyPair) => writeKubeconfig(join(folder, `${name}.kubeconfig`), url, ca, pair)
  const kubeconfigs = {
    admin: yield* kubeconfig("admin", certificates.admin),
    controllerManager: yield* kubeconfig("controller-manager", certificates.controllerManager),
    scheduler: yield* kubeconfig("scheduler", certificates.scheduler)
  }
  const setup = { folder, ports, certificates, kubeconfigs }

  const run = (name: string, [command, ...first]: Command, flags: ReadonlyArray<string>) =>
    // Nothing of it is kept, so nobody waits long for a graceful end.
    startDaemon({
      name,
      command,
      args: [...first, ...flags],
      logFile: join(folder, `${name}.log`),
      patience: "3 seconds"
    })
  const answersAt = (port: number, path: string) => answersOk(`https://127.0.0.1:${port}${path}`, ca)

  yield* run("etcd", binaries.etcd, etcdFlags(setup))

  let serving = scope
  const serve = Effect.gen(function*() {
    const own = serving = yield* Scope.fork(scope)
    const flags = [
      ...apiserverFlags(setup, options.kubeletCertificateAuthority ?? false),
      ...options.apiserverFlags ?? []
    ]
    const daemon = yield* run("kube-apiserver", binaries.apiserver, flags).pipe(Scope.provide(own))
    yield* untilReady(daemon, answersAt(apiserver, "/readyz"), "90 seconds")
  })
  yield* serve

  const managerFlags = [...controllerManagerFlags(setup), ...options.controllerManagerFlags ?? []]
  const manager = yield* run("kube-controller-manager", binaries.controllerManager, managerFlags)
  const planner = yield* run("kube-scheduler", binaries.scheduler, [
    ...schedulerFlags(setup),
    ...options.schedulerFlags ?? []
  ])
  yield* untilReady(manager, answersAt(controllerManager, "/healthz"), "60 seconds")
  yield* untilReady(planner, answersAt(scheduler, "/healthz"), "60 seconds")

  const kubectlCommand: Command = [
    ...binaries.kubectl,
    ...["--kubeconfig", kubeconfigs.admin, "--cache-dir", join(folder, "kubectl-cache")]
  ]
  const kubectl = (args: ReadonlyArray<string>, more: RunOptions = {}) => {
    const [program, ...first] = kubectlCommand
    return runProgram(program, [...first, ...args], { ...more, env: { HOME: folder, ...more.env } })
  }
  yield* untilReady(manager, exitsWith0(kubectl(["get", "serviceaccount", "default"])), "60 seconds")

  return ControlPlane.of({
    kubeconfigPath: kubeconfigs.admin,
    url,
    ca,
    clientCaFile: authority.pair.certificate,
    kubeletClient: certificates.kubeletClient,
    issueCertificate: authority.issue,
    kubectl,
    kubectlCommand,
    folder,
    withoutApiserver: (during) =>
      Effect.gen(function*() {
        yield* Scope.close(serving, Exit.void)
        const exit = yield* Effect.exit(during)
        yield* serve
        return yield* exit
      }),
    stop: Scope.close(scope, Exit.void)
  })
})

type FivePorts = readonly [number, number, number, number, number]

const temporaryFolder = Effect.acquireRelease(
  Effect.promise(() => mkdtemp(join(tmpdir(), "aranya-control-plane-"))),
  (folder) => Effect.promise(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }))
)

const exitsWith0 = (outcome: Effect.Effect<Outcome, ProgramFailed>) =>
  Effect.flatMap(
    outcome,
    ({ exitCode, stderr }) =>
      exitCode === 0 ? Effect.void : Effect.fail(new ProgramFailed({ command: "kubectl", problem: stderr.trim() }))
  )

class NotReady extends Schema.TaggedError<NotReady>()("NotReady", { problem: Schema.String }) {
  override get message() {
    return this.problem
  }
}

const answersOk = (url: string, ca: string) =>
  Effect.callback<void, NotReady>((resume) => {
    const request = httpsGet(url, { ca, agent: false }, (response) => {
      const status = response.statusCode
      response.resume()
      resume(status === 200 ? Effect.void : Effect.fail(new NotReady({ problem: `${url} answers ${status}` })))
    })
    request.on("error", (error) => resume(Effect.fail(new NotReady({ problem: `${url}: ${error.message}` }))))
    return Effect.sync(() => request.destroy())
  })

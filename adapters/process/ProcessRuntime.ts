/** Containers as plain processes of the device: each under a shim of its own, everything else on the disk. */
import { Clock, Duration, Effect, Fiber, FiberSet, Layer, PubSub, Result, type Scope, Stream } from "effect"
import { spawn } from "node:child_process"
import { createHash } from "node:crypto"
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { rm } from "node:fs/promises"
import { join } from "node:path"
import {
  ContainerRuntime,
  type ContainerSpec,
  RuntimeError,
  type RuntimeEvent
} from "../../core/pod/ContainerRuntime.ts"
import { attachTo } from "./attach.ts"
import { detectCgroups } from "./cgroups.ts"
import { accountOf, checkCapabilities, checkText, commandLine, findCommand } from "./commandLine.ts"
import {
  blankSecrets,
  containerOf,
  encodeKept,
  idOf,
  isDrained,
  isId,
  type Kept,
  type Life,
  limbo,
  listFolders,
  readKept,
  readLife
} from "./containerFolder.ts"
import { makeFolder, onDisk, readIfThere, unavailable, writeWhole } from "./disk.ts"
import { bootId, isAlive, type ProcessIdentity, signal } from "./identity.ts"
import { makeImages } from "./images.ts"
import { dialLocal, runCommand } from "./interact.ts"
import { readLogs } from "./logs.ts"
import { mountsOf } from "./mounts.ts"
import type { ProcessOptions } from "./ProcessOptions.ts"
import { makeSandboxes } from "./sandboxes.ts"
import { encodeLines, shim } from "./shim.ts"
import { makeTerminals } from "./terminals.ts"
import { findTools, SYSTEM_PATH, unsupported } from "./tools.ts"
import { makeUsage } from "./usage.ts"

const VERSION = "1"
const POLL = "50 millis"
/** From launching a shim to the process running: mounts and control groups are made in between. */
const START_WITHIN = Duration.seconds(15)
/** From SIGKILL to the exit code being on the disk. */
const KILLED_WITHIN = Duration.seconds(15)
const WATCH_EVERY = "500 millis"

/** Same for every shim and every tool: nothing of arhat's own environment goes to pods. */
const ENVIRONMENT = { PATH: SYSTEM_PATH, LC_ALL: "C", TZ: "UTC0" }

export const layer = (options: ProcessOptions): Layer.Layer<ContainerRuntime, RuntimeError> =>
  Layer.effect(ContainerRuntime, Effect.suspend(() => make(options)))

const make = Effect.fnUntraced(function*(
  options: ProcessOptions
): Effect.fn.Return<ContainerRuntime["Service"], RuntimeError, Scope.Scope> {
  if (/[:,\\\n]/.test(options.dataDir)) {
    return yield* new RuntimeError({ reason: "Invalid", detail: `not usable as a data folder: ${options.dataDir}` })
  }
  const asRoot = process.getuid?.() === 0
  const boot = options.bootId ?? bootId()
  const tools = findTools(asRoot)
  const terminals = yield* makeTerminals
  const images = makeImages(options, tools)
  const cgroups = asRoot && options.enabled
    ? detectCgroups(options.cgroupRoot ?? "/sys/fs/cgroup")
    : detectCgroups("/nonexistent")
  const containersFolder = join(options.dataDir, "containers")
  const sandboxes = makeSandboxes(options, boot)
  // Shells read scripts as they go: one that runs must never change, so its name follows its content.
  const shimPath = join(options.dataDir, `shim-${createHash("sha256").update(shim).digest("hex").slice(0, 16)}.sh`)
  // Left by an end in the middle of making or removing one.
  const left = yield* onDisk(options.dataDir, () => {
    makeFolder(containersFolder)
    return readdirSync(containersFolder).filter((name) => name.startsWith("."))
  })
  yield* Effect.forEach(left, (name) => blankSecrets(join(containersFolder, name)), { discard: true })
  yield* onDisk(options.dataDir, () => {
    for (const name of left) rmSync(join(containersFolder, name), { recursive: true, force: true })
    makeFolder(sandboxes.folder)
    if (!existsSync(shimPath)) writeWhole(shimPath, shim)
  })
  const events = yield* PubSub.sliding<RuntimeEvent>(256)
  const background = yield* FiberSet.make<void, RuntimeError>()
  const watched = new Map<string, string>()
  const allowed = Effect.suspend(() => {
    if (!options.enabled) {
      return Effect.fail(unsupported("process pods are off: set runtime.process.enabled to allow them"))
    }
    if (tools.missing !== undefined) return Effect.fail(unsupported(tools.missing))
    return asRoot || options.allowRoot ? Effect.void : Effect.fail(unsupported(
      "arhat does not run as root, so that pods would run as its own user: runtime.process.allowRoot permits that"
    ))
  })

  const folderOf = (id: string) => join(containersFolder, id)
  const notFound = (id: string) => new RuntimeError({ reason: "NotFound", detail: `no such container: ${id}` })

  /** A container in its present state, also where what it was made from is damaged. */
  const glance = Effect.fnUntraced(function*(id: string) {
    if (!isId(id)) return yield* notFound(id)
    const folder = folderOf(id)
    const kept = yield* Effect.result(readKept(folder))
    if (kept._tag === "Success" && kept.success === undefined) return yield* notFound(id)
    if (kept._tag === "Failure" && kept.failure.reason !== "Invalid") return yield* kept.failure
    const life = yield* onDisk(folder, () => readLife(folder, boot))
    return { folder, kept, life, container: containerOf(id, Result.getOrUndefined(kept), life, cgroups) }
  })

  const look = Effect.fnUntraced(function*(id: string) {
    const found = yield* glance(id)
    const kept = yield* Effect.fromResult(found.kept)
    return kept === undefined ? yield* notFound(id) : { ...found, kept }
  })

  const publish = (uid: string, containerId: string, kind: RuntimeEvent["kind"]) =>
    PubSub.publish(events, { uid, containerId, kind })

  /** What is in limbo goes, with what it tells. */
  const discard = (gone: string) =>
    Effect.andThen(
      blankSecrets(gone),
      Effect.tryPromise({
        try: () => rm(gone, { recursive: true, force: true, maxRetries: 3 }),
        catch: (cause) => unavailable(`${gone} cannot be removed: ${String(cause)}`)
      })
    )

  const create = Effect.fnUntraced(function*(spec: ContainerSpec) {
    yield* allowed
    yield* checkText(spec)
    const id = idOf(spec)
    if (!isId(id)) {
      return yield* new RuntimeError({ reason: "Invalid", detail: `not usable as a container name: ${id}` })
    }
    const conflict = new RuntimeError({ reason: "NameConflict", detail: `container ${id} is there already`, id })
    if (existsSync(folderOf(id))) return yield* conflict
    const sandbox = yield* sandboxes.read(spec.sandboxId)
    if (sandbox === undefined) {
      return yield* new RuntimeError({ reason: "NotFound", detail: `no such sandbox: ${spec.sandboxId}` })
    }
    const root = yield* images.rootOf(spec.image)
    const account = yield* accountOf(options, spec.security, sandbox.user)
    yield* checkCapabilities(spec.security, account, root)
    const lacking = spec.tty ? yield* terminals.missing : undefined
    if (lacking !== undefined) return yield* unsupported(lacking)
    const kept: Kept = {
      spec,
      createdAt: yield* Clock.currentTimeMillis,
      boot,
      ...account,
      ...(root === undefined ? {} : { root })
    }
    const mounts = yield* mountsOf(folderOf(id), spec, root, asRoot)
    const merged = mounts.root
    const argv = commandLine(tools, asRoot, seated(spec), account, merged, [...spec.command, ...spec.args])
    const fresh = join(containersFolder, limbo())
    yield* onDisk(folderOf(id), () => {
      const groups = cgroups.make(id, spec.resources)
      makeFolder(fresh)
      for (const name of mounts.folders) mkdirSync(join(fresh, name), { mode: 0o755 }) // the mode of the pod's own /
      writeFileSync(join(fresh, "argv"), encodeLines(argv), { mode: 0o600 })
      writeFileSync(join(fresh, "mounts"), mounts.lines, { mode: 0o600 })
      writeFileSync(join(fresh, "cgroups"), groups.map((path) => `${path}\n`).join(""))
      writeFileSync(join(fresh, "oom"), `${spec.oomScoreAdj}\n`)
      if (spec.tty) writeFileSync(join(fresh, "tty"), `${account.uid}\n`)
      writeFileSync(join(fresh, "home"), cgroups.home.map((path) => `${path}\n`).join(""))
      writeWhole(join(fresh, "spec"), encodeKept(kept))
      // Refused by the kernel where the name is taken meanwhile: a folder that is not empty is never replaced.
      renameSync(fresh, folderOf(id))
    }).pipe(
      Effect.onError(() => Effect.catch(discard(fresh), ({ detail }) => Effect.logWarning(detail))),
      Effect.catchIf(() => existsSync(folderOf(id)), () => Effect.fail(conflict))
    )
    return id
  })

  const started = (life: Life) => life.state !== "created" || life.shim !== undefined

  /** Whether there is an end to come: it runs, or has not been seen to begin nor to fail. */
  const goesOn = (life: Life) => life.state === "running" || (life.state === "created" && life.detail === undefined)

  const start = Effect.fnUntraced(function*(id: string) {
    yield* allowed
    const { folder, kept, life } = yield* look(id)
    if (life.process !== undefined) {
      return yield* new RuntimeError({ reason: "Invalid", detail: `container ${id} was started before` })
    }
    if (started(life)) {
      watched.set(id, kept.spec.uid)
      return yield* untilStarted(folder)
    }
    if (kept.boot !== boot) {
      // Its control groups went with the old boot.
      yield* onDisk(folder, () => cgroups.make(id, kept.spec.resources))
    }
    yield* findCommand(kept.spec, kept.root).pipe(
      Effect.tapError((error) => onDisk(folder, () => writeWhole(join(folder, "failed"), `${error.detail}\n`)))
    )
    // A terminal that nobody types at waits, it does not end.
    if (kept.spec.stdin || kept.spec.tty) yield* makeFifo(join(folder, "stdin"))
    // What is launched goes on, whatever becomes of this call.
    watched.set(id, kept.spec.uid)
    yield* launch(folder)
    yield* untilStarted(folder)
    yield* publish(kept.spec.uid, id, "started")
  })

  /** Waits for a shim that has been launched; succeeds when the process runs or did. */
  const untilStarted = (folder: string): Effect.Effect<void, RuntimeError> =>
    Effect.gen(function*() {
      for (;;) {
        const life = yield* onDisk(folder, () => readLife(folder, boot))
        if (life.process !== undefined) return
        if (life.detail !== undefined) return yield* new RuntimeError({ reason: "StartFailed", detail: life.detail })
        yield* Effect.sleep("10 millis")
      }
    }).pipe(Effect.timeoutOrElse({
      duration: START_WITHIN,
      orElse: () => Effect.fail(unavailable("the process did not start in time; look again whether it did"))
    }))

  const launch = (folder: string) =>
    Effect.callback<void, RuntimeError>((resume) => {
      const child = spawn(tools.path("sh"), [shimPath, "run", folder], {
        detached: true,
        cwd: "/",
        env: ENVIRONMENT,
        stdio: "ignore"
      })
      child.once("error", (error) => resume(Effect.fail(unavailable(`cannot run a shim: ${error.message}`))))
      child.once("spawn", () => resume(Effect.void))
      child.unref()
    })

  const makeFifo = (path: string) =>
    existsSync(path) ? Effect.void : Effect.scoped(Effect.gen(function*() {
      // Whoever it runs as may open /dev/stdin; nobody else gets into the folder.
      const made = yield* runCommand([tools.path("mkfifo"), "-m", "0644", path], ENVIRONMENT, {
        stdin: false,
        stdout: false,
        stderr: false,
        tty: false
      })
      if ((yield* made.exitCode) !== 0) return yield* unavailable(`cannot make ${path}`)
    }))

  const ended = (id: string, within: Duration.Duration) =>
    Effect.gen(function*() {
      while ((yield* glance(id)).life.state === "running") yield* Effect.sleep(POLL)
    }).pipe(Effect.timeoutOption(within), Effect.map((done) => done._tag === "Some"))

  const killAll = (id: string, identity: ProcessIdentity) => {
    // Members of its own control group are its own, whoever they are by now.
    for (const pid of cgroups.members(id)) {
      try {
        process.kill(pid, "SIGKILL")
      } catch {
        // It ended between the look and the signal.
      }
    }
    signal(identity, boot, "SIGKILL", true)
  }

  /** Outlives its caller: a stop that was asked for is carried out. */
  const stop = (id: string, graceSeconds: number) =>
    Effect.gen(function*() {
      const { container, life } = yield* glance(id)
      const identity = life.process
      if (life.state !== "running" || identity === undefined) return
      signal(identity, boot, "SIGTERM", true)
      const done = graceSeconds > 0 && (yield* ended(id, Duration.seconds(graceSeconds)))
      if (!done) {
        killAll(id, identity)
        if (!(yield* ended(id, KILLED_WITHIN))) return yield* unavailable(`container ${id} does not end`)
      }
      if (watched.delete(id)) yield* publish(container.uid, id, "exited")
    }).pipe(
      Effect.catchIf(({ reason }) => reason === "NotFound", () => Effect.void),
      (work) => Effect.flatMap(FiberSet.run(background, work), Fiber.join)
    )

  const remove = Effect.fnUntraced(function*(id: string) {
    const found = yield* Effect.catchIf(glance(id), ({ reason }) => reason === "NotFound", () => Effect.undefined)
    if (found === undefined) return
    if (found.life.state === "running") {
      return yield* new RuntimeError({ reason: "Invalid", detail: `container ${id} is running: stop it first` })
    }
    if (
      found.life.shim !== undefined && isAlive(found.life.shim, boot) && found.life.process === undefined &&
      found.life.detail === undefined
    ) {
      return yield* unavailable(`a start of container ${id} is under way`)
    }
    const gone = join(containersFolder, limbo())
    yield* onDisk(found.folder, () => renameSync(found.folder, gone))
    yield* discard(gone)
    yield* onDisk(id, () => cgroups.remove(id))
    yield* publish(found.container.uid, id, "removed")
  })

  const containers = Effect.fnUntraced(function*(uid?: string) {
    const ids = yield* onDisk(containersFolder, () => listFolders(containersFolder))
    const found = yield* Effect.forEach(
      uid === undefined ? ids : ids.filter((id) => id.startsWith(`${uid}_`)),
      (id) =>
        Effect.catch(
          glance(id),
          (error) => Effect.succeed(existsSync(join(folderOf(id), "spec")) ? unseen(id, error) : undefined)
        )
    )
    return found.flatMap((one) => (one === undefined ? [] : [one]))
  })

  /** One whose folder cannot be read may run: it is there, and keeps nobody from the others. */
  const unseen = (id: string, { detail }: RuntimeError) => {
    const life: Life = { state: "created", process: undefined, shim: undefined }
    return {
      kept: undefined,
      life,
      container: { ...containerOf(id, undefined, life, cgroups), state: "unknown" as const, detail }
    }
  }

  /** Ends nobody waits for are noticed here; a started container is looked at twice a second, at the cost of a few reads. */
  const watch = Effect.gen(function*() {
    for (const [id, uid] of watched) {
      const found = yield* Effect.result(glance(id))
      // What cannot be read just now may run: it is looked at again, and `containers` tells why.
      const goes = found._tag === "Success" ? goesOn(found.success.life) : found.failure.reason !== "NotFound"
      if (!goes && watched.delete(id)) {
        if (found._tag === "Success" && found.success.container.oomKilled) yield* publish(uid, id, "oom")
        yield* publish(uid, id, "exited")
      }
    }
    yield* Effect.sleep(WATCH_EVERY)
  })

  for (const { container, kept, life } of yield* containers()) {
    if (container.state === "unknown") yield* Effect.logWarning(`container ${container.id}: ${container.detail}`)
    if (kept?._tag === "Failure") yield* Effect.logWarning(`${kept.failure.detail}: its container can only end`)
    if (started(life) && goesOn(life)) watched.set(container.id, container.uid)
  }
  yield* Effect.forkScoped(Effect.forever(watch))
  yield* Effect.forkScoped(images.sweep)

  const running = Effect.fnUntraced(function*(id: string) {
    const found = yield* look(id)
    const { process } = found.life
    if (found.life.state !== "running" || process === undefined || !isAlive(process, boot)) {
      return yield* new RuntimeError({ reason: "Invalid", detail: `container ${id} is not running` })
    }
    return { ...found, process }
  })

  /** Whether a container's log is whole: its process has ended, and what that wrote is on the disk. */
  const logEnded = (folder: string) =>
    Effect.flatMap(
      Clock.currentTimeMillis,
      (now) => onDisk(folder, () => isDrained(folder, readLife(folder, boot), now))
    )

  return ContainerRuntime.of({
    info: Effect.sync(() => ({ name: "process", version: `${VERSION}+cgroups.${cgroups.version}` })),
    image: images.image,
    pull: (reference) => Effect.andThen(allowed, images.pull(reference)),
    ensureSandbox: (spec) => Effect.andThen(allowed, sandboxes.ensure(spec)),
    sandboxes: (uid) =>
      Effect.map(sandboxes.all, (all) => all.filter((sandbox) => uid === undefined || sandbox.uid === uid)),
    removeSandbox: sandboxes.remove,
    create,
    start,
    stop,
    remove,
    inspect: (id) => Effect.map(glance(id), ({ container }) => container),
    containers: (uid) => Effect.map(containers(uid), (all) => all.map(({ container }) => container)),
    events: Stream.fromPubSub(events),
    logs: (id, query) =>
      Stream.unwrap(Effect.map(glance(id), ({ folder }) => readLogs(folder, query, logEnded(folder)))),
    exec: Effect.fnUntraced(function*(id, spec) {
      yield* allowed
      const { folder, kept, process } = yield* running(id)
      const root = kept.root === undefined ? undefined : join(folder, "root")
      const account = { uid: kept.uid, gid: kept.gid, groups: kept.groups }
      const inNamespace = existsSync(join(folder, "mounts")) && (readIfThere(join(folder, "mounts")) ?? "") !== ""
      const argv = [
        tools.path("sh"),
        shimPath,
        "exec",
        folder,
        ...(inNamespace ? [tools.path("nsenter"), "-t", `${process.pid}`, "-m", "--"] : []),
        ...commandLine(
          tools,
          asRoot,
          spec.tty ? seated({ ...kept.spec, tty: true }) : kept.spec,
          account,
          root,
          spec.command
        )
      ]
      return spec.tty
        ? yield* terminals.run({ argv, environment: ENVIRONMENT, owner: account.uid })
        : yield* runCommand(argv, ENVIRONMENT, spec)
    }),
    attach: Effect.fnUntraced(function*(id, spec) {
      const found = yield* running(id)
      const exitCode = Effect.flatMap(look(id), ({ life }) =>
        life.exitCode === undefined
          ? Effect.fail(unavailable(`container ${id} still runs`))
          : Effect.succeed(life.exitCode))
      return yield* attachTo({ ...found, boot, ended: logEnded(found.folder), exitCode }, spec)
    }),
    dial: Effect.fnUntraced(function*(sandboxId, port) {
      if ((yield* sandboxes.read(sandboxId)) === undefined) {
        return yield* new RuntimeError({ reason: "NotFound", detail: `no such sandbox: ${sandboxId}` })
      }
      return yield* dialLocal(port)
    }),
    usage: makeUsage(cgroups, containers())
  })
})

/** What programs at a terminal ask for first, unless the pod says otherwise; docker gives the same. */
const seated = (spec: ContainerSpec): ContainerSpec =>
  spec.tty ? { ...spec, env: [{ name: "TERM", value: "xterm" }, ...spec.env] } : spec

/** Containers in memory and virtual time: they do what their scripts say, calls fail as planned, and everything is written down. */
import {
  Clock,
  Context,
  Deferred,
  Duration,
  Effect,
  Exit,
  FiberSet,
  Layer,
  PubSub,
  Random,
  Scope,
  Stream
} from "effect"
import {
  ContainerRuntime,
  type ContainerSpec,
  type ExecSpec,
  type RuntimeError,
  type RuntimeEvent,
  type SandboxSpec
} from "../../core/pod/ContainerRuntime.ts"
import { outsideWork } from "./outsideWork.ts"
import { type Fault, type Operation, type PlannedFault, takePlanned, unanswered, unavailable } from "./runtime/Fault.ts"
import { type Loss, MemoryEngine, type MemoryImage, type Run } from "./runtime/MemoryEngine.ts"
import { type Ending, ordinary, type Script } from "./runtime/Program.ts"
import { worldClock, worldMillis } from "./worldClock.ts"

export interface MemoryRuntimeOptions {
  /** Every call takes a time drawn between these; 0 to 0 unless told. */
  readonly latency?: { readonly least: Duration.Input; readonly most: Duration.Input }
  /** The diary keeps this many newest entries; 100,000 unless told. */
  readonly diaryLength?: number
}

export class MemoryRuntime extends Context.Service<MemoryRuntime, {
  /** The newest script whose `where` fits a container decides what it does, from its creation on. */
  readonly script: (
    where: (spec: ContainerSpec) => boolean,
    script: Partial<Script> | ((spec: ContainerSpec) => Partial<Script>)
  ) => Effect.Effect<void>
  /** Any image can be pulled at once unless told otherwise here; none is present at first. */
  readonly image: (reference: string, image: Partial<MemoryImage>) => Effect.Effect<void>
  /** Its registry gives it out again. */
  readonly grant: (reference: string) => Effect.Effect<void>
  /** The next `times` calls (once unless told) that fit meet this fault. */
  readonly fault: (
    operation: Operation,
    fault: Fault,
    options?: { readonly times?: number; readonly where?: (subject: string) => boolean }
  ) => Effect.Effect<void>
  /** Asked at each call that meets no planned fault; draw from Effect's Random. */
  readonly weather: (
    draw: (operation: Operation, subject: string) => Effect.Effect<Fault | undefined>
  ) => Effect.Effect<void>
  /** No more planned faults, no more weather. */
  readonly heal: Effect.Effect<void>
  /** Whether hints about changes are lost. */
  readonly loseEvents: (lose: boolean) => Effect.Effect<void>
  /** The engine is gone until `startEngine`; its processes go on or are killed (exit code 137). Calls under way fail. */
  readonly stopEngine: (processes: "survive" | "killed") => Effect.Effect<void>
  readonly startEngine: Effect.Effect<void>
  /** The device loses power until `startEngine`: what ran is exited with 255, or all is gone, images included. */
  readonly powerOff: (containers: "exited" | "gone") => Effect.Effect<void>
  readonly reboot: (containers: "exited" | "gone") => Effect.Effect<void>
  /** Ends running processes that fit, as an outside force would. */
  readonly crash: (where: (spec: ContainerSpec) => boolean, ending: Ending) => Effect.Effect<void>
  /** Somebody removes containers that fit by hand, running or not: nothing of them is left. */
  readonly prune: (where: (spec: ContainerSpec) => boolean) => Effect.Effect<void>
  /** The pod's sandbox process dies; its containers go on. */
  readonly breakSandbox: (uid: string) => Effect.Effect<void>
  /** What a sandbox that is still there was made from. */
  readonly sandbox: (id: string) => Effect.Effect<SandboxSpec | undefined>
  /** Every call and what became of processes, by the test's own clock: `3s start default/web/app#0`. */
  readonly diary: Effect.Effect<ReadonlyArray<string>>
  /** Every process that ever ran, in the order of starting. */
  readonly runs: Effect.Effect<ReadonlyArray<Readonly<Run>>>
  /** Is told of each process at the instant at which it begins; it must not wait. */
  readonly witness: (began: (run: Readonly<Run>) => void) => Effect.Effect<void>
  /** What was taken from pods, in order. */
  readonly losses: Effect.Effect<ReadonlyArray<Loss>>
}>()("test/MemoryRuntime") {
  static readonly layerWith = (options: MemoryRuntimeOptions): Layer.Layer<ContainerRuntime | MemoryRuntime> =>
    Layer.effectContext(Effect.suspend(() => make(options)))
  static readonly layer = MemoryRuntime.layerWith({})
}

const make = Effect.fnUntraced(function*(options: MemoryRuntimeOptions) {
  const least = Duration.toMillis(Duration.fromInputUnsafe(options.latency?.least ?? 0))
  const most = Duration.toMillis(Duration.fromInputUnsafe(options.latency?.most ?? 0))
  const diaryLength = options.diaryLength ?? 100_000
  const events = yield* PubSub.sliding<RuntimeEvent>(1024)
  const processes = yield* FiberSet.make()
  const work = yield* FiberSet.make()
  const scripts: Array<(spec: ContainerSpec) => Partial<Script> | undefined> = []
  const planned: Array<PlannedFault> = []
  const diary: Array<string> = []
  let weather: (operation: Operation, subject: string) => Effect.Effect<Fault | undefined> = () => Effect.undefined
  let up = true
  let losing = false
  let power = Deferred.makeUnsafe<never, RuntimeError>()
  /** Of each call that is not answered yet, what its caller is told when the engine goes away. */
  const underWay = new Set<() => void>()

  const engine = new MemoryEngine(
    (spec) => {
      for (const script of scripts.toReversed()) {
        const found = script(spec)
        if (found !== undefined) return { ...ordinary, ...found }
      }
      return ordinary
    },
    events,
    processes,
    { host: yield* Clock.Clock, world: yield* worldClock }
  )

  const note = (text: string) =>
    Effect.map(worldMillis, (now) => {
      diary.push(`${now / 1000}s ${text}`)
      if (diary.length > diaryLength) diary.shift()
    })

  /** The engine works on its own: a caller that leaves does not undo what it asked for. */
  const dispatch = <A>(body: Effect.Effect<A, RuntimeError>, delay: number) =>
    Effect.suspend(() => {
      const answer = Deferred.makeUnsafe<A, RuntimeError>()
      const lost = () => void Deferred.doneUnsafe(answer, Effect.fail(unavailable("the engine went away")))
      underWay.add(lost)
      const done = Effect.onExit(delay > 0 ? Effect.andThen(Effect.sleep(delay), body) : body, (exit) =>
        Effect.sync(() => {
          underWay.delete(lost)
          Deferred.doneUnsafe(answer, exit)
        }))
      return Effect.as(outsideWork(FiberSet.run(work, done)), { answer: Deferred.await(answer) })
    })

  const call = Effect.fnUntraced(function*<A>(
    operation: Operation,
    subject: string,
    body: Effect.Effect<A, RuntimeError>,
    extra = ""
  ) {
    const fault = takePlanned(planned, operation, subject) ?? (yield* weather(operation, subject))
    yield* note(`${operation} ${subject}${extra}${fault === undefined ? "" : ` (${fault._tag})`}`)
    if (!up) return yield* unavailable("the engine does not answer")
    const latency = most > 0 ? yield* Random.nextBetween(least, most) : 0
    switch (fault?._tag) {
      case undefined:
        return yield* (yield* dispatch(body, latency)).answer
      case "Fails":
        return yield* fault.error ?? unavailable(`${operation} failed as planned`)
      case "Lost":
        yield* Effect.ignore((yield* dispatch(body, latency)).answer)
        return yield* unanswered(operation, `the answer to ${operation} was lost`)
      case "Late":
        yield* dispatch(body, Duration.toMillis(Duration.fromInputUnsafe(fault.after)))
        return yield* unanswered(operation, `no answer to ${operation} in time`)
      case "Hangs":
        return yield* Effect.never
      case "Silent":
        yield* dispatch(body, latency)
        return yield* Effect.never
      case "Slow":
        return yield* (yield* dispatch(body, Duration.toMillis(Duration.fromInputUnsafe(fault.by)))).answer
    }
  })

  /** A process that is there from the call on; it ends when whoever called goes, if the answer came so far. */
  const exec = Effect.fnUntraced(function*(id: string, spec: ExecSpec) {
    const begun = Effect.gen(function*() {
      const scope = yield* Scope.make()
      return { scope, process: yield* Scope.provide(engine.exec(id, spec), scope) }
    })
    const { process } = yield* Effect.acquireRelease(
      call("exec", engine.subject(id), begun, ` ${spec.command.join(" ")}`),
      ({ scope }) => Scope.close(scope, Exit.void),
      { interruptible: true }
    )
    return process
  })

  /** For what lives in the caller's scope: faults first, then the body by the caller itself. */
  const open = <A, R>(operation: Operation, subject: string, body: Effect.Effect<A, RuntimeError, R>, extra = "") =>
    Effect.andThen(call(operation, subject, Effect.void, extra), body)

  const goDown = Effect.fnUntraced(function*(why: string) {
    up = false
    yield* note(why)
    Deferred.doneUnsafe(power, Effect.fail(unavailable("the engine went away")))
    for (const lost of underWay) lost()
    underWay.clear()
    yield* FiberSet.clear(work)
  })

  const killAll = (ending: Ending) =>
    Effect.forEach(
      [...engine.containers.values()].filter(({ running }) => running),
      (container) => engine.cut(container, ending),
      { discard: true }
    )

  const powerOff = Effect.fnUntraced(function*(containers: "exited" | "gone") {
    yield* goDown(`power off, containers ${containers}`)
    yield* killAll(255)
    // A start that was noted counts as one that may have been, once the device has booted again.
    for (const container of engine.containers.values()) {
      if (containers === "gone" || container.startedAt === undefined) engine.lose(container)
    }
    for (const sandbox of engine.sandboxes.values()) engine.breakSandbox(sandbox)
    if (containers === "exited") return
    engine.containers.clear()
    engine.sandboxes.clear()
    for (const [reference, image] of engine.images) engine.images.set(reference, { ...image, present: false })
  })

  const startEngine = Effect.suspend(() => {
    up = true
    power = Deferred.makeUnsafe()
    return note("engine starts")
  })

  const runtime = ContainerRuntime.of({
    info: call("info", "engine", Effect.succeed({ name: "memory", version: "1.0" })),
    image: (reference) => call("image", reference, engine.imageInfo(reference)),
    pull: (reference, credentials) =>
      open(
        "pull",
        reference,
        Effect.suspend(() => Effect.raceFirst(engine.pull(reference, credentials), Deferred.await(power)))
      ),
    ensureSandbox: (spec) =>
      call("ensureSandbox", `${spec.namespace}/${spec.pod}#${spec.attempt}`, engine.ensureSandbox(spec)),
    sandboxes: (uid) =>
      call(
        "sandboxes",
        uid ?? "all",
        Effect.sync(() => engine.listSandboxes().filter((sandbox) => uid === undefined || sandbox.uid === uid))
      ),
    removeSandbox: (id) =>
      call(
        "removeSandbox",
        engine.subject(id),
        Effect.sync(() => {
          engine.sandboxes.delete(id)
        })
      ),
    create: (spec) =>
      call("create", `${spec.namespace}/${spec.pod}/${spec.container}#${spec.attempt}`, engine.create(spec)),
    start: (id) =>
      Effect.suspend(() => {
        engine.asked(id)
        return call("start", engine.subject(id), engine.start(id))
      }),
    stop: (id, grace) => Effect.suspend(() => call("stop", engine.subject(id), engine.stop(id, grace), ` ${grace}s`)),
    remove: (id) => Effect.suspend(() => call("remove", engine.subject(id), engine.remove(id))),
    inspect: (id) =>
      Effect.suspend(() =>
        call("inspect", engine.subject(id), Effect.map(engine.find(id), ({ container }) => container))
      ),
    containers: (uid) => call("containers", uid ?? "all", Effect.sync(() => engine.list(uid))),
    events: Stream.filter(Stream.fromPubSub(events), () => up && !losing),
    logs: (id, query) =>
      Stream.unwrap(
        Effect.suspend(() =>
          open(
            "logs",
            engine.subject(id),
            Effect.map(engine.find(id), (container) =>
              Stream.interruptWhen(
                container.logs(query, () => !engine.containers.has(id)),
                Deferred.await(power)
              ))
          )
        )
      ),
    exec,
    attach: (id, spec) => Effect.suspend(() => open("attach", engine.subject(id), engine.attach(id, spec))),
    dial: (id, port) => Effect.suspend(() => open("dial", engine.subject(id), engine.dial(id, port), `:${port}`)),
    usage: call(
      "usage",
      "all",
      Effect.map(
        worldMillis,
        (now) =>
          [...engine.containers.values()].filter(({ running }) => running).map((container) => ({
            containerId: container.id,
            at: engine.clocks.host.currentTimeMillisUnsafe(),
            cpuNanoseconds: (now - (container.began ?? now)) * container.script.cpu * 1000,
            memoryUsedBytes: container.script.memory * 2,
            memoryWorkingSetBytes: container.script.memory
          }))
      )
    )
  })

  const controls = MemoryRuntime.of({
    script: (where, script) =>
      Effect.sync(() => {
        scripts.push((spec) => where(spec) ? (typeof script === "function" ? script(spec) : script) : undefined)
      }),
    image: (reference, image) =>
      Effect.sync(() => {
        const before = engine.images.get(reference) ?? { present: false, pullTakes: 0, sizeBytes: 1_000_000 }
        engine.images.set(reference, { ...before, ...image })
      }),
    grant: (reference) =>
      Effect.sync(() => {
        const { refused: _, ...image } = engine.images.get(reference) ?? {}
        if ("present" in image) engine.images.set(reference, image as MemoryImage)
      }),
    fault: (operation, fault, { times = 1, where = () => true } = {}) =>
      Effect.sync(() => {
        planned.push({ operation, fault, times, where })
      }),
    weather: (draw) =>
      Effect.sync(() => {
        weather = draw
      }),
    heal: Effect.sync(() => {
      planned.length = 0
      weather = () => Effect.undefined
    }),
    loseEvents: (lose) =>
      Effect.sync(() => {
        losing = lose
      }),
    stopEngine: (fate) =>
      Effect.andThen(goDown(`engine stops, processes ${fate}`), fate === "killed" ? killAll(137) : Effect.void),
    startEngine,
    powerOff,
    reboot: (containers) => Effect.andThen(powerOff(containers), startEngine),
    crash: (where, ending) =>
      Effect.forEach(
        [...engine.containers.values()].filter((container) => container.running && where(container.spec)),
        (container) => Effect.andThen(note(`${container.subject} is hit: ${ending}`), engine.cut(container, ending)),
        { discard: true }
      ),
    prune: (where) =>
      Effect.forEach(
        [...engine.containers.values()].filter((container) => where(container.spec)),
        (container) =>
          note(`${container.subject} is removed by hand`).pipe(
            Effect.andThen(container.running ? engine.cut(container, 137) : Effect.void),
            Effect.andThen(Effect.sync(() => engine.lose(container))),
            Effect.andThen(engine.remove(container.id)),
            Effect.ignore
          ),
        { discard: true }
      ),
    breakSandbox: (uid) =>
      Effect.suspend(() => {
        const broken = [...engine.sandboxes.values()].filter(({ ready, spec }) => ready && spec.uid === uid)
        for (const sandbox of broken) engine.breakSandbox(sandbox)
        return Effect.forEach(broken, (sandbox) => engine.sandboxDied(sandbox), { discard: true })
      }),
    sandbox: (id) => Effect.sync(() => engine.sandboxes.get(id)?.spec),
    diary: Effect.sync(() => [...diary]),
    runs: Effect.sync(() => engine.runs.map((run) => ({ ...run }))),
    witness: (began) =>
      Effect.sync(() => {
        engine.began = began
      }),
    losses: Effect.sync(() => [...engine.losses])
  })

  return Context.make(ContainerRuntime, runtime).pipe(Context.add(MemoryRuntime, controls))
})

/** The state of the in-memory runtime and what its operations do to it, faults aside. */
import { Cause, Deferred, Duration, Effect, type Fiber, FiberSet, PubSub, Queue, Stream } from "effect"
import {
  type Container,
  type ContainerSpec,
  type Duplex,
  type ExecSpec,
  type ImageInfo,
  type Output,
  type ProcessStreams,
  RuntimeError,
  type RuntimeEvent,
  type Sandbox,
  type SandboxSpec
} from "../../../core/pod/ContainerRuntime.ts"
import type { RegistryCredential } from "../../../core/pod/PodAssignment.ts"
import { unavailable } from "./Fault.ts"
import { bytesOf, type Clocks, MemoryContainer } from "./MemoryContainer.ts"
import type { Ending, Script } from "./Program.ts"

/** An image as registry and device know it. */
export interface MemoryImage {
  readonly present: boolean
  readonly pullTakes: Duration.Input
  /** What the registry says instead of the image; told as long as it stays set. */
  readonly refused?: RuntimeError
  /** Only a credential with this password may pull it. */
  readonly password?: string
  readonly sizeBytes: number
  readonly user?: string
}

interface MemorySandbox {
  readonly id: string
  readonly spec: SandboxSpec
  readonly ip: string
  ready: boolean
}

/** One life of one process, for invariants such as "never twice"; its times are by the test's own clock. */
export interface Run {
  readonly uid: string
  readonly container: string
  readonly attempt: number
  readonly id: string
  readonly sandboxId: string
  /** When it was last asked for; it may have been under way since. */
  readonly askedAt: number
  readonly startedAt: number
  finishedAt?: number
  exitCode?: number
  /** Ended from outside, or bound to end because its sandbox was: whatever its pod says, another one may have to begin in its place. */
  cut?: boolean
  /** Its container is gone, and with it how it ended, unless that was known before. */
  vanished?: boolean
}

/** What somebody took from a pod beside its runs: its sandbox, or a container that had not begun. */
export interface Loss {
  readonly uid: string
  readonly what: "sandbox" | "unbegun"
  /** Of what had not begun. */
  readonly container?: string
}

const notFound = (what: string, id: string) =>
  new RuntimeError({ reason: "NotFound", detail: `no such ${what}: ${id}` })

/** Lower-case repository, optional tag and digest, as the distribution reference grammar has it. */
const REFERENCE =
  /^(?:[a-zA-Z0-9.-]+(?::[0-9]+)?\/)?[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*(?::[\w][\w.-]{0,127})?(?:@[a-z0-9]+:[0-9a-f]{32,})?$/

export class MemoryEngine {
  readonly images = new Map<string, MemoryImage>()
  readonly sandboxes = new Map<string, MemorySandbox>()
  readonly containers = new Map<string, MemoryContainer>()
  readonly runs: Array<Run> = []
  readonly losses: Array<Loss> = []
  readonly #asked = new Map<string, number>()
  /** Told of each run at the instant at which it begins. */
  began: (run: Readonly<Run>) => void = () => {}
  readonly scriptOf: (spec: ContainerSpec) => Script
  readonly clocks: Clocks
  readonly #events: PubSub.PubSub<RuntimeEvent>
  readonly #processes: FiberSet.FiberSet
  #serial = 0

  constructor(
    scriptOf: (spec: ContainerSpec) => Script,
    events: PubSub.PubSub<RuntimeEvent>,
    processes: FiberSet.FiberSet,
    clocks: Clocks
  ) {
    this.scriptOf = scriptOf
    this.#events = events
    this.#processes = processes
    this.clocks = clocks
  }

  #id(): string {
    this.#serial += 1
    return this.#serial.toString(16).padStart(12, "0")
  }

  #emit(container: MemoryContainer, kind: RuntimeEvent["kind"]): Effect.Effect<void> {
    return Effect.asVoid(PubSub.publish(this.#events, { uid: container.spec.uid, containerId: container.id, kind }))
  }

  find(id: string): Effect.Effect<MemoryContainer, RuntimeError> {
    return Effect.suspend(() => {
      const found = this.containers.get(id)
      return found === undefined ? Effect.fail(notFound("container", id)) : Effect.succeed(found)
    })
  }

  subject(id: string): string {
    const sandbox = this.sandboxes.get(id)
    return this.containers.get(id)?.subject ??
      (sandbox === undefined ? id : `${sandbox.spec.namespace}/${sandbox.spec.pod}#${sandbox.spec.attempt}`)
  }

  imageInfo(reference: string): Effect.Effect<ImageInfo, RuntimeError> {
    return Effect.suspend(() => {
      const image = this.images.get(reference)
      if (!REFERENCE.test(reference)) return Effect.fail(invalidName(reference))
      if (image?.present !== true) return Effect.fail(notFound("image", reference))
      return Effect.succeed({
        id: `sha256:${reference}`,
        sizeBytes: image.sizeBytes,
        ...(image.user === undefined ? {} : { user: image.user })
      })
    })
  }

  readonly pull = Effect.fnUntraced(function*(
    this: MemoryEngine,
    reference: string,
    credentials: ReadonlyArray<RegistryCredential>
  ) {
    if (!REFERENCE.test(reference)) return yield* invalidName(reference)
    yield* Effect.sleep(Duration.fromInputUnsafe(this.images.get(reference)?.pullTakes ?? 0))
    const image = this.images.get(reference) ?? { present: false, pullTakes: 0, sizeBytes: 1_000_000 }
    if (image.refused !== undefined) return yield* image.refused
    if (image.password !== undefined && !credentials.some(({ password }) => password === image.password)) {
      return yield* new RuntimeError({ reason: "ImageDenied", detail: `pull access denied for ${reference}` })
    }
    this.images.set(reference, { ...image, present: true })
    return yield* this.imageInfo(reference)
  })

  readonly ensureSandbox = Effect.fnUntraced(function*(this: MemoryEngine, spec: SandboxSpec) {
    for (const held of this.sandboxes.values()) {
      if (held.spec.uid === spec.uid && held.spec.attempt === spec.attempt) return sandboxOf(held)
    }
    const id = this.#id()
    const serial = this.#serial
    const ip = spec.hostNetwork ? "127.0.0.1" : `10.88.${(serial >> 8) & 255}.${serial & 255}`
    const sandbox: MemorySandbox = { id, spec, ip, ready: true }
    this.sandboxes.set(id, sandbox)
    return sandboxOf(sandbox)
  })

  listSandboxes(): ReadonlyArray<Sandbox> {
    return [...this.sandboxes.values()].map(sandboxOf)
  }

  readonly create = Effect.fnUntraced(function*(this: MemoryEngine, spec: ContainerSpec) {
    for (const held of this.containers.values()) {
      if (
        held.spec.uid === spec.uid && held.spec.container === spec.container && held.spec.attempt === spec.attempt
      ) {
        return yield* new RuntimeError({
          reason: "NameConflict",
          detail: `the name of ${held.subject} is taken by ${held.id}`,
          id: held.id
        })
      }
    }
    if (!this.sandboxes.has(spec.sandboxId)) return yield* notFound("sandbox", spec.sandboxId)
    yield* this.imageInfo(spec.image)
    const stdin = yield* Queue.bounded<Uint8Array, Cause.Done>(16)
    const container = new MemoryContainer(this.#id(), spec, this.scriptOf(spec), this.clocks, stdin)
    this.containers.set(container.id, container)
    return container.id
  })

  /** A call to start it leaves whoever drives the engine. */
  asked(id: string): void {
    this.#asked.set(id, this.clocks.world.currentTimeMillisUnsafe())
  }

  readonly start = Effect.fnUntraced(function*(this: MemoryEngine, id: string) {
    const container = yield* this.find(id)
    if (container.startedAt !== undefined) {
      return yield* new RuntimeError({ reason: "Invalid", detail: `${container.subject} was started before` })
    }
    if (container.script.startFails !== undefined) {
      container.detail = container.script.startFails
      return yield* new RuntimeError({ reason: "StartFailed", detail: container.script.startFails })
    }
    if (this.sandboxes.get(container.spec.sandboxId)?.ready !== true) {
      return yield* new RuntimeError({
        reason: "StartFailed",
        detail: "cannot join network of a non running container"
      })
    }
    const run: Run = {
      uid: container.spec.uid,
      container: container.spec.container,
      attempt: container.spec.attempt,
      id,
      sandboxId: container.spec.sandboxId,
      askedAt: this.#asked.get(id) ?? 0,
      startedAt: this.clocks.world.currentTimeMillisUnsafe()
    }
    this.runs.push(run)
    this.began(run)
    yield* this.#emit(container, "started")
    yield* container.launch(
      (life) => FiberSet.run(this.#processes, life) as Effect.Effect<Fiber.Fiber<void>>,
      () => this.#ended(container)
    )
  })

  #runOf(container: MemoryContainer): Run | undefined {
    return this.runs.findLast(({ id }) => id === container.id)
  }

  #ended(container: MemoryContainer): Effect.Effect<void> {
    const run = this.#runOf(container)
    if (run !== undefined && container.finishedAt !== undefined) {
      run.finishedAt = this.clocks.world.currentTimeMillisUnsafe()
      run.exitCode = container.exitCode ?? 0
    }
    return Effect.andThen(
      container.oomKilled ? this.#emit(container, "oom") : Effect.void,
      this.#emit(container, "exited")
    )
  }

  #kill(container: MemoryContainer, ending: Ending): Effect.Effect<void> {
    return container.kill(ending, () => this.#ended(container))
  }

  #markCut(container: MemoryContainer): void {
    const run = this.#runOf(container)
    if (run !== undefined && container.running) run.cut = true
  }

  /** Ends it from outside: nobody who drives the engine asked for it. */
  cut(container: MemoryContainer, ending: Ending): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.#markCut(container)
      return this.#kill(container, ending)
    })
  }

  /** A container that is taken away, or one that can begin in no sandbox any more. */
  lose(container: MemoryContainer): void {
    const run = this.#runOf(container)
    const { container: name, uid } = container.spec
    if (run === undefined) this.losses.push({ uid, what: "unbegun", container: name })
    else run.vanished = true
  }

  /** What runs in it goes on, and has to end. */
  /** As an engine tells of its process. */
  sandboxDied({ id, spec }: MemorySandbox): Effect.Effect<void> {
    return Effect.asVoid(PubSub.publish(this.#events, { uid: spec.uid, containerId: id, kind: "exited" as const }))
  }

  breakSandbox(sandbox: MemorySandbox): void {
    if (!sandbox.ready) return
    sandbox.ready = false
    this.losses.push({ uid: sandbox.spec.uid, what: "sandbox" })
    for (const container of this.containers.values()) {
      if (container.spec.sandboxId === sandbox.id) this.#markCut(container)
    }
  }

  readonly stop = Effect.fnUntraced(function*(this: MemoryEngine, id: string, graceSeconds: number) {
    const container = this.containers.get(id)
    if (container?.running !== true) return
    Deferred.doneUnsafe(container.term, Effect.void)
    yield* Effect.raceFirst(
      Deferred.await(container.exited),
      Effect.andThen(Effect.sleep(Duration.seconds(graceSeconds)), this.#kill(container, 137))
    )
  })

  readonly remove = Effect.fnUntraced(function*(this: MemoryEngine, id: string) {
    const container = this.containers.get(id)
    if (container === undefined) return
    if (container.running) {
      return yield* new RuntimeError({ reason: "Invalid", detail: `${container.subject} is running: stop it first` })
    }
    this.containers.delete(id)
    container.changed()
    yield* this.#emit(container, "removed")
  })

  list(uid?: string): ReadonlyArray<Container> {
    return [...this.containers.values()].filter(({ spec }) => uid === undefined || spec.uid === uid)
      .map(({ container }) => container)
  }

  readonly exec = Effect.fnUntraced(function*(this: MemoryEngine, id: string, spec: ExecSpec) {
    const container = yield* this.find(id)
    if (!container.running) {
      return yield* new RuntimeError({ reason: "Invalid", detail: `${container.subject} is not running` })
    }
    const stdin = yield* Queue.bounded<Uint8Array, Cause.Done>(16)
    if (!spec.stdin) Queue.endUnsafe(stdin)
    const output = yield* Queue.bounded<Output, Cause.Done>(16)
    const ending = yield* Deferred.make<number>()
    yield* Effect.raceFirst(
      container.script.exec(spec.command, {
        ...container.surroundings,
        stdin: Stream.fromQueue(stdin),
        print: (text, stream = "stdout") => {
          const shown = spec.tty ? "stdout" : stream
          return (shown === "stdout" ? spec.stdout : spec.stderr)
            ? Effect.asVoid(Queue.offer(output, { stream: shown, bytes: bytesOf(text) }))
            : Effect.void
        }
      }),
      Effect.as(Deferred.await(container.exited), 137)
    ).pipe(
      Effect.flatMap((code) => Deferred.succeed(ending, code)),
      Effect.ensuring(Queue.end(output)),
      Effect.forkScoped
    )
    return streams(stdin, output, Deferred.await(ending))
  })

  readonly attach = Effect.fnUntraced(function*(this: MemoryEngine, id: string, spec: Omit<ExecSpec, "command">) {
    const container = yield* this.find(id)
    if (!container.running) {
      return yield* new RuntimeError({ reason: "Invalid", detail: `${container.subject} is not running` })
    }
    const output = yield* Queue.bounded<Output, Cause.Done>(16)
    container.listeners.add(output)
    yield* Effect.addFinalizer(() => {
      container.listeners.delete(output)
      return Queue.shutdown(output)
    })
    const attached = streams(
      container.stdin,
      output,
      Effect.andThen(Deferred.await(container.exited), Effect.sync(() => container.exitCode ?? 137))
    )
    const isOnce = spec.stdin && container.spec.stdinOnce
    if (isOnce && !container.spec.tty) yield* Effect.addFinalizer(() => Effect.ignore(attached.endStdin))
    return {
      ...attached,
      stdin: (bytes: Uint8Array) => (spec.stdin ? attached.stdin(bytes) : Effect.void),
      endStdin: isOnce ? attached.endStdin : Effect.void
    }
  })

  readonly dial = Effect.fnUntraced(function*(this: MemoryEngine, sandboxId: string, port: number) {
    if (this.sandboxes.get(sandboxId)?.ready !== true) return yield* notFound("sandbox", sandboxId)
    const listening = [...this.containers.values()].find((container) =>
      container.spec.sandboxId === sandboxId && container.running && container.script.listens[port] !== undefined
    )
    const listener = listening?.script.listens[port]
    if (listening === undefined || listener === undefined) {
      return yield* unavailable(`connect ECONNREFUSED ${sandboxId}:${port}`)
    }
    const inward = yield* Queue.bounded<Uint8Array, Cause.Done>(16)
    const outward = yield* Queue.bounded<Uint8Array, Cause.Done>(16)
    yield* Effect.raceFirst(
      listener({
        read: Stream.fromQueue(inward),
        write: (bytes) => Effect.asVoid(Queue.offer(outward, bytesOf(bytes)))
      }),
      Deferred.await(listening.exited)
    ).pipe(Effect.ensuring(Effect.andThen(Queue.end(outward), Queue.shutdown(inward))), Effect.forkScoped)
    const duplex: Duplex = {
      write: (bytes) => Effect.asVoid(Queue.offer(inward, bytes)),
      end: Effect.asVoid(Queue.end(inward)),
      read: Stream.fromQueue(outward)
    }
    return duplex
  })
}

const invalidName = (reference: string) =>
  new RuntimeError({ reason: "InvalidImageName", detail: `invalid reference format: ${reference}` })

const sandboxOf = ({ id, ip, ready, spec }: MemorySandbox): Sandbox => ({
  id,
  uid: spec.uid,
  namespace: spec.namespace,
  pod: spec.pod,
  attempt: spec.attempt,
  ready,
  ips: ready ? [ip] : []
})

const streams = (
  stdin: Queue.Queue<Uint8Array, Cause.Done>,
  output: Queue.Queue<Output, Cause.Done>,
  exitCode: Effect.Effect<number>
): ProcessStreams => ({
  stdin: (bytes) => Effect.asVoid(Queue.offer(stdin, bytes)),
  endStdin: Effect.asVoid(Queue.end(stdin)),
  resize: () => Effect.void,
  output: Stream.fromQueue(output),
  exitCode
})

/** One container of the in-memory runtime: its life, its log and who listens to it. */
import { Cause, type Clock, Deferred, Duration, Effect, Exit, Fiber, Option, Queue, Stream } from "effect"
import type { Container, ContainerSpec, LogChunk, LogQuery, Output } from "../../../core/pod/ContainerRuntime.ts"
import type { Ending, Script, Surroundings } from "./Program.ts"

/** Older chunks are dropped, as log rotation does. */
const MOST_LOG_CHUNKS = 10_000

export const bytesOf = (text: string | Uint8Array): Uint8Array =>
  typeof text === "string" ? new TextEncoder().encode(text) : text

const NEWLINE = 10

/** Splits after each newline; the rest, if any, is a piece of its own. */
export const pieces = (bytes: Uint8Array): ReadonlyArray<Uint8Array> => {
  const found: Array<Uint8Array> = []
  let from = 0
  while (from < bytes.length) {
    const newline = bytes.indexOf(NEWLINE, from)
    const to = newline < 0 ? bytes.length : newline + 1
    found.push(bytes.slice(from, to))
    from = to
  }
  return found
}

const rfc3339 = (millis: number): string => new Date(millis).toISOString().replace("Z", "000000Z")

export interface Clocks {
  /** Of the host on which the engine runs, whoever calls it: by it the engine stamps what it tells. */
  readonly host: Clock.Clock
  /** The test's own. */
  readonly world: Clock.Clock
}

export class MemoryContainer {
  readonly id: string
  readonly spec: ContainerSpec
  readonly script: Script
  readonly createdAt: number
  startedAt: number | undefined
  /** As `startedAt`, by the test's own clock. */
  began: number | undefined
  finishedAt: number | undefined
  exitCode: number | undefined
  oomKilled = false
  detail: string | undefined
  readonly exited = Deferred.makeUnsafe<void>()
  readonly term = Deferred.makeUnsafe<void>()
  readonly stdin: Queue.Queue<Uint8Array, Cause.Done>
  readonly listeners = new Set<Queue.Queue<Output, Cause.Done>>()
  readonly #clocks: Clocks
  #process: Fiber.Fiber<void> | undefined
  #log: Array<LogChunk> = []
  #dropped = 0
  #changed = Deferred.makeUnsafe<void>()

  constructor(
    id: string,
    spec: ContainerSpec,
    script: Script,
    clocks: Clocks,
    stdin: Queue.Queue<Uint8Array, Cause.Done>
  ) {
    this.id = id
    this.spec = spec
    this.script = script
    this.#clocks = clocks
    this.createdAt = clocks.host.currentTimeMillisUnsafe()
    this.stdin = stdin
    if (!spec.stdin) Queue.endUnsafe(stdin)
  }

  get subject(): string {
    return `${this.spec.namespace}/${this.spec.pod}/${this.spec.container}#${this.spec.attempt}`
  }

  get running(): boolean {
    return this.startedAt !== undefined && this.finishedAt === undefined
  }

  get container(): Container {
    return {
      id: this.id,
      uid: this.spec.uid,
      namespace: this.spec.namespace,
      pod: this.spec.pod,
      sandboxId: this.spec.sandboxId,
      container: this.spec.container,
      attempt: this.spec.attempt,
      specHash: this.spec.specHash,
      image: this.spec.image,
      imageId: this.spec.imageId,
      state: this.running ? "running" : this.finishedAt === undefined ? "created" : "exited",
      createdAt: this.createdAt,
      ...(this.startedAt === undefined ? {} : { startedAt: this.startedAt }),
      ...(this.finishedAt === undefined ? {} : { finishedAt: this.finishedAt }),
      ...(this.exitCode === undefined ? {} : { exitCode: this.exitCode }),
      oomKilled: this.oomKilled,
      ...(this.detail === undefined ? {} : { detail: this.detail })
    }
  }

  readonly print = (text: string | Uint8Array, stream: Output["stream"] = "stdout"): Effect.Effect<void> =>
    Effect.suspend(() => {
      const time = rfc3339(this.#clocks.host.currentTimeMillisUnsafe())
      return Effect.forEach(
        pieces(bytesOf(text)),
        (bytes) =>
          Effect.suspend(() => {
            this.#log.push({ stream, time, bytes })
            if (this.#log.length > MOST_LOG_CHUNKS) {
              this.#log.shift()
              this.#dropped += 1
            }
            this.changed()
            return Effect.forEach(this.listeners, (listener) => Queue.offer(listener, { stream, bytes }), {
              discard: true
            })
          }),
        { discard: true }
      )
    })

  get surroundings(): Surroundings {
    return {
      spec: this.spec,
      print: this.print,
      stdin: Stream.fromQueue(this.stdin),
      terminated: Deferred.await(this.term)
    }
  }

  /** Runs the program in a fiber that `fork` owns; `ended` is told once. */
  readonly launch = Effect.fnUntraced(function*(
    this: MemoryContainer,
    fork: (life: Effect.Effect<void>) => Effect.Effect<Fiber.Fiber<void>>,
    ended: () => Effect.Effect<void>
  ) {
    this.startedAt = this.#clocks.host.currentTimeMillisUnsafe()
    this.began = this.#clocks.world.currentTimeMillisUnsafe()
    const { onTerm, run } = this.script
    const termination: Effect.Effect<Ending> = onTerm === "ignored" || onTerm === "handled"
      ? Effect.never
      : Effect.andThen(
        Deferred.await(this.term),
        onTerm === "dies"
          ? Effect.succeed(143)
          : Effect.as(Effect.sleep(Duration.fromInputUnsafe(onTerm.after)), onTerm.code)
      )
    this.#process = yield* fork(
      Effect.raceFirst(run(this.surroundings), termination).pipe(
        Effect.exit,
        Effect.flatMap((exit) => {
          if (Exit.isSuccess(exit)) return this.end(exit.value, ended)
          if (Cause.hasInterruptsOnly(exit.cause)) return Effect.void
          this.detail = `the program of the test broke: ${Cause.pretty(exit.cause)}`
          return Effect.andThen(Effect.logError(this.detail), this.end(139, ended))
        })
      )
    )
  })

  /** The process is gone, by itself or not; only the first ending counts. */
  readonly end = Effect.fnUntraced(function*(
    this: MemoryContainer,
    ending: Ending,
    ended: () => Effect.Effect<void>
  ) {
    if (!this.running) return
    this.finishedAt = this.#clocks.host.currentTimeMillisUnsafe()
    this.exitCode = ending === "OOMKilled" ? 137 : ending
    this.oomKilled = ending === "OOMKilled"
    Deferred.doneUnsafe(this.exited, Effect.void)
    Queue.endUnsafe(this.stdin)
    for (const listener of this.listeners) Queue.endUnsafe(listener)
    this.changed()
    yield* ended()
  })

  /** As `end`, for an ending that comes from outside the process. */
  readonly kill = Effect.fnUntraced(function*(this: MemoryContainer, ending: Ending, ended: () => Effect.Effect<void>) {
    yield* this.end(ending, ended)
    if (this.#process !== undefined) yield* Fiber.interrupt(this.#process)
  })

  /** Wakes everybody who follows the log. */
  changed(): void {
    const before = this.#changed
    this.#changed = Deferred.makeUnsafe()
    Deferred.doneUnsafe(before, Effect.void)
  }

  /** `gone` tells whether it was removed, which ends followers. */
  logs(query: LogQuery, gone: () => boolean): Stream.Stream<LogChunk> {
    return Stream.suspend(() => {
      const since = query.since === undefined ? "" : rfc3339(query.since)
      return Stream.paginate(
        this.#tailStart(query.tail),
        (at: number) =>
          Effect.suspend((): Effect.Effect<readonly [ReadonlyArray<LogChunk>, Option.Option<number>]> => {
            const next = this.#dropped + this.#log.length
            if (at < next) {
              const fresh = this.#log.slice(Math.max(0, at - this.#dropped)).filter(({ time }) => time >= since)
              return Effect.succeed([fresh, Option.some(next)])
            }
            if (!query.follow || this.finishedAt !== undefined || gone()) return Effect.succeed([[], Option.none()])
            return Effect.as(Deferred.await(this.#changed), [[], Option.some(at)] as const)
          })
      )
    })
  }

  #tailStart(tail: number | undefined): number {
    if (tail === undefined) return this.#dropped
    let lines = 0
    let index = this.#log.length
    while (index > 0) {
      const ends = this.#log[index - 1]!.bytes.at(-1) === NEWLINE
      if (ends || index === this.#log.length) lines += 1
      if (lines > tail) break
      index -= 1
    }
    return this.#dropped + index
  }
}

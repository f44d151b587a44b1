/**
 * Runs a program in a world of its own: what is ready runs in an order drawn from the seed, then promises settle, then
 * time jumps to the next sleeper. A day costs as long as what happens in it.
 */
import { Cause, Clock, Context, Duration, Effect, Exit, Fiber, Random, References, Scheduler } from "effect"
import { HttpClient } from "effect/http"
import { WorldClock } from "../fakes/worldClock.ts"
import { arm, disarm, lay } from "./traps.ts"
import { uniform } from "./uniform.ts"

interface Task {
  readonly priority: number
  readonly run: () => void
}

interface Sleeper {
  readonly at: number
  readonly order: number
  readonly wake: () => void
}

/** The program slept for ever: nothing is ready and nobody waits for time. */
export class Deadlock extends Error {
  override readonly name = "Deadlock"
}

/** Time ran past the limit given to `simulate`. */
export class TooLong extends Error {
  override readonly name = "TooLong"
}

/** Of fibers at one instant: a world that turns for ever without time going on never ends by itself. */
const mostAtOnce = 1_000_000

/** How a host's clock differs from the world's: added milliseconds, and a rate (1.0001 gains 8.6 s a day). */
export interface Skew {
  readonly offsetMillis: number
  readonly rate: number
  /** World's millisecond of the host's last boot, from which its monotonic clock counts; the world's beginning unless given. */
  readonly bootedAt?: number
}

export class VirtualTime {
  /** Milliseconds since the epoch by the world's own clock. */
  now: number
  readonly start: number
  #tasks: Array<Task> = []
  #sleepers: Array<Sleeper> = []
  #order = 0
  readonly #next: () => number
  #untilYield = 1
  #atOnce = 0

  /** Whether the world is held to ask nobody else for time and chance. */
  trapped = true

  constructor(seed: number, start = Date.UTC(2026, 0, 1)) {
    this.start = start
    this.now = start
    this.#next = uniform(seed)
  }

  readonly scheduler: Scheduler.Scheduler = {
    executionMode: "async",
    // Counts for itself: a fiber's own count also holds the steps it took before the simulation began.
    shouldYield: (fiber) => {
      // Never at the first step: a fiber that is interrupted before it began would be begun after all, its end forgotten.
      if (fiber.currentOpCount <= 1) return false
      this.#untilYield -= 1
      if (this.#untilYield > 0) return false
      this.#untilYield = 1 + Math.floor(this.#next() * 512)
      return true
    },
    makeDispatcher: () => ({
      scheduleTask: (run, priority) => {
        this.#tasks.push({ priority, run })
      },
      flush: () => this.#runReady()
    })
  }

  /** The clock of one host; durations are stretched by its rate, its wall clock is off by its offset. */
  clock(skew: { current: Skew } = { current: { offsetMillis: 0, rate: 1 } }): Clock.Clock {
    const wall = () => this.start + (this.now - this.start) * skew.current.rate + skew.current.offsetMillis
    const monotonic = () =>
      BigInt(Math.round((this.now - (skew.current.bootedAt ?? this.start)) * skew.current.rate * 1000)) * 1000n
    return {
      currentTimeMillisUnsafe: () => Math.floor(wall()),
      currentTimeMillis: Effect.sync(() => Math.floor(wall())),
      currentTimeNanosUnsafe: () => BigInt(Math.round(wall() * 1000)) * 1000n,
      currentTimeNanos: Effect.sync(() => BigInt(Math.round(wall() * 1000)) * 1000n),
      monotonicTimeNanosUnsafe: monotonic,
      monotonicTimeNanos: Effect.sync(monotonic),
      sleep: (duration) => this.#sleep(Duration.toMillis(duration) / skew.current.rate)
    }
  }

  #sleep(millis: number): Effect.Effect<void> {
    if (millis <= 0) return Effect.yieldNow
    if (!Number.isFinite(millis)) return Effect.never
    return Effect.callback<void>((resume) => {
      // Milliseconds since the epoch know nothing shorter: who slept for less would never wake up later than before.
      const sleeper: Sleeper = {
        at: this.now + Math.max(millis, 0.001),
        order: this.#order++,
        wake: () => resume(Effect.void)
      }
      this.#insert(sleeper)
      return Effect.sync(() => {
        const index = this.#sleepers.indexOf(sleeper)
        if (index >= 0) this.#sleepers.splice(index, 1)
      })
    })
  }

  #insert(sleeper: Sleeper) {
    let low = 0
    let high = this.#sleepers.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const other = this.#sleepers[middle]!
      // Descending, so that the next one is popped from the end.
      if (other.at > sleeper.at || (other.at === sleeper.at && other.order > sleeper.order)) low = middle + 1
      else high = middle
    }
    this.#sleepers.splice(low, 0, sleeper)
  }

  #runReady() {
    while (this.#tasks.length > 0) {
      let lowest = Infinity
      for (const { priority } of this.#tasks) if (priority < lowest) lowest = priority
      let ready = 0
      for (const { priority } of this.#tasks) if (priority === lowest) ready++
      let pick = Math.floor(this.#next() * ready)
      const index = this.#tasks.findIndex((task) => task.priority === lowest && pick-- === 0)
      const last = this.#tasks.pop()!
      const task = index === this.#tasks.length ? last : this.#tasks[index]!
      if (task !== last) this.#tasks[index] = last
      if (++this.#atOnce > mostAtOnce) throw new TooLong(`${mostAtOnce} steps, and time does not go on`)
      task.run()
    }
  }

  /** Drives the world until the fiber ends. `untilMillis` bounds virtual time; `Trapped` is what the world may not do. */
  async drive<A, E>(fiber: Fiber.Fiber<A, E>, untilMillis: number): Promise<Exit.Exit<A, E>> {
    const lift = lay()
    try {
      return await this.#drive(fiber, untilMillis)
    } finally {
      lift()
    }
  }

  async #drive<A, E>(fiber: Fiber.Fiber<A, E>, untilMillis: number): Promise<Exit.Exit<A, E>> {
    let done: Exit.Exit<A, E> | undefined
    fiber.addObserver((exit) => {
      done = exit
    })
    const turn = () => new Promise<void>((resolve) => setImmediate(resolve))
    // Chains of promises, should anybody use them; a turn of the event loop at each instant would cost more than most instants do.
    const settle = async () => {
      for (let link = 0; link < 8; link++) await undefined
    }
    // What others had begun before is not the world's.
    await settle()
    let turned = false
    while (done === undefined) {
      try {
        if (this.trapped) arm()
        this.#runReady()
        // Its promises go on meanwhile.
        if (done === undefined) await settle()
      } finally {
        disarm()
      }
      if (done !== undefined) break
      if (this.#tasks.length > 0) continue
      const sleeper = this.#sleepers.pop()
      if (sleeper === undefined && !turned) {
        turned = true
        await turn()
        continue
      }
      turned = false
      if (sleeper === undefined) {
        if (done !== undefined) break
        throw new Deadlock(`nothing can ever happen again, ${(this.now - this.start) / 1000} s in`)
      }
      if (sleeper.at - this.start > untilMillis) throw new TooLong(`still running after ${untilMillis / 1000} s`)
      if (sleeper.at > this.now) {
        this.now = sleeper.at
        this.#atOnce = 0
      }
      if (this.trapped) arm()
      sleeper.wake()
      disarm()
    }
    return done
  }
}

/**
 * Runs `program` to its end in virtual time. Everything random, fiber order included, comes from `seed`.
 * `limit` bounds virtual time (default 30 days); a world that cannot go on fails with `Deadlock`.
 */
export const simulate = <A, E>(
  seed: number,
  program: (time: VirtualTime) => Effect.Effect<A, E>,
  options: {
    readonly limit?: Duration.Input
    readonly logs?: boolean
    /** Real parts that ask the machine for time or chance, such as a disk's names for its files: they cannot be trapped then. */
    readonly real?: boolean
  } = {}
): Effect.Effect<A, E> =>
  Effect.callback<A, E>((resume) => {
    const time = new VirtualTime(seed)
    time.trapped = options.real !== true
    const context = Context.make(Scheduler.Scheduler, time.scheduler).pipe(
      Context.add(Clock.Clock, time.clock()),
      Context.add(WorldClock, time.clock()),
      Context.add(References.MinimumLogLevel, options.logs === true ? "Debug" : "None"),
      // Nobody looks at spans, and they cost as much as the requests that they are about.
      Context.add(References.TracerEnabled, false),
      Context.add(HttpClient.TracerDisabledWhen, () => true)
    )
    const fiber = Effect.runForkWith(context)(program(time).pipe(Random.withSeed(seed)))
    time.drive(fiber, Duration.toMillis(Duration.fromInputUnsafe(options.limit ?? "30 days"))).then(
      (exit) => resume(Exit.isSuccess(exit) ? Effect.succeed(exit.value) : Effect.failCause(exit.cause)),
      (defect) => resume(Effect.failCause(Cause.die(defect)))
    )
  })

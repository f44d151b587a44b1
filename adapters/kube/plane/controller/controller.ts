/** The frame of every controller: changes become keys, keys are reconciled one after another, failures are tried again. */
import { Clock, Context, Duration, Effect, Latch, Layer, type Scope } from "effect"
import { ControlPlane } from "../ControlPlane.ts"
import type { ApiFailure } from "../object/ApiFailure.ts"
import type { World } from "../request/World.ts"
import type { Change } from "../store/Collection.ts"

export interface Watching {
  readonly collection: string
  /** The keys whose reconciliation the change may alter. */
  readonly keys: (change: Change, world: World) => ReadonlyArray<string>
}

/** When to look at the key again although nothing changed. */
export interface Again {
  readonly after: Duration.Input
}

export interface Definition<R, S> {
  readonly name: string
  readonly watches: ReadonlyArray<Watching>
  /** Brings one key to where it should be; it must be safe to call at any time. */
  readonly reconcile: (world: World, key: string, state: S) => Effect.Effect<Again | void, ApiFailure, R>
  /** What one run of the controller remembers between keys. */
  readonly state?: () => S
  /** A key that comes up at this interval, for controllers that watch the clock. */
  readonly tick?: { readonly every: Duration.Input; readonly key: string }
}

const retryAfter = Duration.seconds(1)

/** Which controllers run; a test or simulation may run any subset. */
export const ControllerSwitches = Context.Reference<(name: string) => boolean>("aranya/plane/ControllerSwitches", {
  defaultValue: () => () => true
})

/** Keys waiting now and keys waiting for their time; each key is held once. */
class WorkQueue {
  readonly #ready = new Set<string>()
  readonly #delayed = new Map<string, number>()
  readonly latch = Latch.makeUnsafe()

  add(key: string): void {
    this.#ready.add(key)
    this.latch.openUnsafe()
  }

  addAt(key: string, due: number): void {
    const before = this.#delayed.get(key)
    if (before === undefined || due < before) this.#delayed.set(key, due)
    this.latch.openUnsafe()
  }

  take(now: number): string | undefined {
    for (const [key, due] of this.#delayed) {
      if (due > now) continue
      this.#delayed.delete(key)
      this.#ready.add(key)
    }
    const [key] = this.#ready
    if (key === undefined) return undefined
    this.#ready.delete(key)
    return key
  }

  /** Milliseconds until the next delayed key is due. */
  wait(now: number): number | undefined {
    let due: number | undefined
    for (const at of this.#delayed.values()) if (due === undefined || at < due) due = at
    return due === undefined ? undefined : Math.max(0, due - now)
  }
}

/** Runs the controller until the scope closes. */
export const runController = Effect.fnUntraced(
  function*<R, S>(world: World, definition: Definition<R, S>): Effect.fn.Return<void, never, R | Scope.Scope> {
    const queue = new WorkQueue()
    yield* Effect.acquireRelease(
      Effect.sync(() =>
        definition.watches.map(({ collection, keys }) => {
          for (const revision of world.store.objects(collection)) {
            const change: Change = { type: "ADDED", revision, previous: undefined, version: revision.version }
            for (const key of keys(change, world)) queue.add(key)
          }
          return world.store.listen(collection, "all", (change) => {
            for (const key of keys(change, world)) queue.add(key)
          })
        })
      ),
      (stops) => Effect.sync(() => stops.forEach((stop) => stop()))
    )
    const clock = yield* Clock.Clock
    // Without `state` S is inferred as unknown, and reconcile does not look at it.
    const state = definition.state?.() as S
    const tick = definition.tick
    if (tick !== undefined) queue.add(tick.key)

    const reconcile = (key: string) =>
      definition.reconcile(world, key, state).pipe(
        Effect.catchTag("ApiFailure", (error) =>
          Effect.as(Effect.logDebug(`${definition.name} ${key}: ${error.message}`), { after: retryAfter })),
        Effect.map((again) => {
          const after = again?.after ?? (tick !== undefined && tick.key === key ? tick.every : undefined)
          if (after !== undefined) {
            queue.addAt(key, clock.currentTimeMillisUnsafe() + Duration.toMillis(Duration.fromInputUnsafe(after)))
          }
        })
      )

    const step = Effect.suspend(() => {
      const now = clock.currentTimeMillisUnsafe()
      const key = queue.take(now)
      if (key !== undefined) return reconcile(key)
      queue.latch.closeUnsafe()
      const wait = queue.wait(now)
      return wait === undefined
        ? queue.latch.await
        : Effect.timeoutOrElse(queue.latch.await, { duration: Duration.millis(wait), orElse: () => Effect.void })
    })
    yield* step.pipe(Effect.forever, Effect.forkScoped)
  }
)

export interface Controller<R = never> {
  readonly name: string
  readonly layer: Layer.Layer<never, never, ControlPlane | R>
}

export const controller = <R = never, S = unknown>(definition: Definition<R, S>): Controller<R> => ({
  name: definition.name,
  layer: Layer.effectDiscard(Effect.gen(function*() {
    const enabled = yield* ControllerSwitches
    const { world } = yield* ControlPlane
    if (enabled(definition.name)) yield* runController(world, definition)
  }))
})

/** A watch: what changed since a version, then what changes from now on, bounded in memory. */
import { Cause, Effect, Queue, type Scope } from "effect"
import { type ApiFailure, expired } from "../object/ApiFailure.ts"
import { hookOf, type Seen, seen, select, type Selection } from "./Selection.ts"
import type { Store } from "./Store.ts"

/** A watcher this far behind is cut off and resumes from its last version, as a real API server does. */
export const watchBacklog = 8192

export interface Watch {
  /** State or changes up to the moment the watch was opened. */
  readonly initial: ReadonlyArray<Seen>
  /** Store version at that moment. */
  readonly version: number
  /** Changes since; ends when the watcher falls behind. */
  readonly changes: Queue.Dequeue<Seen, Cause.Done>
}

/**
 * Opens a watch for as long as the scope lives.
 * Without `since` the current state comes first as ADDED; fails with 410 when history no longer reaches `since`.
 */
export const openWatch = Effect.fnUntraced(function*(
  store: Store,
  selection: Selection,
  since: number | undefined
): Effect.fn.Return<Watch, ApiFailure, Scope.Scope> {
  const changes = yield* Queue.bounded<Seen, Cause.Done>(watchBacklog)
  return yield* Effect.acquireRelease(
    Effect.suspend((): Effect.Effect<Watch & { readonly stop: () => void }, ApiFailure> => {
      const version = store.version
      const past = since === undefined ? [] : store.collection(selection.collection).since(since)
      if (past === undefined || (since !== undefined && since > version)) {
        return Effect.fail(expired(`too old resource version: ${since} (${version})`))
      }
      const initial = since === undefined
        ? select(store, selection).items.map((revision): Seen => ({ type: "ADDED", revision }))
        : past.flatMap((change) => seen(selection, change) ?? [])
      const stop = store.listen(selection.collection, hookOf(store, selection), (change) => {
        const event = seen(selection, change)
        if (event !== undefined && !Queue.offerUnsafe(changes, event)) {
          stop()
          Queue.endUnsafe(changes)
        }
      })
      return Effect.succeed({ initial, version, changes, stop })
    }),
    ({ stop }) => Effect.andThen(Effect.sync(stop), Queue.shutdown(changes))
  )
})

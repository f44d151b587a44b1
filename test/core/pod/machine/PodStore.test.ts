import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { Journal } from "../../../../core/agent/Journal.ts"
import { makePodStore } from "../../../../core/pod/machine/PodStore.ts"
import { MemoryJournal } from "../../../fakes/MemoryJournal.ts"
import { pod } from "./pods.ts"

describe("the store of pods", () => {
  it.effect("writes nothing of a pod that is forgotten while that waits for its turn", () =>
    Effect.gen(function*() {
      const journal = yield* MemoryJournal
      const store = yield* makePodStore(yield* Journal)
      const assignment = pod()
      const { uid } = assignment
      yield* store.add({
        assignment,
        pod: {
          order: 1,
          stage: "Sync",
          startedAt: 0,
          activeMillis: 0,
          activeStamp: 0,
          bootId: "b",
          sandboxAttempt: 0,
          sandboxId: "",
          containersRemoved: false
        },
        containers: new Map()
      })
      yield* journal.intercept(Effect.sleep("1 second"))
      yield* Effect.forkChild(store.forget(uid), { startImmediately: true })
      yield* Effect.forkChild(store.savePod(uid, (before) => ({ ...before, sandboxId: "s" })), {
        startImmediately: true
      })
      yield* TestClock.adjust("5 seconds")
      assert.isUndefined(store.get(uid))
      assert.isFalse(yield* journal.has("pods", uid))
    }).pipe(Effect.provide(MemoryJournal.layer)))
})

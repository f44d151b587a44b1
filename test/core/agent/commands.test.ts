import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Stream } from "effect"
import { commands } from "../../../core/agent/commands.ts"
import { HostFacts } from "../../../core/agent/HostFacts.ts"
import { Outbox } from "../../../core/agent/Outbox.ts"
import { makeRetirement } from "../../../core/agent/retire.ts"
import { LinkMemory } from "../../../core/link/Hello.ts"
import { PodRuntime } from "../../../core/pod/PodRuntime.ts"
import { encodeCommand } from "../../../core/wire/Command.ts"
import { MemoryFiles } from "../../fakes/MemoryFiles.ts"
import { MemoryJournal } from "../../fakes/MemoryJournal.ts"

/** A device that holds one pod, of which the journal knows that its report was taken. */
const holding = (forget: (release: () => void) => Effect.Effect<void>) => {
  const held = new Set(["u1"])
  const runtime: Partial<PodRuntime["Service"]> = {
    held: Effect.sync(() => [...held].map((uid) => ({ uid, hash: "" }))),
    forget: () => forget(() => void held.delete("u1")),
    reports: Stream.never
  }
  return Layer.mergeAll(
    Layer.succeed(PodRuntime, runtime as PodRuntime["Service"]),
    Layer.mock(HostFacts, {}),
    Layer.mock(LinkMemory, {}),
    MemoryFiles.layer,
    MemoryJournal.layer
  )
}

const forgetting = Effect.gen(function*() {
  const obey = yield* commands({ allow: () => Effect.undefined }, Effect.void, yield* makeRetirement)
  return obey(yield* encodeCommand({ _tag: "ForgetPod", uid: "u1" }))
})

const noted = Effect.flatMap(MemoryJournal, ({ diary }) => diary)

describe("forgetting a pod", () => {
  it.effect("is left when its asker is gone, however long the disk has no space for it", () =>
    Effect.gen(function*() {
      const asked = yield* Effect.forkChild(yield* forgetting, { startImmediately: true })
      yield* Fiber.interrupt(asked)
      assert.notInclude((yield* noted).join(), "reports", "it is held, and told of again")
    }).pipe(Effect.provide(Outbox.layer), Effect.provide(holding(() => Effect.never))))

  it.effect("takes its report with it though its asker is gone in between", () =>
    Effect.gen(function*() {
      const forgotten = yield* Deferred.make<void>()
      yield* Effect.gen(function*() {
        const asked = yield* Effect.forkChild(yield* forgetting)
        yield* Deferred.await(forgotten)
        yield* Fiber.interrupt(asked)
        assert.include((yield* noted).join(), "remove reports u1")
      }).pipe(
        Effect.provide(Outbox.layer),
        Effect.provide(holding((release) =>
          Effect.andThen(Effect.sync(release), Effect.andThen(Deferred.succeed(forgotten, undefined), Effect.never))
        ))
      )
    }))
})

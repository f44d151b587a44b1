/** What somebody follows is not removed under their eyes: who reads a log to its end gets a moment for it. */
import { Effect, Stream } from "effect"
import type { ContainerRuntime } from "../ContainerRuntime.ts"

/** A reader that is slower is told that the container was removed. */
const PATIENCE = "2 seconds"
const POLL = "50 millis"

export const sparingFollowers = (runtime: ContainerRuntime["Service"]): ContainerRuntime["Service"] => {
  const followers = new Map<string, number>()
  const count = (id: string, by: number) =>
    Effect.sync(() => {
      const now = (followers.get(id) ?? 0) + by
      if (now > 0) followers.set(id, now)
      else followers.delete(id)
    })
  return {
    ...runtime,
    logs: (id, query) =>
      query.follow
        ? Stream.unwrap(
          Effect.as(Effect.acquireRelease(count(id, 1), () => count(id, -1)), runtime.logs(id, query))
        )
        : runtime.logs(id, query),
    remove: (id) =>
      Effect.gen(function*() {
        while (followers.has(id)) yield* Effect.sleep(POLL)
      }).pipe(Effect.timeoutOption(PATIENCE), Effect.andThen(runtime.remove(id)))
  }
}

import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import {
  type Container,
  type ContainerRuntime,
  RuntimeError,
  type Sandbox
} from "../../../../core/pod/ContainerRuntime.ts"
import { removePods } from "../../../../core/pod/machine/removeOrphans.ts"
import type { PodFiles } from "../../../../core/pod/PodFiles.ts"

describe("what belongs to no pod", () => {
  it.effect("goes, but for what is of a pod of which something cannot go", () =>
    Effect.gen(function*() {
      const uids = ["stuck", "free"]
      const gone: Array<string> = []
      const go = (what: string) => Effect.sync(() => void gone.push(what))
      const runtime: Partial<ContainerRuntime["Service"]> = {
        containers: () => Effect.succeed(uids.map((uid) => ({ id: uid, uid, state: "running" }) as Container)),
        sandboxes: () => Effect.succeed(uids.map((uid) => ({ id: uid, uid }) as Sandbox)),
        stop: (id) =>
          id === "stuck"
            ? Effect.fail(new RuntimeError({ reason: "Unavailable", detail: "its folder cannot be read" }))
            : go(`stop ${id}`),
        remove: (id) => go(`remove ${id}`),
        removeSandbox: (id) => go(`sandbox ${id}`)
      }
      const files: Partial<PodFiles["Service"]> = {
        pods: Effect.succeed(uids),
        remove: (uid) => go(`files ${uid}`)
      }
      const machine = { runtime, files } as Parameters<typeof removePods>[0]
      const error = yield* Effect.flip(removePods(machine, () => true, 1))
      assert.strictEqual(error.message, "its folder cannot be read")
      assert.deepStrictEqual(gone, ["stop free", "remove free", "sandbox free", "files free"])
    }))
})

/** What the process runtime's own tests have in common. */
import { assert, it } from "@effect/vitest"
import { Effect, type Scope, Stream } from "effect"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { parseIdentity } from "../../../adapters/process/identity.ts"
import { ContainerRuntime, type ContainerSpec } from "../../../core/pod/ContainerRuntime.ts"
import { textOf } from "../../contracts/runtimeWorld.ts"
import { openWorld, type ProcessWorld } from "./processWorld.ts"

export const test = (
  sentence: string,
  body: (world: ProcessWorld) => Effect.Effect<void, unknown, ContainerRuntime | Scope.Scope>,
  open: Effect.Effect<ProcessWorld, never, Scope.Scope> = openWorld()
) =>
  it.live(sentence, () =>
    Effect.gen(function*() {
      const world = yield* open
      yield* Effect.scoped(body(world)).pipe(Effect.provide(world.runtime, { local: true }))
    }).pipe(Effect.scoped))

export const folderOf = (world: ProcessWorld, id: string) => join(world.options.dataDir, "containers", id)

export const processOf = (world: ProcessWorld, id: string) => {
  const identity = parseIdentity(readFileSync(join(folderOf(world, id), "process"), "utf8"))
  assert.isDefined(identity)
  return identity!
}

export const log = Effect.fnUntraced(function*(id: string) {
  const runtime = yield* ContainerRuntime
  return textOf(yield* Stream.runCollect(runtime.logs(id, { follow: false })))
})

export const shell = (script: string, ...args: ReadonlyArray<string>): Pick<ContainerSpec, "command" | "args"> => ({
  command: ["sh", "-c", script, "sh"],
  args
})

export const reasonAnd = <A, R>(effect: Effect.Effect<A, { readonly reason: string; readonly detail: string }, R>) =>
  Effect.map(Effect.flip(effect), ({ detail, reason }) => ({ reason, detail }))

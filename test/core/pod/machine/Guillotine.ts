/** Cuts an agent's life off at its n-th call to the outside world, before or after that call takes effect. */
import { Context, Deferred, Effect, Layer } from "effect"
import { Journal } from "../../../../core/agent/Journal.ts"
import { ContainerRuntime } from "../../../../core/pod/ContainerRuntime.ts"
import { PodFiles } from "../../../../core/pod/PodFiles.ts"

export interface Cut {
  /** The call that is the last, from 1. */
  readonly at: number
  /** Whether that call still takes effect. */
  readonly effective: boolean
}

/** The ports as an agent sees them that dies at `cut`; `dead` completes when it did. */
export const guillotine = Effect.fnUntraced(function*(cut: Cut | undefined) {
  const runtime = yield* ContainerRuntime
  const files = yield* PodFiles
  const journal = yield* Journal
  const dead = yield* Deferred.make<void>()
  let calls = 0

  const die = Effect.andThen(Deferred.succeed(dead, undefined), Effect.die("the agent was killed"))
  const guard = <A, E, R>(call: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.suspend(() => {
      calls += 1
      if (cut === undefined || calls < cut.at) return call
      return calls === cut.at && cut.effective ? Effect.andThen(Effect.exit(call), die) : die
    })
  const guarded =
    <Args extends ReadonlyArray<unknown>, A, E, R>(f: (...args: Args) => Effect.Effect<A, E, R>) => (...args: Args) =>
      guard(Effect.suspend(() => f(...args)))

  const context = Context.make(ContainerRuntime, {
    ...runtime,
    info: guard(runtime.info),
    image: guarded(runtime.image),
    pull: guarded(runtime.pull),
    ensureSandbox: guarded(runtime.ensureSandbox),
    sandboxes: guarded(runtime.sandboxes),
    removeSandbox: guarded(runtime.removeSandbox),
    create: guarded(runtime.create),
    start: guarded(runtime.start),
    stop: guarded(runtime.stop),
    remove: guarded(runtime.remove),
    inspect: guarded(runtime.inspect),
    containers: guarded(runtime.containers)
  }).pipe(
    Context.add(PodFiles, {
      volume: guarded(files.volume),
      subPath: guarded(files.subPath),
      write: guarded(files.write),
      hostsFile: guard(files.hostsFile),
      resolvConf: guard(files.resolvConf),
      readTail: guarded(files.readTail),
      replace: guarded(files.replace),
      remove: guarded(files.remove),
      pods: guard(files.pods)
    }),
    Context.add(Journal, { rows: guarded(journal.rows), commit: guarded(journal.commit), wipe: guard(journal.wipe) })
  )
  return { layer: Layer.succeedContext(context), dead: Deferred.await(dead), calls: () => calls }
})

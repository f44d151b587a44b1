/** A device in memory whose agent can be started, killed and started again; what it tells is collected. */
import { Context, Effect, Exit, Layer, References, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { HostFacts } from "../../../../core/agent/HostFacts.ts"
import type { ContainerRuntime } from "../../../../core/pod/ContainerRuntime.ts"
import { PodMachine } from "../../../../core/pod/machine/PodMachine.ts"
import type { PodEvent, PodReport } from "../../../../core/pod/PodReport.ts"
import { PodRuntime } from "../../../../core/pod/PodRuntime.ts"
import { MemoryFiles } from "../../../fakes/MemoryFiles.ts"
import { MemoryHost } from "../../../fakes/MemoryHost.ts"
import { MemoryJournal } from "../../../fakes/MemoryJournal.ts"
import { MemoryRuntime } from "../../../fakes/MemoryRuntime.ts"
import { type Cut, guillotine } from "./Guillotine.ts"

type Event = Omit<PodEvent, "number">

export interface Life {
  readonly machine: PodRuntime["Service"]
  /** Completes at the cut. */
  readonly dead: Effect.Effect<void>
  /** Calls to the outside world so far. */
  readonly calls: () => number
}

export class Device extends Context.Service<Device, {
  /** A new life of the agent; the one before is killed. */
  readonly start: Effect.Effect<PodRuntime["Service"]>
  /** As `start`, but this life ends at a call to the outside world. */
  readonly startUntil: (cut: Cut | undefined) => Effect.Effect<Life>
  readonly kill: Effect.Effect<void>
  /** All reports in the order they were told. */
  readonly reports: (uid?: string) => ReadonlyArray<PodReport>
  readonly newest: (uid?: string) => PodReport
  readonly events: () => ReadonlyArray<Event>
  readonly reasons: () => ReadonlyArray<string>
}>()("test/Device") {
  static readonly layerOver = <E>(runtime: Layer.Layer<ContainerRuntime | MemoryRuntime, E>) =>
    Layer.provideMerge(
      Layer.effect(Device, Effect.suspend(() => make)),
      Layer.mergeAll(runtime, MemoryFiles.layer, MemoryJournal.layer, MemoryHost.layer)
    )
  static readonly layer = Device.layerOver(MemoryRuntime.layer)
  /** Every call to the engine takes 100 ms: what happens in between is told. */
  static readonly layerSlow = Device.layerOver(MemoryRuntime.layerWith({ latency: { least: 100, most: 100 } }))
}

const make = Effect.gen(function*() {
  const fakes = yield* Effect.context<
    Layer.Success<
      typeof MemoryRuntime.layer | typeof MemoryFiles.layer | typeof MemoryJournal.layer | typeof MemoryHost.layer
    >
  >()
  const reports: Array<PodReport> = []
  const events: Array<Event> = []
  let life: Scope.Closeable | undefined
  const kill = Effect.suspend(() => life === undefined ? Effect.void : Scope.close(life, Exit.void))
  yield* Effect.addFinalizer(() => kill)

  const startUntil = Effect.fnUntraced(function*(cut: Cut | undefined) {
    yield* kill
    const scope = yield* Scope.make()
    life = scope
    const { calls, dead, layer } = yield* guillotine(cut).pipe(Effect.provide(fakes))
    const ports = Layer.merge(layer, Layer.succeed(HostFacts, Context.get(fakes, HostFacts)))
    const machine = Context.get(
      yield* Layer.buildWithScope(Layer.fresh(PodMachine.layer).pipe(Layer.provide(ports)), scope),
      PodRuntime
    )
    yield* Stream.runForEach(machine.reports, (report) => Effect.sync(() => reports.push(report))).pipe(
      Effect.forkIn(scope)
    )
    yield* Stream.runForEach(machine.events, (event) => Effect.sync(() => events.push(event))).pipe(
      Effect.forkIn(scope)
    )
    return { machine, dead, calls }
  })

  const of = (uid: string) => reports.filter((report) => report.uid === uid)
  return Device.of({
    start: Effect.map(startUntil(undefined), ({ machine }) => machine),
    startUntil,
    kill,
    reports: (uid = "u1") => of(uid),
    newest: (uid = "u1") => {
      const report = of(uid).at(-1)
      if (report === undefined) throw new Error(`no report of ${uid} yet`)
      return report
    },
    events: () => events,
    reasons: () => events.map(({ reason }) => reason)
  })
})

/** Lets what is ready happen, then time pass, in steps short enough that every sleeper is met. */
export const pass = (seconds: number) =>
  Effect.gen(function*() {
    for (let left = seconds * 1000; left > 0; left -= 250) yield* TestClock.adjust(Math.min(left, 250))
  })

/** For deeds that are meant to go wrong many times. */
export const quietly = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.provideService(effect, References.MinimumLogLevel, "None")

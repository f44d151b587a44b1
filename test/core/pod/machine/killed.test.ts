import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { ContainerRuntime } from "../../../../core/pod/ContainerRuntime.ts"
import type { PodAssignment } from "../../../../core/pod/PodAssignment.ts"
import type { PodReport } from "../../../../core/pod/PodReport.ts"
import type { PodRuntime } from "../../../../core/pod/PodRuntime.ts"
import { MemoryRuntime } from "../../../fakes/MemoryRuntime.ts"
import { crashes, exits, type Program } from "../../../fakes/runtime/Program.ts"
import { Device, pass, quietly } from "./Device.ts"
import type { Cut } from "./Guillotine.ts"
import { container, ephemeral, only, pod } from "./pods.ts"

interface Story {
  readonly assignment: PodAssignment
  readonly programs: Readonly<Record<string, Program>>
  /** What the operator asks for; said again to each new life, as the operator does with what was not confirmed. */
  readonly act: (machine: PodRuntime["Service"], assignment: PodAssignment) => Effect.Effect<void>
  /** Every run there may be. */
  readonly runs: ReadonlyArray<string>
  readonly check: (report: PodReport) => void
  readonly leaves: number
}

const keep: Story["act"] = (machine, assignment) => machine.ensure(assignment)

const keepThenRemove: Story["act"] = (machine, assignment) =>
  Effect.gen(function*() {
    yield* machine.ensure(assignment)
    yield* pass(4)
    yield* machine.remove(assignment.uid, 10)
  })

const stories: Readonly<Record<string, Story>> = {
  "a pod that runs for ever after its initialisation": {
    assignment: pod({ initContainers: [container("init")], containers: [container("app"), container("b")] }),
    programs: { init: exits(0, "2 seconds") },
    act: keep,
    runs: ["init#0", "app#0", "b#0"],
    leaves: 3,
    check: (report) => {
      assert.strictEqual(report.status.phase, "Running")
      assert.deepStrictEqual(report.status.containerStatuses?.map(({ restartCount }) => restartCount), [0, 0])
      assert.strictEqual(report.status.conditions?.find(({ type }) => type === "Ready")?.status, "True")
    }
  },
  "a pod that must run once only": {
    assignment: pod({ restartPolicy: "Never" }),
    programs: { app: exits(3, "3 seconds") },
    act: keep,
    runs: ["app#0"],
    leaves: 1,
    check: (report) => {
      assert.strictEqual(report.status.phase, "Failed")
      assert.strictEqual(only(report)?.state?.terminated?.exitCode, 3)
      assert.strictEqual(only(report)?.restartCount, 0)
      assert.strictEqual(report.finished, true)
    }
  },
  "a pod that succeeds at its third try": {
    assignment: pod({ restartPolicy: "OnFailure" }),
    programs: { app: crashes(2, { code: 9, after: "1 second", then: exits(0, "1 second") }) },
    act: keep,
    runs: ["app#0", "app#1", "app#2"],
    leaves: 1,
    check: (report) => {
      assert.strictEqual(report.status.phase, "Succeeded")
      assert.strictEqual(only(report)?.state?.terminated?.exitCode, 0)
      assert.strictEqual(only(report)?.lastState?.terminated?.exitCode, 9)
      assert.strictEqual(only(report)?.restartCount, 2)
    }
  },
  "a pod to which a container was added to look into it": {
    assignment: pod({ ephemeralContainers: [ephemeral("debug", { targetContainer: "app" })] }),
    programs: { debug: exits(7, "3 seconds") },
    act: (machine, assignment) =>
      Effect.gen(function*() {
        yield* machine.ensure({ ...assignment, hash: "aa", ephemeralContainers: [] })
        yield* pass(3)
        yield* machine.ensure(assignment)
      }),
    runs: ["app#0", "debug#0"],
    leaves: 2,
    check: ({ status }) => {
      assert.strictEqual(status.phase, "Running")
      assert.strictEqual(status.ephemeralContainerStatuses?.[0]?.state?.terminated?.exitCode, 7)
    }
  },
  "a pod that is deleted while it runs": {
    assignment: pod(),
    programs: {},
    act: keepThenRemove,
    runs: ["app#0"],
    leaves: 0,
    check: (report) => {
      assert.strictEqual(report.status.phase, "Failed")
      assert.strictEqual(only(report)?.state?.terminated?.exitCode, 143)
      assert.strictEqual(report.finished, true)
    }
  }
}

/** Tells the story to an agent that dies at the cut, then to one that lives. Gives the number of calls of the first. */
const tell = Effect.fnUntraced(function*(story: Story, cut: Cut | undefined) {
  const device = yield* Device
  const memory = yield* MemoryRuntime
  const runtime = yield* ContainerRuntime
  yield* memory.script(() => true, {
    run: (process) => (story.programs[process.spec.container] ?? (() => Effect.never))(process)
  })
  const first = yield* Effect.exit(device.startUntil(cut))
  let calls = 0
  if (first._tag === "Success") {
    const { value: life } = first
    yield* Effect.forkChild(Effect.exit(Effect.raceFirst(story.act(life.machine, story.assignment), life.dead)))
    yield* pass(45)
    calls = life.calls()
  }
  const machine = yield* device.start
  yield* story.act(machine, story.assignment)
  yield* pass(120)

  const where = `cut ${JSON.stringify(cut)}`
  const runs = yield* memory.runs
  assert.deepStrictEqual(runs.map((run) => `${run.container}#${run.attempt}`).sort(), [...story.runs].sort(), where)
  const numbers = device.reports().map(({ number }) => number)
  assert.deepStrictEqual(numbers, [...numbers].sort((a, b) => a - b), `${where}: numbers never go down`)
  const counts = device.reports().map((report) => only(report)?.restartCount ?? 0)
  assert.deepStrictEqual(counts, [...counts].sort((a, b) => a - b), `${where}: restart counts never go down`)
  const phases = device.reports().map(({ status }) => status.phase)
  const terminal = phases.findIndex((phase) => phase === "Succeeded" || phase === "Failed")
  if (terminal >= 0) assert.strictEqual(new Set(phases.slice(terminal)).size, 1, `${where}: a terminal phase is final`)
  story.check(device.newest())
  if (!device.newest().finished) {
    const refusal = yield* Effect.flip(Effect.scoped(machine.dial("u1", 80)))
    assert.strictEqual(refusal._tag, "RuntimeError", `${where}: the sandbox is known, nothing listens`)
  }
  const left = yield* runtime.containers()
  assert.strictEqual(left.length, story.leaves, where)
  return calls
})

describe("killed at any call and started again", () => {
  for (const [name, story] of Object.entries(stories)) {
    it.effect(`${name} ends up the same`, () =>
      Effect.gen(function*() {
        const calls = yield* tell(story, undefined).pipe(Effect.provide(Device.layer, { local: true }))
        assert.isAbove(calls, 10)
        for (let at = 1; at <= calls; at++) {
          for (const effective of [false, true]) {
            yield* tell(story, { at, effective }).pipe(Effect.provide(Device.layer, { local: true }))
          }
        }
      }).pipe(quietly), 120_000)
  }
})

import { assert, describe, it } from "@effect/vitest"
import { Effect, Random } from "effect"
import { ContainerRuntime } from "../../../../core/pod/ContainerRuntime.ts"
import type { PodAssignment } from "../../../../core/pod/PodAssignment.ts"
import { MemoryHost } from "../../../fakes/MemoryHost.ts"
import { MemoryJournal } from "../../../fakes/MemoryJournal.ts"
import { MemoryRuntime } from "../../../fakes/MemoryRuntime.ts"
import type { Fault, Operation } from "../../../fakes/runtime/Fault.ts"
import { crashes, exits, forever } from "../../../fakes/runtime/Program.ts"
import { simulate } from "../../../simulation/VirtualTime.ts"
import { Device } from "./Device.ts"
import { container, pod } from "./pods.ts"

const pods: ReadonlyArray<PodAssignment> = [
  pod({
    uid: "steady",
    name: "steady",
    initContainers: [container("init")],
    containers: [container("app"), container("b")]
  }),
  pod({ uid: "once", name: "once", restartPolicy: "Never", containers: [container("app", { image: "once:1" })] }),
  pod({
    uid: "tries",
    name: "tries",
    restartPolicy: "OnFailure",
    containers: [container("app", { image: "tries:1" })]
  }),
  pod({ uid: "leaves", name: "leaves", terminationGracePeriodSeconds: 5 })
]

/** Calls that are lost, late, slow or refused, now and then. */
const weather = Effect.fnUntraced(function*(operation: Operation) {
  const chance = yield* Random.next
  const faults: ReadonlyArray<Fault> = [
    { _tag: "Fails" },
    { _tag: "Lost" },
    // A pull may take for ever; every other call is given up some day.
    operation === "pull" ? { _tag: "Fails" } : { _tag: (yield* Random.nextBoolean) ? "Hangs" : "Silent" },
    { _tag: "Slow", by: `${Math.round((yield* Random.next) * 3000)} millis` }
  ]
  return chance < 0.85 ? undefined : faults[yield* Random.nextIntBetween(0, faults.length - 1)]
})

const storm = Effect.gen(function*() {
  const device = yield* Device
  const runtime = yield* MemoryRuntime
  const engine = yield* ContainerRuntime
  const journal = yield* MemoryJournal
  const host = yield* MemoryHost
  yield* runtime.script(() => true, { run: forever })
  yield* runtime.script(({ container }) => container === "init", { run: exits(0, "2 seconds") })
  yield* runtime.script(({ image }) => image === "once:1", { run: exits(5, "40 seconds") })
  yield* runtime.script(({ image }) => image === "tries:1", {
    run: crashes(2, { after: "3 seconds", then: exits(0, "3 seconds") })
  })
  yield* runtime.weather(weather)

  let rebooted = false
  const asked = new Set<string>()
  let machine = yield* device.start
  const ask = Effect.suspend(() =>
    Effect.forEach(pods, (assignment) =>
      Effect.andThen(
        machine.ensure(assignment),
        asked.has(assignment.uid) ? machine.remove(assignment.uid, 5) : Effect.void
      ), { discard: true }).pipe(Effect.timeout("20 seconds"), Effect.ignore)
  )
  for (let round = 0; round < 8; round++) {
    yield* ask
    yield* Effect.sleep(`${yield* Random.nextIntBetween(1, 40)} seconds`)
    switch (yield* Random.choice(["kill", "engine", "reboot", "full", "leave", "nothing"] as const)) {
      case "kill":
        machine = yield* device.start
        break
      case "engine":
        yield* runtime.stopEngine("survive")
        yield* Effect.sleep("20 seconds")
        yield* runtime.startEngine
        break
      case "reboot":
        rebooted = true
        yield* device.kill
        yield* runtime.reboot("exited")
        yield* host.reboot
        machine = yield* device.start
        break
      case "full":
        yield* journal.fail("Full", 5)
        break
      case "leave":
        asked.add("leaves")
        break
      case "nothing":
        break
    }
  }
  asked.add("leaves")
  yield* runtime.heal
  yield* journal.heal
  yield* ask
  yield* Effect.sleep("30 minutes")

  const runs = yield* runtime.runs
  const keys = runs.map((run) => `${run.uid}/${run.container}#${run.attempt}`)
  assert.strictEqual(new Set(keys).size, keys.length, `an attempt ran twice: ${keys.join(" ")}`)
  for (const run of runs) {
    const overlapping = runs.filter((other) =>
      other.uid === run.uid && other.container === run.container && other.attempt > run.attempt &&
      other.startedAt < (run.finishedAt ?? Number.POSITIVE_INFINITY)
    )
    assert.lengthOf(overlapping, 0, `two runs of ${run.uid}/${run.container} at once`)
  }
  const phase = (uid: string) => device.newest(uid).status.phase
  const once = runs.filter(({ uid }) => uid === "once")
  assert.isAtMost(once.length, 1)
  assert.strictEqual(phase("once"), "Failed")
  const terminated = device.newest("once").status.containerStatuses?.[0]?.state?.terminated
  if (!rebooted) assert.strictEqual(terminated?.exitCode, 5)
  assert.strictEqual(phase("tries"), "Succeeded")
  assert.strictEqual(phase("steady"), "Running")
  assert.strictEqual(device.newest("leaves").finished, true)
  assert.isFalse((yield* engine.containers()).some(({ uid }) => uid === "leaves"))
  for (const { uid } of pods) {
    const reports = device.reports(uid)
    const restarts = reports.map(({ status }) => status.containerStatuses?.[0]?.restartCount ?? 0)
    assert.deepStrictEqual(restarts, [...restarts].sort((a, b) => a - b), `${uid}: restart counts never go down`)
    const terminal = reports.findIndex(({ status }) => status.phase === "Succeeded" || status.phase === "Failed")
    const after = terminal < 0 ? [] : reports.slice(terminal).map(({ status }) => status.phase)
    assert.isAtMost(new Set(after).size, 1, `${uid}: a terminal phase is never left`)
    const numbers = reports.map(({ number }) => number)
    assert.deepStrictEqual(numbers, [...numbers].sort((a, b) => a - b), `${uid}: numbers never go down`)
  }
  return (yield* runtime.diary).join("\n")
}).pipe(Effect.provide(Device.layer, { local: true }), Effect.scoped)

describe("pods in a storm", () => {
  it.live.each(Array.from({ length: 100 }, (_, seed) => seed))(
    "seed %i ends well",
    (seed) => Effect.asVoid(simulate(seed, () => storm))
  )

  it.live("the same seed tells the same story", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* simulate(7, () => storm), yield* simulate(7, () => storm))
    }))
})

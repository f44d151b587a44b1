import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Loss, Run } from "../fakes/runtime/MemoryEngine.ts"
import { judgeRuns } from "./judgement.ts"
import type { Known } from "./known.ts"
import { recipes } from "./workload.ts"
import type { SimulatedDevice } from "./World.ts"

const run = (attempt: number, startedAt: number, rest: Partial<Run> = {}): Run => ({
  uid: "u",
  container: "main",
  attempt,
  id: String(attempt),
  sandboxId: "s",
  askedAt: startedAt,
  startedAt,
  finishedAt: startedAt + 5,
  ...rest
})

/** What is said of a steady pod that ran thus, and of which this is known besides. */
const judged = (
  runs: ReadonlyArray<Run>,
  { died = [], forgot = [], losses = [], refused = [], ...rest }: Partial<Known> & {
    readonly died?: ReadonlyArray<number>
    readonly forgot?: ReadonlyArray<number>
    readonly losses?: ReadonlyArray<Loss>
    readonly refused?: ReadonlyArray<number>
  } = {}
) => {
  const journal = { refusals: Effect.succeed(refused.map((at) => ({ at, words: "put attempts u/main" }))) }
  const runtime = { runs: Effect.succeed(runs), losses: Effect.succeed(losses) }
  const known = {
    uid: "u",
    name: "pod",
    place: "pod",
    born: 0,
    device: { name: "edge-1", journal, runtime } as unknown as SimulatedDevice,
    recipe: recipes[0]!,
    policy: "Always",
    begins: new Map([["main", 1]]),
    inits: new Set<string>(),
    outcome: "runs",
    edits: 0,
    overAt: undefined,
    goneAt: undefined,
    ...rest
  } as Known
  return judgeRuns([known], {
    forgetful: new Map([["edge-1", forgot]]),
    deaths: new Map([["edge-1", died]]),
    rests: new Map()
  }, () => {})
}

describe("what is said of processes", () => {
  it("lets each that was cut begin once more, and no other", () => {
    assert.deepStrictEqual(judged([run(0, 10, { cut: true }), run(1, 20)]), [])
    assert.deepStrictEqual(judged([run(0, 10, { cut: true }), run(1, 20), run(2, 30)]), [
      "pod/main should begin 2 times at most and did 3: main#0, main#1, main#2"
    ])
  })

  it("lets one begin again of whose end nothing could be written down before its agent died", () => {
    const runs = [run(0, 10), run(1, 40)]
    assert.deepStrictEqual(judged(runs, { refused: [20], died: [30] }), [])
    assert.lengthOf(judged(runs, { refused: [20] }), 1)
    assert.lengthOf(judged(runs, { refused: [35], died: [30] }), 1)
    assert.deepStrictEqual(judged(runs, { refused: [12], died: [13] }), [], "that it was told to go")
    assert.lengthOf(judged(runs, { died: [13] }), 1)
    const long = [run(0, 10, { finishedAt: 100_000 }), run(1, 100_020)]
    assert.lengthOf(judged(long, { refused: [12], died: [13] }), 1, "nothing was ending it any more")
  })

  it("lets initialisation be repeated for a sandbox that was lost", () => {
    const inits = new Set(["main"])
    const losses = [{ uid: "u", what: "sandbox" } as const]
    assert.deepStrictEqual(judged([run(0, 10), run(1, 20)], { inits, losses }), [])
    assert.lengthOf(judged([run(0, 10), run(1, 20)], { losses }), 1, "nothing else is")
  })

  it("lets nothing begin before it is prepared, in each sandbox anew", () => {
    const prepared = { inits: new Set(["prepare"]), begins: new Map() }
    const prepare = (startedAt: number, rest: Partial<Run> = {}) =>
      run(0, startedAt, { container: "prepare", exitCode: 0, ...rest })
    assert.deepStrictEqual(judged([prepare(10), run(0, 20)], prepared), [])
    assert.lengthOf(judged([run(0, 20)], prepared), 1)
    assert.lengthOf(judged([prepare(10, { exitCode: 1 }), run(0, 20)], prepared), 1)
    assert.lengthOf(judged([prepare(10), run(0, 12)], prepared), 1, "beside it")
    assert.deepStrictEqual(judged([prepare(10), run(0, 20), run(1, 30, { sandboxId: "t" })], prepared), [
      "pod/main#1 begins before prepare has succeeded"
    ])
  })

  it("lets only what is gone run again after it succeeded", () => {
    const again = (lost: Partial<Run>) =>
      judged([run(0, 10, { exitCode: 0, ...lost }), run(1, 20, { exitCode: 0 })], {
        policy: "OnFailure",
        begins: new Map()
      })
    assert.deepStrictEqual(again({ vanished: true }), [])
    assert.deepStrictEqual(again({ cut: true }), [], "its sandbox was lost under it")
    assert.deepStrictEqual(again({}), [
      "pod/main of policy OnFailure ran again after it succeeded: main#0, main#1"
    ])
  })

  it("judges a device that forgot by each of its memories", () => {
    assert.deepStrictEqual(judged([run(0, 10), run(0, 20)], { forgot: [15], policy: "Never" }), [])
    assert.deepStrictEqual(judged([run(0, 10), run(0, 20), run(1, 30)], { forgot: [15], policy: "Never" }), [
      "pod/main of policy Never ran again: main#0, main#1",
      "pod/main should begin 1 times at most and did 2: main#0, main#1"
    ])
  })

  it("lets nothing begin of what has ended or is gone, unless that was forgotten", () => {
    const late = { begins: new Map(), overAt: 15, goneAt: 18 }
    assert.deepStrictEqual(judged([run(0, 10), run(1, 20)], late), [
      "pod/main#1 begins 5 ms too late: it has ended",
      "pod/main#1 begins 2 ms too late: it is gone from the API"
    ])
    assert.deepStrictEqual(judged([run(0, 10), run(1, 20)], { ...late, forgot: [19] }), [])
    assert.deepStrictEqual(judged([run(0, 8), run(1, 20)], { ...late, forgot: [14] }), [], "before the API heard of it")
    const since = { begins: new Map(), overAt: 15, goneAt: 38, forgot: [18] }
    assert.deepStrictEqual(judged([run(0, 8), run(1, 20), run(2, 40)], since), [], "by another memory than its end")
  })
})

import { assert, describe, it } from "@effect/vitest"
import type { DeviceUsage } from "../../../core/metrics/DeviceUsage.ts"
import { nextSample, type NodeSample, rate } from "../../../core/metrics/NodeSample.ts"
import { deviceUsage } from "../wire/samples.ts"

const [web] = deviceUsage.pods
const uid = web!.uid
/** One pod with these runs: start and CPU in seconds. */
const with_ = (
  at: number,
  containers: ReadonlyArray<readonly [name: string, startedAt: number, cpu: number]>
): DeviceUsage => ({
  ...deviceUsage,
  at,
  pods: containers.length === 0 ? [] : [{
    ...web!,
    containers: containers.map(([name, startedAt, cpu]) => ({
      ...web!.containers[0]!,
      name,
      startedAt: startedAt * 1000,
      cpuNanoseconds: cpu * 1e9
    }))
  }]
})
const follow = (usages: ReadonlyArray<DeviceUsage>, exists = true, offsets: ReadonlyArray<number> = []) => {
  const told: Array<number | undefined> = []
  let sample: NodeSample | undefined
  for (const [index, usage] of usages.entries()) {
    sample = nextSample(sample, usage, { offset: (offsets[index] ?? 0) * 1000, exists: () => exists })
    const cpu = sample.podCpu.get(uid)
    told.push(cpu === undefined ? undefined : cpu / 1e9)
  }
  return { told, sample: sample! }
}

describe("the CPU of a pod", () => {
  it("goes on growing when containers begin anew", () => {
    const { told } = follow([
      with_(1000, [["a", 1, 10], ["b", 1, 5]]),
      with_(2000, [["a", 1, 12], ["b", 1, 6]]),
      with_(3000, [["a", 50, 1], ["b", 1, 7]]),
      with_(4000, [["a", 50, 3], ["b", 60, 0.5]]),
      with_(5000, [["a", 50, 4]])
    ])
    assert.deepStrictEqual(told, [15, 18, 20, 22.5, 23.5])
  })

  it("goes on growing over a moment in which nothing of the pod ran, and is forgotten with the pod", () => {
    const usages = [with_(1000, [["a", 1, 10]]), with_(2000, []), with_(3000, []), with_(4000, [["a", 50, 2]])]
    assert.deepStrictEqual(follow(usages).told, [10, undefined, undefined, 12])
    const { sample } = follow(usages.slice(0, 3), false)
    assert.strictEqual(sample.endedCpu.size, 0)
  })

  it("does not count a run twice that one sample did not tell of, alone or with its whole pod", () => {
    const { told } = follow([
      with_(1000, [["a", 1, 10], ["b", 1, 5]]),
      with_(2000, [["b", 1, 6]]),
      with_(3000, [["a", 1, 12], ["b", 1, 7]]),
      with_(4000, []),
      with_(5000, [["a", 1, 13], ["b", 60, 1]])
    ])
    assert.deepStrictEqual(told, [15, 16, 19, undefined, 21])
  })

  it("does not count a run twice whose start the device's clock tells a second later", () => {
    assert.deepStrictEqual(follow([with_(1000, [["a", 100, 10]]), with_(2000, [["a", 101, 11]])]).told, [10, 11])
  })

  it("does not count a run twice when the device's clock is set, whether its start moves with the clock or not", () => {
    const told = (starts: ReadonlyArray<number>) =>
      follow(starts.map((start, index) => with_(1000 + index, [["a", start, 10 + index]])), true, [0, 3600, 3600]).told
    assert.deepStrictEqual(told([5000, 5000, 5000]), [10, 11, 12])
    assert.deepStrictEqual(told([5000, 1400, 1400]), [10, 11, 12])
    // One that began anew meanwhile, and has used more already.
    assert.deepStrictEqual(told([5000, 5100, 5100]), [10, 21, 22])
  })
})

describe("a sample", () => {
  it("keeps its own time where a clock was put back, and has no rate until the next", () => {
    const usages = [with_(5000, []), with_(3000, []), with_(4000, [])]
    const putBack = follow(usages.slice(0, 2)).sample
    assert.strictEqual(putBack.usage.at, 3000)
    assert.isUndefined(putBack.before)
    const next = follow(usages).sample
    assert.deepStrictEqual([next.before?.usage.at, next.usage.at], [3000, 4000])
  })

  it("keeps the one before it, and no more", () => {
    const { sample } = follow([with_(1000, []), with_(2000, []), with_(3000, [])])
    assert.strictEqual(sample.before?.usage.at, 2000)
    assert.notProperty(sample.before, "before")
  })

  it("makes a rate with the one before, and none where the counter began anew", () => {
    const at = (at: number, cpuNanoseconds: number) => ({ at, cpuNanoseconds })
    assert.strictEqual(rate(at(20_000, 3e9), at(10_000, 1e9)), 2e8)
    assert.isUndefined(rate(at(20_000, 1e9), at(10_000, 3e9)))
    assert.isUndefined(rate(at(10_000, 3e9), at(10_000, 1e9)))
    assert.isUndefined(rate(at(10_000, 3e9), undefined))
  })
})

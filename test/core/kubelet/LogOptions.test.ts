import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { parseLogOptions } from "../../../core/kubelet/LogOptions.ts"
import { logRefusal } from "../../../core/kubelet/logRefusal.ts"
import { podWith } from "../../fakes/FakeKubeletBackend.ts"

const parse = (query: string) => parseLogOptions("main", [...new URLSearchParams(query)])
const plain = { container: "main", follow: false, previous: false, timestamps: false }

describe("the query of a log request", () => {
  it.each(
    [
      ["", {}],
      ["follow=true&previous=1&timestamps=", { follow: true, previous: true, timestamps: true }],
      ["follow=false&previous=0&timestamps=False", {}],
      ["tailLines=0&limitBytes=1&sinceSeconds=5", { tailLines: 0, limitBytes: 1, sinceSeconds: 5 }],
      ["tailLines=7&tailLines=8", { tailLines: 7 }],
      ["sinceTime=2026-11-21T01:02:03Z", { sinceTime: Date.UTC(2026, 10, 21, 1, 2, 3) }],
      ["sinceTime=2026-11-21T01:02:03.5%2B01:00", { sinceTime: Date.UTC(2026, 10, 21, 0, 2, 3, 500) }],
      ["tail=5", { tailLines: 5 }],
      ["tail=all&tailLines=9", {}],
      ["stream=All&tailLines=1", { tailLines: 1 }],
      ["limitBytes=&unheard=of", {}]
    ] as const
  )("?%s", (query, options) => {
    assert.deepStrictEqual(parse(query), Result.succeed({ ...plain, ...options }))
  })

  it.each(
    [
      ["tailLines=-1", "Invalid", "tailLines must be greater than or equal to 0"],
      ["limitBytes=0", "Invalid", "limitBytes must be greater than 0"],
      ["sinceSeconds=0", "Invalid", "sinceSeconds must be greater than 0"],
      ["sinceSeconds=5&sinceTime=2026-11-21T01:02:03Z", "Invalid", "at most one of"],
      ["stream=Stdout", "Invalid", "only stream=All"],
      ["stream=Stdout&tailLines=1", "Invalid", "mutually exclusive"],
      ["stream=stdout", "Invalid", "one of All, Stdout, Stderr"],
      ["tailLines=many", "Undecodable", "tailLines=many"],
      ["tailLines=1.5", "Undecodable", "tailLines"],
      ["tailLines=99999999999999999999", "Undecodable", "tailLines"],
      ["tail=some", "Undecodable", "tailLines=some"],
      ["sinceTime=yesterday", "Undecodable", "sinceTime"],
      ["sinceTime=2026", "Undecodable", "sinceTime"],
      ["sinceTime=2026-13-41T01:02:03Z", "Undecodable", "sinceTime"]
    ] as const
  )("?%s is %s", (query, reason, words) => {
    const result = parse(query)
    assert.isTrue(Result.isFailure(result))
    if (Result.isFailure(result)) {
      assert.strictEqual(result.failure.reason, reason)
      assert.include(result.failure.message, words)
    }
  })
})

describe("whether a container has a log", () => {
  const ended = { terminated: { exitCode: 0, containerID: "docker://1" } }
  const lost = { terminated: { exitCode: 0 } }
  const waiting = (reason?: string) => ({ waiting: reason === undefined ? {} : { reason } })
  it.each(
    [
      [{ running: {} }, {}, false, undefined],
      [ended, {}, false, undefined],
      [waiting("CrashLoopBackOff"), { lastState: ended }, false, undefined],
      [lost, { lastState: ended }, false, undefined],
      [{ running: {} }, { lastState: ended }, true, undefined],
      [{ running: {} }, {}, true, `previous terminated container "main" in pod "web" not found`],
      [{ running: {} }, { lastState: lost }, true, `previous terminated container "main" in pod "web" not found`],
      [lost, {}, false, `container "main" in pod "web" is terminated`],
      [waiting(), { lastState: lost }, false, `container "main" in pod "web" is terminated`],
      [
        waiting("ContainerCreating"),
        {},
        false,
        `container "main" in pod "web" is waiting to start: ContainerCreating`
      ],
      [waiting("ErrImagePull"), {}, false, `container "main" in pod "web" is waiting to start: image can't be pulled`],
      [
        waiting("ImagePullBackOff"),
        {},
        false,
        `container "main" in pod "web" is waiting to start: trying and failing to pull image`
      ],
      [waiting("PodInitializing"), {}, false, `container "main" in pod "web" is waiting to start: PodInitializing`],
      [{}, {}, false, `container "main" in pod "web" is waiting to start - no logs yet`]
    ] as const
  )("%o with %o, previous %s: %s", (state, more, previous, refusal) => {
    assert.strictEqual(logRefusal(podWith("web", state, more), "main", previous), refusal)
  })

  it("says so when there is no status at all", () => {
    const { status: _, ...pod } = podWith("web", {})
    assert.strictEqual(logRefusal(pod, "main", false), `container "main" in pod "web" is not available`)
  })
})

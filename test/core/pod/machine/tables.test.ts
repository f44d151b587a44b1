import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import type { ContainerStatus } from "../../../../core/kube/Pod.ts"
import type { Container } from "../../../../core/pod/ContainerRuntime.ts"
import { containerStatus, type ContainerView } from "../../../../core/pod/machine/containerStatus.ts"
import { ContainerTimes } from "../../../../core/pod/machine/ContainerTimes.ts"
import { backOffAfter, restartAfter } from "../../../../core/pod/machine/crashBackOff.ts"
import { goDuration } from "../../../../core/pod/machine/goDuration.ts"
import { judgeContainer } from "../../../../core/pod/machine/judgeContainer.ts"
import { logTarget } from "../../../../core/pod/machine/logTarget.ts"
import { oomScoreAdj } from "../../../../core/pod/machine/oomScore.ts"
import { podConditions } from "../../../../core/pod/machine/podConditions.ts"
import { podPhase } from "../../../../core/pod/machine/podPhase.ts"
import type { ContainerRecord, ContainerResult } from "../../../../core/pod/machine/PodState.ts"
import { podStatus } from "../../../../core/pod/machine/podStatus.ts"
import { rootRefusal } from "../../../../core/pod/machine/runAsNonRoot.ts"
import type { PodReport } from "../../../../core/pod/PodReport.ts"
import { container, pod } from "./pods.ts"

type Kind = "running" | "waiting" | "ok" | "bad" | "backoff ok" | "backoff bad" | "none"

const status = (kind: Kind, name = "c"): ContainerStatus => {
  const terminated = (exitCode: number) => ({ terminated: { exitCode } })
  const waiting = { waiting: { reason: "CrashLoopBackOff" } }
  const base = { name, image: "i", imageID: "", ready: kind === "running", restartCount: 0 }
  switch (kind) {
    case "running":
      return { ...base, state: { running: {} } }
    case "waiting":
      return { ...base, state: { waiting: { reason: "ContainerCreating" } } }
    case "ok":
      return { ...base, state: terminated(0) }
    case "bad":
      return { ...base, state: terminated(1) }
    case "backoff ok":
      return { ...base, state: waiting, lastState: terminated(0) }
    case "backoff bad":
      return { ...base, state: waiting, lastState: terminated(1) }
    case "none":
      return base
  }
}

describe("phase", () => {
  const table: ReadonlyArray<
    readonly [
      "Always" | "OnFailure" | "Never",
      ReadonlyArray<Kind>,
      ReadonlyArray<Kind>,
      string,
      { init?: true; over?: true }
    ]
  > = [
    ["Always", [], ["waiting"], "Pending", {}],
    ["Always", [], ["none"], "Pending", {}],
    ["Always", [], ["running"], "Running", {}],
    ["Always", [], ["running", "waiting"], "Pending", {}],
    ["Always", [], ["running", "none"], "Pending", {}],
    ["Always", [], ["running", "backoff bad"], "Running", {}],
    ["Always", [], ["backoff bad", "backoff ok"], "Running", {}],
    ["Always", [], ["ok", "ok"], "Running", {}],
    ["OnFailure", [], ["ok", "bad"], "Running", {}],
    ["OnFailure", [], ["ok", "ok"], "Succeeded", {}],
    ["Never", [], ["ok", "running"], "Running", {}],
    ["Never", [], ["ok", "bad"], "Failed", {}],
    ["Never", [], ["ok", "ok"], "Succeeded", {}],
    ["Always", ["running"], ["waiting"], "Pending", {}],
    ["Always", ["ok", "waiting"], ["waiting"], "Pending", {}],
    ["Always", ["backoff bad"], ["waiting"], "Pending", {}],
    ["Never", ["bad"], ["waiting"], "Failed", {}],
    ["Always", ["running"], ["running"], "Running", { init: true }],
    ["Always", ["ok"], ["running"], "Running", { init: true }],
    ["Always", [], ["ok"], "Succeeded", { over: true }],
    ["Always", [], ["bad"], "Failed", { over: true }],
    ["Always", [], ["waiting"], "Failed", { over: true }],
    ["Always", ["waiting"], ["waiting"], "Failed", { over: true }]
  ]
  it.each(table)("%s, init %j, containers %j: %s %j", (restartPolicy, inits, containers, expected, flags) => {
    const phase = podPhase({
      restartPolicy,
      initContainers: inits.map((kind) => status(kind)),
      containers: containers.map((kind) => status(kind)),
      initialized: flags.init ?? false,
      over: flags.over ?? false
    })
    assert.strictEqual(phase, expected)
  })
})

describe("conditions", () => {
  const conditions = (change: Partial<Parameters<typeof podConditions>[0]>) =>
    podConditions({
      phase: "Running",
      generation: 3,
      initContainers: [],
      containers: [status("running")],
      initialized: true,
      sandboxReady: true,
      now: 10_000,
      before: [],
      ...change
    })
  const words = (change: Partial<Parameters<typeof podConditions>[0]>) =>
    conditions(change).map(({ message, reason, status, type }) =>
      [type, status, reason, message].filter((word) => word !== undefined).join(" ")
    )

  it("of a running pod are all True", () => {
    assert.deepStrictEqual(words({}), [
      "PodReadyToStartContainers True",
      "Initialized True",
      "Ready True",
      "ContainersReady True",
      "PodScheduled True"
    ])
    assert.isTrue(conditions({}).every(({ observedGeneration }) => observedGeneration === 3))
  })
  it("name what is not ready", () => {
    const text = "False ContainersNotReady containers with unready status: [a b]"
    assert.includeMembers([
      ...words({ containers: [status("waiting", "a"), status("bad", "b"), status("running", "c")] })
    ], [
      `Ready ${text}`,
      `ContainersReady ${text}`
    ])
  })
  it("of a pod that ended are never Ready, even where its containers seem to be", () => {
    assert.includeMembers([...words({ phase: "Succeeded" })], [
      "Initialized True PodCompleted",
      "Ready False PodCompleted",
      "ContainersReady False PodCompleted"
    ])
    assert.includeMembers([...words({ phase: "Failed" })], ["Ready False PodFailed", "ContainersReady False PodFailed"])
  })
  it("name what is not initialised", () => {
    const initContainers = [{ ...status("ok", "a"), ready: true }, status("running", "b"), status("waiting", "c")]
      .map((each) => ({ ...each, ready: each.name === "a" }))
    assert.include(
      words({ phase: "Pending", initialized: false, initContainers }),
      "Initialized False ContainersNotInitialized containers with incomplete status: [b c]"
    )
  })
  it("keep the time of their last change", () => {
    const before = conditions({ now: 10_000 })
    const after = conditions({ now: 20_000, before, containers: [status("waiting")] })
    const time = (type: string) => after.find((condition) => condition.type === type)?.lastTransitionTime
    assert.strictEqual(time("Initialized"), "1970-01-01T00:00:10Z")
    assert.strictEqual(time("Ready"), "1970-01-01T00:00:20Z")
  })
})

const result = (change: Partial<ContainerResult> = {}): ContainerResult => ({
  exitCode: 1,
  reason: "Error",
  message: "",
  startedAt: 100_000,
  finishedAt: 101_000,
  containerId: "id-0",
  vanished: false,
  ...change
})
const record = (change: Partial<ContainerRecord> = {}): ContainerRecord => ({
  attempt: 0,
  step: "Starting",
  containerId: "id-0",
  specHash: "h",
  image: "app:1",
  imageId: "sha256:1",
  bootId: "now",
  sandboxAttempt: 0,
  backOffMillis: 0,
  replacing: false,
  ...change
})
const seen = (change: Partial<Container> = {}): Container => ({
  id: "id-0",
  uid: "u1",
  namespace: "default",
  pod: "web",
  sandboxId: "s",
  container: "app",
  attempt: 0,
  specHash: "h",
  image: "app:1",
  imageId: "sha256:1",
  state: "running",
  createdAt: 0,
  startedAt: 100_000,
  oomKilled: false,
  ...change
})
const created = () => {
  const { startedAt: _, ...rest } = seen({ state: "created" })
  return rest
}

describe("the adoption rule", () => {
  const old = { bootId: "before" }
  const table: ReadonlyArray<readonly [string, ContainerRecord, Container | undefined, string, boolean]> = [
    ["creating, nothing there", record({ step: "Creating" }), undefined, "Absent", false],
    ["creating, created", record({ step: "Creating" }), created(), "Created", false],
    ["creating, created before a reboot", record({ step: "Creating", ...old }), created(), "Created", false],
    ["creating, yet it runs", record({ step: "Creating" }), seen(), "Running", false],
    ["creating, yet it ran", record({ step: "Creating" }), seen({ state: "exited", exitCode: 1 }), "Exited", false],
    ["starting, created", record(), created(), "Unsettled", false],
    ["starting, running", record(), seen(), "Running", false],
    ["starting, exited", record(), seen({ state: "exited", exitCode: 0 }), "Exited", false],
    ["starting, gone", record(), undefined, "Vanished", false],
    ["starting, in a state nobody knows", record(), seen({ state: "unknown" }), "Unsettled", false],
    ["rebooted, exited", record(old), seen({ state: "exited", exitCode: 0 }), "Exited", false],
    ["rebooted, running by somebody else's will", record(old), seen(), "Vanished", true],
    ["rebooted, created", record(old), created(), "Vanished", false],
    ["rebooted, gone", record(old), undefined, "Vanished", false],
    ["ended", record({ step: "Ended", result: result() }), undefined, "Ended", false],
    ["ended, yet it runs", record({ step: "Ended", result: result() }), seen(), "Ended", true]
  ]
  it.each(table)("%s", (_, known, found, expected, stray) => {
    const verdict = judgeContainer(known, found, "now")
    assert.strictEqual(verdict._tag, expected)
    assert.strictEqual("stray" in verdict && verdict.stray !== undefined, stray)
  })
})

describe("restart back-off", () => {
  const limits = { first: 10_000, most: 300_000, resetAfter: 600_000 }
  it.each(
    [
      ["the first restart is at once", record(), 0, [0, 0, 10_000]],
      ["later ones wait from the end of the run", record({ backOffMillis: 20_000 }), 5_000, [15_000, 20_000, 40_000]],
      ["until the time is over", record({ backOffMillis: 20_000 }), 20_000, [0, 20_000, 40_000]],
      ["the wait has a cap", record({ backOffMillis: 300_000 }), 0, [300_000, 300_000, 300_000]],
      ["another spec resets it", record({ backOffMillis: 80_000, specHash: "g" }), 0, [0, 0, 10_000]]
    ] as const
  )("%s", (_, known, rested, [wait, backOff, next]) => {
    assert.deepStrictEqual(restartAfter(known, rested, "h", limits), { wait, backOff, next })
  })

  it("is forgotten after a run of more than ten minutes", () => {
    assert.strictEqual(backOffAfter(record({ backOffMillis: 80_000 }), 600_000, limits), 80_000)
    assert.strictEqual(backOffAfter(record({ backOffMillis: 80_000 }), 600_001, limits), 0)
  })
})

describe("how long a container ran and has rested", () => {
  const day = 86_400_000
  it("goes on evenly when the wall clock is set, and is the wall clock's only for what nobody saw", () => {
    const times = new ContainerTimes()
    times.runs("main", 3, 1_000_000, { wall: 1_060_000, monotonic: 500_000 })
    // Set back by a day while it runs, forward by one while it rests.
    times.runs("main", 3, 1_000_000, { wall: 1_100_000 - day, monotonic: 540_000 })
    const end = { wall: 1_160_000 - day, monotonic: 600_000 }
    assert.strictEqual(times.ran("main", 3, { startedAt: 1_000_000, finishedAt: end.wall }, end), 160_000)
    assert.strictEqual(times.rested("main", 3, end.wall, end), 0)
    assert.strictEqual(times.rested("main", 3, end.wall, { wall: end.wall + day, monotonic: 605_000 }), 5_000)
    assert.strictEqual(times.rested("main", 4, 2_000_000, { wall: 2_003_000, monotonic: 900_000 }), 3_000)
  })

  it("is nothing where the end is yet to come, as on a board that has booted in 1970", () => {
    const times = new ContainerTimes()
    assert.strictEqual(times.rested("main", 0, 1_700_000_000_000, { wall: 9_000, monotonic: 9_000 }), 0)
    assert.strictEqual(times.rested("main", 0, 1_700_000_000_000, { wall: 12_000, monotonic: 12_000 }), 3_000)
    assert.strictEqual(
      times.ran("main", 1, { startedAt: 1_700_000_000_000, finishedAt: 9_000 }, { wall: 9_000, monotonic: 9_000 }),
      0
    )
  })
})

describe("container status", () => {
  const view = (change: Partial<ContainerView>): ContainerStatus =>
    containerStatus({
      container: container("app"),
      kind: "regular",
      hasInitContainers: false,
      record: undefined,
      running: undefined,
      waiting: undefined,
      runtimeName: "docker",
      lost: false,
      ending: false,
      ...change
    })

  it("before anything is ContainerCreating, or PodInitializing where there are init containers", () => {
    assert.deepStrictEqual(view({}).state, { waiting: { reason: "ContainerCreating" } })
    assert.deepStrictEqual(view({ hasInitContainers: true }).state, { waiting: { reason: "PodInitializing" } })
  })
  it("of a running container is ready and started, with the run before", () => {
    const running = view({ record: record({ attempt: 2, previous: result() }), running: seen() })
    assert.deepStrictEqual(running, {
      name: "app",
      image: "app:1",
      imageID: "sha256:1",
      containerID: "docker://id-0",
      ready: true,
      started: true,
      restartCount: 2,
      state: { running: { startedAt: "1970-01-01T00:01:40Z" } },
      lastState: {
        terminated: {
          exitCode: 1,
          reason: "Error",
          startedAt: "1970-01-01T00:01:40Z",
          finishedAt: "1970-01-01T00:01:41Z",
          containerID: "docker://id-0"
        }
      }
    })
  })
  it("in back-off shows its last run as lastState", () => {
    const waiting = { reason: "CrashLoopBackOff", message: "m" }
    const status = view({ record: record({ step: "Ended", result: result() }), waiting })
    assert.deepStrictEqual(status.state, { waiting })
    assert.strictEqual(status.lastState?.terminated?.exitCode, 1)
  })
  it("that ended only to run again waits, and has ended where its pod ends first", () => {
    const ended = record({ step: "Ended", result: result({ exitCode: 0 }), replacing: true })
    const status = view({ record: ended })
    assert.deepStrictEqual(status.state, { waiting: { reason: "ContainerCreating" } })
    assert.strictEqual(status.lastState?.terminated?.exitCode, 0)
    assert.strictEqual(view({ record: ended, ending: true }).state?.terminated?.exitCode, 0)
    assert.isFalse(view({ record: ended, kind: "init" }).ready)
  })
  it("counts a run that vanished", () => {
    const vanished = result({ vanished: true, reason: "ContainerStatusUnknown", exitCode: 137 })
    assert.strictEqual(view({ record: record({ attempt: 1, step: "Ended", result: vanished }) }).restartCount, 2)
  })
  it("of an init container is ready once it succeeded", () => {
    const ended = (exitCode: number) =>
      view({ kind: "init", record: record({ step: "Ended", result: result({ exitCode }) }) }).ready
    assert.deepStrictEqual([ended(0), ended(1)], [true, false])
  })
  it("of what never ran in a pod that is over is unknown", () => {
    assert.deepInclude(view({ lost: true }).state?.terminated, { exitCode: 137, reason: "ContainerStatusUnknown" })
  })
})

describe("pod status", () => {
  const told = (phase: "Running" | "Succeeded"): PodReport => ({
    uid: "u1",
    namespace: "default",
    name: "web",
    number: 1,
    status: { phase },
    finished: false
  })
  const statusOf = (stage: "Sync" | "Terminating" | "Terminated", before: "Running" | "Succeeded", exitCode: number) =>
    podStatus({
      state: {
        assignment: pod({ restartPolicy: "Never" }),
        containers: new Map([["app", record({ step: "Ended", result: result({ exitCode }) })]]),
        pod: {
          order: 1,
          stage,
          startedAt: 0,
          activeMillis: 0,
          activeStamp: 0,
          bootId: "now",
          sandboxAttempt: 0,
          sandboxId: "s",
          containersRemoved: false,
          report: told(before)
        }
      },
      running: new Map(),
      waiting: new Map(),
      sandbox: { ready: true, ips: ["10.0.0.2", "fd00::2"] },
      hostIPs: ["192.168.7.9"],
      runtimeName: "docker",
      now: 0
    })

  it("tells a terminal phase only when nothing can run any more", () => {
    assert.strictEqual(statusOf("Sync", "Running", 0).phase, "Running")
    assert.strictEqual(statusOf("Terminating", "Running", 0).phase, "Running")
    assert.strictEqual(statusOf("Terminated", "Running", 0).phase, "Succeeded")
    assert.strictEqual(statusOf("Terminated", "Running", 2).phase, "Failed")
  })
  it("never leaves a terminal phase", () => {
    assert.strictEqual(statusOf("Terminated", "Succeeded", 2).phase, "Succeeded")
    assert.strictEqual(statusOf("Sync", "Succeeded", 2).phase, "Succeeded")
  })
  it("has the addresses, the start and the quality of service", () => {
    assert.deepInclude(statusOf("Sync", "Running", 0), {
      podIP: "10.0.0.2",
      podIPs: [{ ip: "10.0.0.2" }, { ip: "fd00::2" }],
      hostIP: "192.168.7.9",
      hostIPs: [{ ip: "192.168.7.9" }],
      startTime: "1970-01-01T00:00:00Z",
      qosClass: "BestEffort",
      observedGeneration: 1
    })
  })
})

describe("small things", () => {
  it.each([[0, "0s"], [850, "850ms"], [1000, "1s"], [1250, "1.25s"], [10_000, "10s"], [80_000, "1m20s"], [
    300_000,
    "5m0s"
  ], [
    3_600_000,
    "1h0m0s"
  ]])("%i ms is %s", (millis, text) => assert.strictEqual(goDuration(millis), text))

  it.each([
    [undefined, "container has runAsNonRoot and image will run as root (pod: \"web_default(u1)\", container: app)"],
    ["0", "container has runAsNonRoot and image will run as root (pod: \"web_default(u1)\", container: app)"],
    [
      "alice:users",
      "container has runAsNonRoot and image has non-numeric user (alice), cannot verify user is non-root (pod: \"web_default(u1)\", container: app)"
    ],
    ["1000:0", undefined]
  ])("runAsNonRoot and an image of user %s", (user, expected) => {
    const security = { ...container("app").security, runAsNonRoot: true }
    assert.strictEqual(rootRefusal(pod(), container("app", { security }), user), expected)
  })
  it("runAsUser decides before the image", () => {
    const security = (runAsUser: number) => ({ ...container("app").security, runAsNonRoot: true, runAsUser })
    assert.isUndefined(rootRefusal(pod(), container("app", { security: security(7) }), "root"))
    assert.include(
      rootRefusal(pod(), container("app", { security: security(0) }), "7"),
      "container's runAsUser breaks non-root policy"
    )
  })

  it.each(
    [["Guaranteed", 0, -997], ["BestEffort", 0, 1000], ["Burstable", 0, 999], ["Burstable", 50, 500], [
      "Burstable",
      100,
      3
    ]] as const
  )(
    "%s with %i of 100: %i",
    (qos, request, score) => assert.strictEqual(oomScoreAdj(qos, request, 100), score)
  )

  it("a terminated container that has no id shows the run before, or says that it is terminated", () => {
    const state = { terminated: { exitCode: 137 } }
    const lastState = { terminated: { exitCode: 1, containerID: "docker://old" } }
    const base = { ...status("bad"), state }
    assert.deepStrictEqual(logTarget("web", "app", { ...base, lastState }, false), Result.succeed("old"))
    const refused = logTarget("web", "app", base, false)
    assert.strictEqual(
      Result.isFailure(refused) ? refused.failure.message : "",
      "container \"app\" in pod \"web\" is terminated"
    )
    const absent = logTarget("web", "app", undefined, false)
    assert.strictEqual(
      Result.isFailure(absent) ? absent.failure.message : "",
      "container \"app\" in pod \"web\" is not available"
    )
  })
})

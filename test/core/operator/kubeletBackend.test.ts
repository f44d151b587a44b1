import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Stream, SubscriptionRef } from "effect"
import { TestClock } from "effect/testing"
import type { Pod, PodStatus } from "../../../core/kube/Pod.ts"
import { KubeletBackend } from "../../../core/kubelet/KubeletBackend.ts"
import { LinkError, type Session } from "../../../core/link/Session.ts"
import { noTraffic } from "../../../core/link/Traffic.ts"
import { kubeletBackend } from "../../../core/operator/kubeletBackend.ts"
import { fleetWith, indexOf } from "../../fakes/linkedBackend.ts"

const query = { container: "main", follow: true, previous: false, timestamps: false }
const uid = "0b9a6f5e-4b1d-4c7e-9a53-5d0c6f1e2a3b"

const sessionWith = (connected: SubscriptionRef.SubscriptionRef<boolean>, open: Session["open"]): Session => ({
  id: "1",
  connected,
  method: () => "grpc",
  request: () => Effect.never,
  open,
  absence: () => "Link" as const,
  traffic: () => noTraffic,
  closed: Effect.never,
  close: () => Effect.void
})

/** One device with a session; what its log says can be chosen. */
const asking = (
  connected: SubscriptionRef.SubscriptionRef<boolean>,
  messages: Stream.Stream<Uint8Array, LinkError>
) => {
  const channel = { send: () => Effect.void, end: Effect.void, fail: () => Effect.void, messages }
  const session = sessionWith(connected, () => Effect.succeed(channel))
  return KubeletBackend.use((backend) => Stream.runCollect(backend.logs({ node: "edge-1", uid }, query))).pipe(
    Effect.map((pieces) => pieces.map((bytes) => new TextDecoder().decode(bytes)).join("")),
    Effect.catch((error) => Effect.succeed(`failed: ${error.message}`)),
    Effect.provide(kubeletBackend.pipe(
      Layer.provide([
        fleetWith(session),
        indexOf([])
      ])
    ))
  )
}

const log = Stream.succeed(new TextEncoder().encode("line 1\n"))

describe("a command", () => {
  const overBudget = new LinkError({ reason: "OverBudget", detail: "the budget is used up" })

  const ending = Effect.fnUntraced(function*(open: Session["open"]) {
    const session = sessionWith(yield* SubscriptionRef.make(true), open)
    const command = { command: ["true"], stdin: false, stdout: true, stderr: true, tty: false }
    return yield* KubeletBackend.use((backend) => backend.exec({ node: "edge-1", uid }, "main", command)).pipe(
      Effect.flatMap(({ output }) => Stream.runDrain(output)),
      Effect.scoped,
      Effect.flip,
      Effect.provide(kubeletBackend.pipe(Layer.provide([fleetWith(session), indexOf([])])))
    )
  })

  it.effect("that cannot be sent has failed, and may be asked for again", () =>
    Effect.gen(function*() {
      const error = yield* ending(() => Effect.fail(new LinkError({ reason: "SessionLost", detail: "it is over" })))
      assert.strictEqual(error.reason, "Failed")
      assert.match(error.message, /ask again/u)
    }))

  it.effect("that is over a budget before it is sent is refused", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* ending(() => Effect.fail(overBudget))).reason, "Refused")
    }))

  it.effect("for which the budget ends before the first answer may have been done", () =>
    Effect.gen(function*() {
      const messages = Stream.fail(overBudget)
      const error = yield* ending(() =>
        Effect.succeed({ send: () => Effect.void, end: Effect.void, fail: () => Effect.void, messages })
      )
      assert.strictEqual(error.reason, "OutcomeUnknown")
    }))
})

describe("the pods that run on a node", () => {
  const pod = (name: string, phase: "Pending" | "Running" | "Failed", status: Partial<PodStatus>): Pod => ({
    metadata: { namespace: "shop", name, uid: `uid-${name}` },
    spec: { nodeName: "edge-1", containers: [{ name: "main" }] },
    status: { phase, ...status }
  })
  const container = (state: object) => ({ name: "main", image: "i", imageID: "", ready: false, restartCount: 0, state })
  const pods = [
    pod("runs", "Running", { containerStatuses: [container({ running: {} })] }),
    pod("starts-up", "Pending", {
      initContainerStatuses: [container({ running: {} })],
      containerStatuses: [container({ waiting: { reason: "PodInitializing" } })]
    }),
    pod("backs-off", "Running", { containerStatuses: [container({ waiting: { reason: "CrashLoopBackOff" } })] }),
    pod("waits", "Pending", { containerStatuses: [container({ waiting: { reason: "ContainerCreating" } })] }),
    pod("ended", "Failed", { containerStatuses: [container({ terminated: { exitCode: 1 } })] }),
    pod("new", "Pending", {})
  ]

  it.effect("are those with a container that runs, with their statuses; the pods are all of them", () =>
    Effect.gen(function*() {
      const backend = yield* KubeletBackend
      assert.deepStrictEqual(yield* backend.runningPods("edge-1"), pods.slice(0, 2))
      assert.deepStrictEqual(yield* backend.pods("edge-1"), pods)
    }).pipe(Effect.provide(kubeletBackend.pipe(
      Layer.provide([fleetWith(undefined), indexOf(pods)])
    ))))
})

describe("logs over a link", () => {
  it.effect("say that the device is away instead of waiting for it, once it is away for longer than a moment", () =>
    Effect.gen(function*() {
      const connected = yield* SubscriptionRef.make(false)
      const answer = yield* Effect.forkChild(asking(connected, log))
      yield* TestClock.adjust("2 seconds")
      assert.isUndefined(answer.pollUnsafe())
      yield* TestClock.adjust("1 second")
      assert.strictEqual(
        yield* Fiber.join(answer),
        "failed: device edge-1 is not connected: ask again when it is back"
      )
    }))

  it.effect("wait for a connection that is back at once", () =>
    Effect.gen(function*() {
      const connected = yield* SubscriptionRef.make(false)
      const answer = yield* Effect.forkChild(asking(connected, log))
      yield* TestClock.adjust("2 seconds")
      yield* SubscriptionRef.set(connected, true)
      assert.strictEqual(yield* Fiber.join(answer), "line 1\n")
    }))

  it.effect("that end with the session say why it ended", () =>
    Effect.gen(function*() {
      const connected = yield* SubscriptionRef.make(true)
      const lost = new LinkError({ reason: "SessionLost", detail: "the device began a new session" })
      assert.strictEqual(
        yield* asking(connected, Stream.concat(log, Stream.fail(lost))),
        "failed: the link to device edge-1 was lost (the device began a new session): ask again"
      )
    }))
})

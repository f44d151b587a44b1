import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, Fiber, Layer, Scope, SubscriptionRef } from "effect"
import { TestClock } from "effect/testing"
import { LinkError, type Session } from "../../../core/link/Session.ts"
import { noTraffic } from "../../../core/link/Traffic.ts"
import type { DeviceUsage } from "../../../core/metrics/DeviceUsage.ts"
import type { DeviceContext } from "../../../core/operator/DeviceContext.ts"
import { deviceUsage as makeDeviceUsage } from "../../../core/operator/deviceUsage.ts"
import { OperatorSettings } from "../../../core/operator/OperatorSettings.ts"
import { PodIndex } from "../../../core/operator/PodIndex.ts"
import { decodeCommand } from "../../../core/wire/Command.ts"
import { encodeReply, type Reply } from "../../../core/wire/Reply.ts"
import { shortened, type UsageFigures, usageFigures } from "../../../core/wire/usage.ts"
import { deviceUsage } from "../wire/samples.ts"

type Answer = (base: number, question: number) => Effect.Effect<Reply, LinkError>

/** A session that answers as the test says, and what it was asked. */
const makeSession = (answer: Answer) => {
  const asked: Array<{ readonly base: number; readonly traffic: string | undefined }> = []
  const connected = SubscriptionRef.make(true)
  return Effect.map(connected, (connected) => {
    const session: Session = {
      id: "1",
      connected,
      method: () => "grpc",
      request: (message, options) =>
        Effect.gen(function*() {
          const command = yield* Effect.orDie(decodeCommand(message))
          if (command._tag !== "Measure") return yield* Effect.die(`asked ${command._tag}`)
          asked.push({ base: command.base, traffic: options?.traffic })
          const limit = options?.timeoutMillis ?? Infinity
          const reply = yield* answer(command.base, asked.length).pipe(
            Effect.timeoutOrElse({
              duration: limit,
              orElse: () => Effect.fail(new LinkError({ reason: "Timeout", detail: "no answer" }))
            })
          )
          return yield* Effect.orDie(encodeReply(reply))
        }),
      open: () => Effect.never,
      absence: () => "Link",
      traffic: () => noTraffic,
      closed: Effect.never,
      close: () => Effect.void
    }
    return { session, asked, connected }
  })
}

/** The sample is known by its number of processes. */
const measured = (at: number, processes: number): DeviceUsage => ({
  ...deviceUsage,
  at,
  host: { ...deviceUsage.host, processes }
})

/** A device as it is: it measures when it is asked, and tells what differs. Its clock is behind by so much. */
const device = (takes: number, behind: () => number = () => 0): Answer => {
  let told: UsageFigures | undefined
  return (base, question) =>
    Effect.map(Clock.currentTimeMillis, (now): Reply => {
      const whole = usageFigures(measured(now - behind(), question))
      const figures = told?.at === base ? shortened(whole, told) : whole
      told = whole
      return { _tag: "Usage", figures }
    }).pipe(Effect.delay(takes))
}

/** `clockOffset` is what the device has told of its clock. */
const opened = Effect.fnUntraced(function*(answer: Answer, clockOffset = 0) {
  yield* TestClock.setTime(deviceUsage.at)
  const { asked, connected, session } = yield* makeSession(answer)
  const current = yield* SubscriptionRef.make<Session | undefined>(session)
  const scope = yield* Scope.make()
  yield* Effect.addFinalizer(() => Scope.close(scope, Exit.void))
  const context = { name: "edge-1", session: current, clockOffset: () => clockOffset } as unknown as DeviceContext
  const usage = yield* makeDeviceUsage(context).pipe(
    Scope.provide(scope),
    Effect.provide(Layer.mock(PodIndex, {
      byUid: () => undefined,
      byName: () => undefined,
      onNode: () => [],
      learn: () => {}
    })),
    Effect.provideService(OperatorSettings, {
      excludedNamespaces: [],
      clusterDomain: "cluster.local",
      clusterDns: [],
      kubelet: undefined,
      kubeletPerNode: false,
      disconnectGrace: "1 minute",
      farewell: "2 minutes",
      metricsMinInterval: "5 minutes"
    })
  )
  const said = usage.sample.pipe(
    Effect.map(({ usage }) => `sample ${usage.host.processes}`),
    Effect.catch(({ message }) => Effect.succeed(message))
  )
  return { usage, said, asked, current, connected, scope }
})

const away = "device edge-1 is not connected: there are no measurements until it is back"
const silent = "device edge-1 did not answer in 30 s what it uses"

describe("the usage of a device", () => {
  it.effect("is asked for once by many who ask at once, as traffic of metrics", () =>
    Effect.gen(function*() {
      const { asked, said } = yield* opened(device(700))
      const all = yield* Effect.forkChild(Effect.all(Array.from({ length: 50 }, () => said), { concurrency: 50 }))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* Fiber.join(all), Array.from({ length: 50 }, () => "sample 1"))
      assert.deepStrictEqual(asked, [{ base: 0, traffic: "metrics" }])
    }))

  it.effect("is asked for at most once in the interval by whoever asks every 15 seconds for a day", () =>
    Effect.gen(function*() {
      const { asked, said } = yield* opened(device(0))
      const answers = new Set<string>()
      for (let second = 0; second < 24 * 3600; second += 15) {
        answers.add(yield* said)
        yield* TestClock.adjust("15 seconds")
      }
      assert.strictEqual(asked.length, 24 * 12)
      assert.strictEqual(answers.size, asked.length)
      // Each question names the sample that there is: the answer is what differs.
      assert.deepStrictEqual(asked.slice(0, 3).map(({ base }) => base), [
        0,
        deviceUsage.at,
        deviceUsage.at + 300_000
      ])
    }))

  it.effect("is never asked for while nobody wants to know", () =>
    Effect.gen(function*() {
      const { asked } = yield* opened(device(0))
      yield* TestClock.adjust("1 day")
      assert.isEmpty(asked)
    }))

  it.effect("is known in the operator's time", () =>
    Effect.gen(function*() {
      const { usage } = yield* opened(device(0, () => 61_000), 60_000)
      const { usage: known } = yield* usage.sample
      // What the offset leaves alone is left alone here, too.
      assert.strictEqual(known.at, deviceUsage.at - 1000)
      assert.strictEqual(known.host.bootedAt, deviceUsage.host.bootedAt + 60_000)
      assert.strictEqual(
        known.pods[0]?.containers[0]?.startedAt,
        deviceUsage.pods[0]!.containers[0]!.startedAt + 60_000
      )
    }))

  it.effect("is as old as it is, also before the device has told that its clock was set", () =>
    Effect.gen(function*() {
      const day = 86_400_000
      // A board without a battery began three days behind, and its clock is set: right, then too far, then behind again.
      let behind = 3 * day
      const { usage } = yield* opened(device(700, () => behind), 3 * day)
      const taken: Array<number> = []
      for (const next of [3 * day, 0, -day, 4 * day]) {
        behind = next
        const sample = yield* Effect.forkChild(usage.sample)
        yield* TestClock.adjust("700 millis")
        taken.push((yield* Fiber.join(sample)).usage.at - deviceUsage.at)
        yield* TestClock.adjust("5 minutes")
      }
      assert.deepStrictEqual(taken, [700, 301_400, 602_100, 902_800])
      assert.strictEqual(usage.last()?.before?.usage.at, deviceUsage.at + 602_100)
    }))

  it.effect("of a device that never answers is refused to each who waits, and not asked for again in the interval", () =>
    Effect.gen(function*() {
      const { asked, said } = yield* opened(() => Effect.never)
      const first = yield* Effect.forkChild(Effect.all([said, said], { concurrency: 2 }))
      yield* TestClock.adjust("30 seconds")
      assert.deepStrictEqual(yield* Fiber.join(first), [silent, silent])
      yield* TestClock.adjust("4 minutes")
      assert.strictEqual(yield* said, silent)
      assert.strictEqual(asked.length, 1)
      yield* TestClock.adjust("30 seconds")
      const again = yield* Effect.forkChild(said)
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(yield* Fiber.join(again), silent)
      assert.strictEqual(asked.length, 2)
    }))

  it.effect("goes on being asked for when who asked has left", () =>
    Effect.gen(function*() {
      const { asked, said } = yield* opened(device(12_000))
      const impatient = yield* Effect.forkChild(Effect.timeoutOption(said, "10 seconds"))
      yield* TestClock.adjust("10 seconds")
      assert.isTrue((yield* Fiber.join(impatient))._tag === "None")
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(yield* said, "sample 1")
      assert.strictEqual(asked.length, 1)
    }))

  it.effect("stays known through a short absence; an older sample is not passed off as new", () =>
    Effect.gen(function*() {
      const { asked, connected, current, said, usage } = yield* opened(device(0))
      assert.strictEqual(yield* said, "sample 1")
      yield* SubscriptionRef.set(connected, false)
      yield* TestClock.adjust("4 minutes")
      assert.strictEqual(yield* said, "sample 1")
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* said, away)
      yield* SubscriptionRef.set(current, undefined)
      assert.strictEqual(yield* said, away)
      assert.strictEqual(usage.last()?.usage.at, deviceUsage.at)
      assert.strictEqual(asked.length, 1)
    }))

  it.effect("that was lost with its session is asked of the next one at once", () =>
    Effect.gen(function*() {
      const { asked, current, said } = yield* opened(() =>
        Effect.fail(new LinkError({ reason: "SessionLost", detail: "gone" }))
      )
      assert.strictEqual(yield* said, away)
      assert.strictEqual(yield* said, away)
      assert.strictEqual(asked.length, 1)
      const next = yield* makeSession(device(0))
      yield* SubscriptionRef.set(current, next.session)
      assert.strictEqual(yield* said, "sample 1")
      assert.strictEqual(next.asked.length, 1)
    }))

  it.effect("beyond its budget is refused with the budget's own words, and asked for as soon as there is budget again", () =>
    Effect.gen(function*() {
      const answers = device(0)
      const { said } = yield* opened((base, question) =>
        question <= 2
          ? Effect.fail(new LinkError({ reason: "OverBudget", detail: "device edge-1 has used up what it may spend" }))
          : answers(base, question)
      )
      assert.strictEqual(yield* said, "device edge-1 has used up what it may spend")
      assert.strictEqual(yield* said, "device edge-1 has used up what it may spend")
      assert.strictEqual(yield* said, "sample 3")
    }))

  it.effect("is not asked of an agent that cannot tell, and what makes no sense is refused", () =>
    Effect.gen(function*() {
      const old = yield* opened(device(0))
      old.usage.linked(["report-delta"])
      assert.match(yield* old.said, /^the agent of device edge-1 cannot measure what it uses: update arhat$/)
      assert.isEmpty(old.asked)
      old.usage.linked(["measure"])
      assert.strictEqual(yield* old.said, "sample 1")
      const liar = yield* opened(() =>
        Effect.succeed({ _tag: "Usage", figures: { ...usageFigures(measured(1, 1)), base: 7, pods: [] } })
      )
      assert.match(yield* liar.said, /answered something else/)
      const silly = yield* opened(() => Effect.succeed({ _tag: "Done" }))
      assert.match(yield* silly.said, /answered something else/)
    }))

  it.effect("leaves nobody waiting when the device is no longer served", () =>
    Effect.gen(function*() {
      const { said, scope } = yield* opened(() => Effect.never)
      const waiting = yield* Effect.forkChild(said)
      yield* TestClock.adjust("1 second")
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(yield* Fiber.join(waiting), away)
    }))
})

import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Redacted, Stream } from "effect"
import { TestClock } from "effect/testing"
import { type Connection, TransportError } from "../../../core/link/Transport.ts"
import {
  type BrokerAccess,
  Brokers,
  type BrokerTask,
  type BrokerWish,
  type OpenBroker
} from "../../../core/operator/Brokers.ts"

const access = (changes: Partial<BrokerAccess> = {}): BrokerAccess => ({
  host: "broker",
  port: 1883,
  transport: "tcp",
  websocketPath: "/mqtt",
  version: "3.1.1",
  variant: "standard",
  tls: undefined,
  login: { username: "aranya", password: Redacted.make("old") },
  clientId: undefined,
  keepaliveMillis: 120_000,
  maxPayload: 131_072,
  ...changes
})

const noConnection: Connection = {
  description: "mqtt broker:1883",
  maxFrame: 65_536,
  send: () => Effect.void,
  receive: Effect.never
}

/** Brokers that let everybody in, with a diary; devices that come by them are handed on by `meet`. */
const doors = (fails: () => TransportError | undefined = () => undefined) => {
  const diary: Array<string> = []
  const tasks = new Map<string, BrokerTask>()
  let serves: (connection: Connection) => Effect.Effect<void> = () => Effect.void
  const open: OpenBroker = (to, task) => ({
    method: "mqtt",
    run: Effect.fnUntraced(function*(serve) {
      const name = `${to.host} as ${to.login === undefined ? "nobody" : Redacted.value(to.login.password)}`
      diary.push(`${name} opens`)
      const failure = fails()
      if (failure !== undefined) return yield* failure
      tasks.set(name, task)
      yield* Effect.addFinalizer(() => Effect.sync(() => diary.push(`${name} closes`)))
      const context = yield* Effect.context<never>()
      serves = (connection) =>
        Effect.scoped(serve(connection)).pipe(Effect.provideContext(context)) as Effect.Effect<void>
      yield* task.topicNamespaces.pipe(
        Stream.runForEach((all) => Effect.sync(() => diary.push(`${name} hears ${[...all].sort().join(" ")}`))),
        Effect.forkScoped
      )
      return yield* Effect.never
    }, Effect.scoped)
  })
  return { diary, open, tasks, meet: (connection: Connection) => serves(connection) }
}

/** Lets every fiber that is ready run, and those that it wakes. */
const settle = Effect.repeat(TestClock.adjust("1 milli"), { times: 20 })

const wishFor = (topicNamespace: string, more: Partial<BrokerWish> = {}): BrokerWish => ({
  access: access(),
  topicNamespace,
  backoff: undefined,
  since: "2026-01-01T00:00:00Z",
  strayed: () => Effect.void,
  ...more
})

describe("brokers", () => {
  it.effect("are connected to once for all EdgeDevices that say the same, and left with the last", () =>
    Effect.gen(function*() {
      const brokers = yield* Brokers
      const { diary, open } = doors()
      yield* Effect.forkScoped(Effect.scoped(brokers.acceptor(open).run(() => Effect.void)))
      yield* brokers.wish("edge/a", wishFor("sites/a"))
      yield* settle
      yield* brokers.wish("edge/b", wishFor("sites/b"))
      yield* settle
      yield* brokers.wish("edge/a", undefined)
      yield* settle
      yield* brokers.wish("edge/b", wishFor("sites/c"))
      yield* settle
      yield* brokers.wish("edge/b", undefined)
      yield* settle
      assert.deepStrictEqual(diary, [
        "broker as old opens",
        "broker as old hears sites/a",
        "broker as old hears sites/a sites/b",
        "broker as old hears sites/b",
        "broker as old hears sites/c",
        "broker as old closes"
      ])
    }).pipe(Effect.scoped, Effect.provide(Brokers.layer)))

  it.effect("are asked for before anybody listens, too", () =>
    Effect.gen(function*() {
      const brokers = yield* Brokers
      const { diary, open } = doors()
      yield* brokers.wish("edge/a", wishFor("sites/a"))
      assert.strictEqual(brokers.standingOf("edge/a")._tag, "Connecting")
      yield* Effect.forkScoped(Effect.scoped(brokers.acceptor(open).run(() => Effect.void)))
      yield* settle
      assert.include(diary, "broker as old hears sites/a")
    }).pipe(Effect.scoped, Effect.provide(Brokers.layer)))

  it.effect("are left before they are entered with another credential, and others stay as they are", () =>
    Effect.gen(function*() {
      const brokers = yield* Brokers
      const { diary, open } = doors()
      yield* Effect.forkScoped(Effect.scoped(brokers.acceptor(open).run(() => Effect.void)))
      yield* brokers.wish("edge/a", wishFor("sites/a"))
      yield* brokers.wish("edge/b", wishFor("sites/b", { access: access({ host: "other" }) }))
      yield* settle
      diary.length = 0
      yield* brokers.wish(
        "edge/a",
        wishFor("sites/a", { access: access({ login: { username: "aranya", password: Redacted.make("new") } }) })
      )
      yield* settle
      assert.deepStrictEqual(diary, ["broker as old closes", "broker as new opens", "broker as new hears sites/a"])
    }).pipe(Effect.scoped, Effect.provide(Brokers.layer)))

  it.effect("are not entered twice with one client identifier: the second waits, and says for whom", () =>
    Effect.gen(function*() {
      const brokers = yield* Brokers
      const { diary, open } = doors()
      yield* Effect.forkScoped(Effect.scoped(brokers.acceptor(open).run(() => Effect.void)))
      const as = (keepaliveMillis: number) => ({ access: access({ clientId: "aranya", keepaliveMillis }) })
      yield* brokers.wish("edge/a", wishFor("sites/a", as(60_000)))
      yield* settle
      yield* brokers.wish("edge/b", wishFor("sites/b", as(30_000)))
      yield* settle
      assert.deepStrictEqual(diary, ["broker as old opens", "broker as old hears sites/a"])
      const standing = brokers.standingOf("edge/b")
      assert.match(
        standing._tag === "Down" ? standing.why : standing._tag,
        /^client identifier aranya is in use at broker broker:1883 for EdgeDevice edge\/a, with other settings: give/u
      )
      diary.length = 0
      yield* brokers.wish("edge/a", wishFor("sites/a", as(30_000)))
      yield* settle
      assert.deepStrictEqual(diary, [
        "broker as old closes",
        "broker as old opens",
        "broker as old hears sites/a sites/b"
      ])
    }).pipe(Effect.scoped, Effect.provide(Brokers.layer)))

  it.effect("are of one broker however its name is written, client identifiers at each of its ports", () =>
    Effect.gen(function*() {
      const brokers = yield* Brokers
      const { diary, open } = doors()
      yield* Effect.forkScoped(Effect.scoped(brokers.acceptor(open).run(() => Effect.void)))
      const elsewhere = { host: "Broker", port: 8883 }
      yield* brokers.wish("edge/a", wishFor("sites/a", { access: access({ clientId: "aranya" }) }))
      yield* settle
      yield* brokers.wish("edge/b", wishFor("sites/b", { access: access({ clientId: "aranya", ...elsewhere }) }))
      yield* brokers.wish("edge/c", wishFor("sites/a", { access: access({ host: "BROKER" }) }))
      yield* settle
      const standing = brokers.standingOf("edge/b")
      assert.match(
        standing._tag === "Down" ? standing.why : standing._tag,
        /^client identifier aranya is in use at broker Broker:8883 for EdgeDevice edge\/a, with other settings: give/u
      )
      assert.strictEqual(brokers.standingOf("edge/c")._tag, "TopicTaken")
      assert.deepStrictEqual(diary, ["broker as old opens", "broker as old hears sites/a"])
    }).pipe(Effect.scoped, Effect.provide(Brokers.layer)))

  it.effect("that cannot be opened, or break the program, are tried again and harm no other", () =>
    Effect.gen(function*() {
      const brokers = yield* Brokers
      let tries = 0
      const { open } = doors()
      const sometimes: OpenBroker = (to, task) =>
        to.host === "broker" ? open(to, task) : {
          method: "mqtt",
          run: () =>
            Effect.suspend(() => {
              tries += 1
              return tries === 1
                ? Effect.die(new Error("what nobody thought of"))
                : Effect.fail(new TransportError({ reason: "Refused", detail: "no route to host" }))
            })
        }
      let told = 0
      yield* brokers.follow("edge/bad", () => told += 1)
      yield* Effect.forkScoped(Effect.scoped(brokers.acceptor(sometimes).run(() => Effect.void)))
      yield* brokers.wish("edge/bad", wishFor("sites/bad", { access: access({ host: "broken" }) }))
      yield* brokers.wish("edge/good", wishFor("sites/good"))
      yield* settle
      assert.deepStrictEqual(brokers.standingOf("edge/bad"), {
        _tag: "Down",
        why: "broker broken:1883: an unexpected error, see the operator's log"
      })
      yield* TestClock.adjust("5 seconds")
      assert.isAbove(tries, 1)
      assert.deepStrictEqual(brokers.standingOf("edge/bad"), {
        _tag: "Down",
        why: "could not connect: no route to host"
      })
      assert.isAtLeast(told, 3)
      assert.strictEqual(brokers.standingOf("edge/good")._tag, "Connecting")
    }).pipe(Effect.scoped, Effect.provide(Brokers.layer)))

  it.effect("tell each EdgeDevice how they are", () =>
    Effect.gen(function*() {
      const brokers = yield* Brokers
      const { open, tasks } = doors()
      yield* Effect.forkScoped(Effect.scoped(brokers.acceptor(open).run(() => Effect.void)))
      yield* brokers.wish("edge/a", wishFor("sites/a"))
      yield* brokers.wish("edge/b", wishFor("sites/b"))
      yield* settle
      const task = tasks.get("broker as old") ?? assert.fail("not opened")
      yield* task.onState({ _tag: "Up" })
      yield* task.onRefused("sites/b", "not authorised")
      assert.deepStrictEqual(brokers.standingOf("edge/a"), { _tag: "Up" })
      assert.deepStrictEqual(brokers.standingOf("edge/b"), { _tag: "TopicRefused", why: "not authorised" })
      yield* task.onRefused("sites/b", undefined)
      assert.deepStrictEqual(brokers.standingOf("edge/b"), { _tag: "Up" })
      yield* task.onRefused("sites/b", "not authorised")
      yield* task.onState({ _tag: "Down", why: "the connection was lost" })
      assert.deepStrictEqual(brokers.standingOf("edge/b"), { _tag: "Down", why: "the connection was lost" })
      yield* task.onState({ _tag: "Up" })
      assert.deepStrictEqual(brokers.standingOf("edge/b"), { _tag: "Up" })
      assert.deepStrictEqual(brokers.standingOf("edge/c"), { _tag: "None" })
    }).pipe(Effect.scoped, Effect.provide(Brokers.layer)))

  it.effect("give topics that two claim to the elder, whatever the credentials, and to the other once they are free", () =>
    Effect.gen(function*() {
      const brokers = yield* Brokers
      const { diary, open } = doors()
      yield* Effect.forkScoped(Effect.scoped(brokers.acceptor(open).run(() => Effect.void)))
      const anonymous = access({ login: undefined })
      yield* brokers.wish("edge/younger", wishFor("sites/a", { since: "2026-02-01T00:00:00Z", access: anonymous }))
      yield* settle
      yield* brokers.wish("edge/elder", wishFor("sites/a"))
      yield* settle
      assert.strictEqual(brokers.standingOf("edge/younger")._tag, "TopicTaken")
      assert.strictEqual(brokers.standingOf("edge/elder")._tag, "Connecting")
      yield* brokers.wish("edge/elder", undefined)
      yield* settle
      assert.strictEqual(brokers.standingOf("edge/younger")._tag, "Connecting")
      assert.deepStrictEqual(diary, [
        "broker as nobody opens",
        "broker as nobody hears sites/a",
        "broker as nobody closes",
        "broker as old opens",
        "broker as old hears sites/a",
        "broker as old closes",
        "broker as nobody opens",
        "broker as nobody hears sites/a"
      ])
    }).pipe(Effect.scoped, Effect.provide(Brokers.layer)))

  it.effect("are come back to as the eldest says that says anything about it, without a new connection", () =>
    Effect.gen(function*() {
      const brokers = yield* Brokers
      const { diary, open, tasks } = doors()
      yield* Effect.forkScoped(Effect.scoped(brokers.acceptor(open).run(() => Effect.void)))
      const every = (seconds: number) => ({
        initialDelay: Duration.seconds(seconds),
        maxDelay: Duration.minutes(1),
        factor: 2
      })
      const { access } = wishFor("sites/a")
      const wants = (device: string, since: string, seconds?: number) =>
        Effect.andThen(
          brokers.wish(
            `edge/${device}`,
            wishFor(`sites/${device}`, {
              access,
              since: `${since}T00:00:00Z`,
              backoff: seconds === undefined ? undefined : every(seconds)
            })
          ),
          settle
        )
      const counts = () => tasks.get("broker as old")?.backoff()?.initialDelay
      yield* wants("eldest", "2026-01-01")
      assert.isUndefined(counts())
      yield* wants("youngest", "2026-03-01", 3)
      assert.deepStrictEqual(counts(), Duration.seconds(3))
      yield* wants("middle", "2026-02-01", 2)
      assert.deepStrictEqual(counts(), Duration.seconds(2))
      yield* wants("eldest", "2026-01-01", 1)
      assert.deepStrictEqual(counts(), Duration.seconds(1))
      yield* brokers.wish("edge/eldest", undefined)
      assert.deepStrictEqual(counts(), Duration.seconds(2))
      assert.strictEqual(diary.filter((line) => line.endsWith("opens")).length, 1)
      // Its broker has said no to these topics once, and is not asked again for the sake of a back-off.
      const { onRefused, onState } = tasks.get("broker as old") ?? assert.fail("no connection")
      yield* onState({ _tag: "Up" })
      yield* onRefused("sites/middle", "its access rules")
      yield* wants("middle", "2026-02-01", 4)
      assert.deepStrictEqual(brokers.standingOf("edge/middle"), { _tag: "TopicRefused", why: "its access rules" })
    }).pipe(Effect.scoped, Effect.provide(Brokers.layer)))

  it.effect("let a device come by the topics of its own EdgeDevice only", () =>
    Effect.gen(function*() {
      const brokers = yield* Brokers
      const { meet, open } = doors()
      const strays: Array<string> = []
      let met: Connection | undefined
      yield* Effect.forkScoped(
        Effect.scoped(brokers.acceptor(open).run((connection) => Effect.sync(() => void (met = connection))))
      )
      yield* brokers.wish(
        "edge/a",
        wishFor("sites/a", { strayed: (device) => Effect.sync(() => void strays.push(device)) })
      )
      yield* brokers.wish("edge/b", wishFor("sites/b"))
      yield* settle
      const admits = (place: string | undefined, device: string) =>
        Effect.gen(function*() {
          yield* meet({ ...noConnection, ...(place === undefined ? {} : { place }) })
          return yield* met?.admits?.({ namespace: "edge", device }) ?? Effect.die("nobody was met")
        })
      assert.isTrue(yield* admits("sites/a", "a"))
      assert.isFalse(yield* admits("sites/a", "b"))
      assert.isFalse(yield* admits("sites/z", "a"))
      assert.isFalse(yield* admits(undefined, "a"))
      assert.deepStrictEqual(strays, ["edge/b"])
    }).pipe(Effect.scoped, Effect.provide(Brokers.layer)))

  it.effect("forget what an EdgeDevice asked for once it is no longer served", () =>
    Effect.gen(function*() {
      const brokers = yield* Brokers
      const { diary, open } = doors()
      yield* Effect.forkScoped(Effect.scoped(brokers.acceptor(open).run(() => Effect.void)))
      yield* Effect.scoped(Effect.gen(function*() {
        yield* brokers.follow("edge/a", () => {})
        yield* brokers.wish("edge/a", wishFor("sites/a"))
        yield* settle
      }))
      yield* settle
      assert.strictEqual(diary.at(-1), "broker as old closes")
      assert.strictEqual(brokers.standingOf("edge/a")._tag, "None")
    }).pipe(Effect.scoped, Effect.provide(Brokers.layer)))

  describe("whose EdgeDevice is gone, and whose device is still to hear of it,", () => {
    /** Who these were is gone; each of them asked for this. */
    const gone = (brokers: Brokers["Service"], wishes: Readonly<Record<string, BrokerWish>>) =>
      Effect.forEach(Object.entries(wishes), ([owner, wish]) =>
        Effect.scoped(Effect.gen(function*() {
          const { outlive } = yield* brokers.follow(owner, () => {})
          yield* brokers.wish(owner, wish)
          outlive()
        }))).pipe(Effect.andThen(settle))

    it.effect("are stayed at, for that device and for a while", () =>
      Effect.gen(function*() {
        const brokers = yield* Brokers
        const { diary, meet, open, tasks } = doors()
        let met: Connection | undefined
        yield* Effect.forkScoped(
          Effect.scoped(brokers.acceptor(open).run((connection) => Effect.sync(() => void (met = connection))))
        )
        yield* gone(brokers, {
          "edge/a": wishFor("sites/a", { strayed: () => Effect.die("nobody is left to hear of it") })
        })
        const admits = (device: string) =>
          Effect.andThen(
            meet({ ...noConnection, place: "sites/a" }),
            Effect.suspend(() => met?.admits?.({ namespace: "edge", device }) ?? Effect.die("nobody was met"))
          )
        assert.isTrue(yield* admits("a"))
        assert.isFalse(yield* admits("b"))
        yield* brokers.wish("edge/c", wishFor("sites/c"))
        const { isLeft } = tasks.get("broker as old") ?? assert.fail("not opened")
        assert.deepStrictEqual(["sites/a", "sites/c"].map(isLeft), [true, false])
        yield* brokers.wish("edge/c", undefined)
        yield* TestClock.adjust("6 days")
        assert.notInclude(diary, "broker as old closes")
        yield* TestClock.adjust("2 days")
        assert.strictEqual(diary.at(-1), "broker as old closes")
        assert.strictEqual(brokers.standingOf("edge/a")._tag, "None")
      }).pipe(Effect.scoped, Effect.provide(Brokers.layer)))

    it.effect("give their topics at once to who asks for them anew, however late that one was created", () =>
      Effect.gen(function*() {
        const brokers = yield* Brokers
        const { diary, open } = doors()
        yield* Effect.forkScoped(Effect.scoped(brokers.acceptor(open).run(() => Effect.void)))
        yield* gone(brokers, { "edge/a": wishFor("sites/a") })
        diary.length = 0
        yield* brokers.wish(
          "edge/b",
          wishFor("sites/a", { access: access({ login: undefined }), since: "2026-09-01T00:00:00Z" })
        )
        yield* settle
        assert.strictEqual(brokers.standingOf("edge/b")._tag, "Connecting")
        assert.deepStrictEqual(diary, [
          "broker as old closes",
          "broker as nobody opens",
          "broker as nobody hears sites/a"
        ])
      }).pipe(Effect.scoped, Effect.provide(Brokers.layer)))

    it.effect("are left where they have a client identifier, which another operator may need by now", () =>
      Effect.gen(function*() {
        const brokers = yield* Brokers
        const { diary, open } = doors()
        yield* Effect.forkScoped(Effect.scoped(brokers.acceptor(open).run(() => Effect.void)))
        yield* gone(brokers, { "edge/a": wishFor("sites/a", { access: access({ clientId: "aranya" }) }) })
        assert.strictEqual(brokers.standingOf("edge/a")._tag, "None")
        assert.notInclude(diary, "broker as old opens")
      }).pipe(Effect.scoped, Effect.provide(Brokers.layer)))

    it.effect("are what an EdgeDevice made anew says, and left with it", () =>
      Effect.gen(function*() {
        const brokers = yield* Brokers
        const { diary, open } = doors()
        yield* Effect.forkScoped(Effect.scoped(brokers.acceptor(open).run(() => Effect.void)))
        yield* gone(brokers, { "edge/a": wishFor("sites/a") })
        yield* Effect.scoped(Effect.gen(function*() {
          yield* brokers.follow("edge/a", () => {})
          yield* brokers.wish("edge/a", wishFor("sites/b"))
          yield* TestClock.adjust("8 days")
          assert.strictEqual(diary.at(-1), "broker as old hears sites/b")
        }))
        yield* settle
        assert.strictEqual(diary.at(-1), "broker as old closes")
      }).pipe(Effect.scoped, Effect.provide(Brokers.layer)))

    it.effect("are left for the oldest where there are too many of them", () =>
      Effect.gen(function*() {
        const brokers = yield* Brokers
        const names = Array.from({ length: 1001 }, (_, number) => `device-${number}`)
        yield* gone(brokers, Object.fromEntries(names.map((name) => [`edge/${name}`, wishFor(`sites/${name}`)])))
        const left = names.filter((name) => brokers.standingOf(`edge/${name}`)._tag !== "None")
        assert.deepStrictEqual(left, names.slice(1))
      }).pipe(Effect.scoped, Effect.provide(Brokers.layer)))
  })
})

import { assert, describe, it } from "@effect/vitest"
import { type Duration, Effect, Layer, Ref, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as KubeClient from "../../../../adapters/kube/client/KubeClient.ts"
import { KubeClientLimits } from "../../../../adapters/kube/client/KubeClientLimits.ts"
import { type ConfigMap, ConfigMaps } from "../../../../core/kube/kinds.ts"
import { KubeApi, type Observation } from "../../../../core/kube/KubeApi.ts"
import type { KubeObject } from "../../../../core/kube/ObjectMeta.ts"
import {
  type Answer,
  cut,
  ended,
  json,
  layerConfig,
  layerServer,
  line,
  open,
  type Script,
  ScriptedServer,
  status
} from "./ScriptedServer.ts"

const limits = KubeClientLimits.defaultValue()
const world = (changes: Partial<KubeClientLimits> = {}) =>
  KubeClient.layer.pipe(
    Layer.provideMerge(layerServer),
    Layer.provide(layerConfig),
    Layer.provide(Layer.succeed(KubeClientLimits, { ...limits, ...changes }))
  )

const object = (name: string, version: number, more: { readonly uid?: string; readonly data?: unknown } = {}) => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, namespace: "shop", resourceVersion: String(version), uid: more.uid ?? `uid-${name}` },
  data: more.data ?? { version: String(version) }
})
const items = (version: number, ...objects: ReadonlyArray<object>) =>
  json({ metadata: { resourceVersion: String(version) }, items: objects })
const bookmark = (version: number) =>
  line("BOOKMARK", { kind: "ConfigMap", metadata: { resourceVersion: String(version) } })

/** Answers in turn, lists and watches each from their own; the last of each is repeated. */
const turns = (
  lists: ReadonlyArray<Answer | "refused">,
  watches: ReadonlyArray<Answer | "refused">
): Script => {
  let list = 0
  let watch = 0
  return ({ query }) => {
    const answer = query["watch"] === "true"
      ? watches[Math.min(watch++, watches.length - 1)]
      : lists[Math.min(list++, lists.length - 1)]
    return answer === undefined || answer === "refused" ? Effect.fail("refused") : Effect.succeed(answer)
  }
}

const words = (observation: Observation<ConfigMap>) =>
  observation._tag === "Synced"
    ? "Synced"
    : `${observation._tag} ${observation.object.metadata.name} ${observation.object.metadata.resourceVersion}`

/** Observes in the background for the length of the test; gives what was told so far. */
const observing = Effect.fnUntraced(function*(
  options?: { readonly keep?: (raw: KubeObject) => boolean; readonly resync?: Duration.Input }
) {
  const api = yield* KubeApi
  const told = yield* Ref.make<ReadonlyArray<string>>([])
  yield* api.observe(ConfigMaps, { namespace: "shop" }, options).pipe(
    Stream.runForEach((observation) => Ref.update(told, (all) => [...all, words(observation)])),
    Effect.forkScoped
  )
  return Ref.get(told)
})

/** Small steps: a fiber must have gone to sleep before the clock passes its hour. */
const pass = (seconds: number) =>
  Effect.gen(function*() {
    for (let i = 0; i < seconds; i++) yield* TestClock.adjust("1 second")
  })

const verbs = (diary: ReadonlyArray<string>) =>
  diary.filter((entry) => !entry.includes(" hung up ")).map((entry) => {
    const [at, ...rest] = entry.split(" ")
    const query = new URLSearchParams(rest.join(" ").split("?")[1] ?? "")
    return query.get("watch") === "true" ? `${at} watch ${query.get("resourceVersion")}` : `${at} list`
  })
const kinds = (diary: ReadonlyArray<string>) => verbs(diary).map((entry) => entry.split(" ").slice(1).join(" "))

describe("observe", () => {
  it.effect("tells what is there, that this was all, and then each change", () =>
    Effect.gen(function*() {
      const server = yield* ScriptedServer
      yield* server.behave(turns([items(5, object("a", 1), object("b", 2))], [
        open(
          line("ADDED", object("c", 6)),
          line("MODIFIED", object("a", 7)) + line("DELETED", object("b", 8))
        )
      ]))
      const told = yield* observing()
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* told, [
        "Set a 1",
        "Set b 2",
        "Synced",
        "Set c 6",
        "Set a 7",
        "Deleted b 8"
      ])
      const [list, watch] = yield* server.asked
      assert.deepStrictEqual(list?.query, { limit: "500" })
      const { timeoutSeconds, ...query } = watch?.query ?? {}
      assert.deepStrictEqual(query, { watch: "true", allowWatchBookmarks: "true", resourceVersion: "5" })
      assert.isAtLeast(Number(timeoutSeconds), 300)
      assert.isAtMost(Number(timeoutSeconds), 400)
    }).pipe(Effect.provide(world())))

  it.effect("goes on from the last version without listing when a watch ends or breaks", () =>
    Effect.gen(function*() {
      const server = yield* ScriptedServer
      yield* server.behave(turns([items(5)], [
        ended(line("ADDED", object("a", 6))),
        cut(bookmark(9)),
        "refused",
        open(line("MODIFIED", object("a", 10)))
      ]))
      const told = yield* observing()
      yield* pass(60)
      assert.deepStrictEqual(yield* told, ["Synced", "Set a 6", "Set a 10"])
      assert.deepStrictEqual(kinds(yield* server.diary), ["list", "watch 5", "watch 6", "watch 9", "watch 9"])
    }).pipe(Effect.provide(world())))

  it.effect("never hands out a half line: the event comes again whole", () =>
    Effect.gen(function*() {
      const server = yield* ScriptedServer
      const whole = line("ADDED", object("a", 6))
      yield* server.behave(turns([items(5)], [
        cut(whole.slice(0, 40), whole.slice(40, 60)),
        open(...whole.split("").map((letter) => letter))
      ]))
      const told = yield* observing()
      yield* pass(60)
      assert.deepStrictEqual(yield* told, ["Synced", "Set a 6"])
      assert.deepStrictEqual(kinds(yield* server.diary), ["list", "watch 5", "watch 5"])
    }).pipe(Effect.provide(world())))

  it.effect.each(
    [
      ["an ERROR event", ended(line("ERROR", { kind: "Status", code: 410, reason: "Expired", message: "too old" }))],
      ["a 410 answer", status(410, "Expired")]
    ] as const
  )("lists again at once after %s, and tells what vanished and what is new", ([, expired]) =>
    Effect.gen(function*() {
      const server = yield* ScriptedServer
      yield* server.behave(turns(
        [items(5, object("a", 1), object("b", 2), object("c", 3)), items(20, object("a", 1), object("c", 15))],
        [expired, open()]
      ))
      const told = yield* observing()
      yield* TestClock.adjust("1 milli")
      assert.deepStrictEqual(yield* told, [
        "Set a 1",
        "Set b 2",
        "Set c 3",
        "Synced",
        "Set c 15",
        "Deleted b 2",
        "Synced"
      ])
      assert.deepStrictEqual(verbs(yield* server.diary), ["0s list", "0s watch 5", "0s list", "0s watch 20"])
    }).pipe(Effect.provide(world())))

  it.effect("does not hammer a server whose every version is too old", () =>
    Effect.gen(function*() {
      const server = yield* ScriptedServer
      yield* server.behave(turns([items(5)], [status(410, "Expired")]))
      yield* Effect.asVoid(observing())
      yield* pass(600)
      assert.isBelow((yield* server.diary).length, 120)
      assert.isAbove((yield* server.diary).length, 20)
    }).pipe(Effect.provide(world())))

  it.effect("tells two lives apart that had one name", () =>
    Effect.gen(function*() {
      const server = yield* ScriptedServer
      yield* server.behave(turns(
        [items(5, object("a", 1)), items(20, object("a", 15, { uid: "another" }))],
        [status(410, "Expired"), open()]
      ))
      const told = yield* observing()
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* told, ["Set a 1", "Synced", "Deleted a 1", "Set a 15", "Synced"])
    }).pipe(Effect.provide(world())))

  it.effect("hangs up on a watch that is silent for longer than it was asked to last, and goes on", () =>
    Effect.gen(function*() {
      const server = yield* ScriptedServer
      yield* server.behave(turns([items(5)], [open(bookmark(7)), open(line("ADDED", object("a", 8)))]))
      const told = yield* observing()
      yield* pass(329)
      assert.deepStrictEqual(kinds(yield* server.diary), ["list", "watch 5"])
      yield* pass(110)
      const diary = yield* server.diary
      assert.include(diary[2], "hung up")
      assert.deepStrictEqual(kinds(diary), ["list", "watch 5", "watch 7"])
      assert.deepStrictEqual(yield* told, ["Synced", "Set a 8"])
    }).pipe(Effect.provide(world())))

  it.effect("pauses longer and longer, by chance and never beyond the cap, while the server fails", () =>
    Effect.gen(function*() {
      const server = yield* ScriptedServer
      yield* server.behave(turns([status(500, "InternalError")], []))
      const told = yield* observing()
      yield* pass(600)
      const times = (yield* server.diary).map((entry) => Number.parseFloat(entry))
      const pauses = times.slice(1).map((time, i) => time - (times[i] ?? 0))
      assert.isAtMost(Math.max(...pauses), 31)
      assert.isAbove(Math.max(...pauses), 10)
      assert.isAtMost(pauses[0] ?? 99, 1.01)
      assert.isAbove(new Set(pauses).size, 5)
      assert.isBelow(times.length, 100)
      assert.deepStrictEqual(yield* told, [])
      yield* server.behave(turns([items(5, object("a", 1))], [open()]))
      yield* pass(31)
      assert.deepStrictEqual(yield* told, ["Set a 1", "Synced"])
    }).pipe(Effect.provide(world())))

  it.effect("waits as long as the server asks for", () =>
    Effect.gen(function*() {
      const server = yield* ScriptedServer
      const busy = line("ERROR", {
        kind: "Status",
        code: 429,
        reason: "TooManyRequests",
        details: { retryAfterSeconds: 45 }
      })
      yield* server.behave(turns([items(5)], [
        { ...status(503, "ServiceUnavailable"), headers: { "retry-after": "40" } },
        ended(busy),
        open()
      ]))
      yield* Effect.asVoid(observing())
      yield* pass(100)
      assert.deepStrictEqual(verbs(yield* server.diary), ["0s list", "0s watch 5", "40s watch 5", "85s watch 5"])
    }).pipe(Effect.provide(world())))

  it.effect("does not spin on a server that ends each watch at once", () =>
    Effect.gen(function*() {
      const server = yield* ScriptedServer
      yield* server.behave(turns([items(5)], [ended()]))
      yield* Effect.asVoid(observing())
      yield* pass(300)
      assert.isBelow((yield* server.diary).length, 60)
    }).pipe(Effect.provide(world())))

  it.effect.each(
    [
      ["bytes that are not JSON", "\u0000\u0001 hello\n"],
      ["JSON that is no event", "[1,2]\n"],
      ["an event without a version", line("ADDED", { metadata: { name: "x" } })],
      ["an event of an unknown type", line("SURPRISE", object("x", 9))],
      ["an event without a name", line("ADDED", { metadata: { resourceVersion: "9" } })],
      ["a line without end", "x".repeat(5000)]
    ] as const
  )("lists again after %s, having told what came before", ([, garbage]) =>
    Effect.gen(function*() {
      const server = yield* ScriptedServer
      yield* server.behave(turns([items(5), items(30, object("a", 6), object("b", 25))], [
        ended(line("ADDED", object("a", 6)) + garbage, line("ADDED", object("never", 7))),
        open()
      ]))
      const told = yield* observing()
      yield* pass(30)
      assert.deepStrictEqual(yield* told, ["Synced", "Set a 6", "Set b 25", "Synced"])
      assert.deepStrictEqual(kinds(yield* server.diary), ["list", "watch 5", "list", "watch 30"])
    }).pipe(Effect.provide(world({ lineLimit: 4096 }))))

  it.effect("skips an object it cannot read and goes on behind it; what was known of it stays", () =>
    Effect.gen(function*() {
      const server = yield* ScriptedServer
      yield* server.behave(turns(
        [items(5, object("a", 1), object("bad", 2, { data: 5 })), items(20, object("a", 9, { data: 5 }))],
        [
          ended(line("MODIFIED", object("a", 6, { data: 5 })), line("ADDED", object("b", 7))),
          status(410, "Expired"),
          open(line("DELETED", object("a", 22, { data: 5 })))
        ]
      ))
      const told = yield* observing()
      yield* pass(30)
      assert.deepStrictEqual(yield* told, [
        "Set a 1",
        "Synced",
        "Set b 7",
        "Deleted b 7",
        "Synced",
        "Deleted a 1"
      ])
      assert.deepStrictEqual(kinds(yield* server.diary), ["list", "watch 5", "watch 7", "list", "watch 20"])
    }).pipe(Effect.provide(world())))

  it.effect("asks `keep` before it reads an object, and tells Deleted when one is no longer to be kept", () =>
    Effect.gen(function*() {
      const server = yield* ScriptedServer
      yield* server.behave(turns(
        [items(5, object("mine", 1), object("foreign", 2, { data: "unreadable" }))],
        [open(
          line("MODIFIED", object("foreign", 6)) + line("DELETED", object("foreign", 7)),
          line("MODIFIED", object("mine", 8, { data: { gone: "yes" } }))
        )]
      ))
      const told = yield* observing({
        keep: (raw) => raw.metadata.name === "mine" && !JSON.stringify(raw).includes("gone")
      })
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* told, ["Set mine 1", "Synced", "Deleted mine 1"])
    }).pipe(Effect.provide(world())))

  it.effect("tells Deleted of what it wants now and did not want before, and of nothing else that it does not know", () =>
    Effect.gen(function*() {
      const server = yield* ScriptedServer
      const passedOver = items(5, object("mine", 1), object("foreign", 2))
      const gone = open(line("DELETED", object("foreign", 6)) + line("DELETED", object("mine", 7)))
      let wanted = false
      yield* server.behave(({ query }) =>
        Effect.sync(() => {
          wanted = query["watch"] === "true"
          return wanted ? gone : passedOver
        })
      )
      const told = yield* observing({ keep: (raw) => wanted && raw.metadata.name === "mine" })
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* told, ["Synced", "Deleted mine 7"])
    }).pipe(Effect.provide(world())))

  it.effect("starts a list over in one piece when its continue token expired, and tells nothing twice", () =>
    Effect.gen(function*() {
      const server = yield* ScriptedServer
      yield* server.behave(({ query }) =>
        Effect.succeed(
          query["watch"] === "true"
            ? open()
            : query["continue"] !== undefined
            ? status(410, "Expired")
            : query["limit"] !== undefined
            ? json({ metadata: { resourceVersion: "5", continue: "x" }, items: [object("a", 1), object("gone", 2)] })
            : items(8, object("a", 1), object("b", 3))
        )
      )
      const told = yield* observing()
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* told, ["Set a 1", "Set gone 2", "Set b 3", "Deleted gone 2", "Synced"])
    }).pipe(Effect.provide(world())))

  it.effect("goes back to pieces when the list in one piece fails", () =>
    Effect.gen(function*() {
      const server = yield* ScriptedServer
      const long = "x".repeat(2000)
      let expired = 0
      yield* server.behave(({ query }) =>
        Effect.succeed(
          query["watch"] === "true"
            ? open()
            : query["limit"] === undefined
            ? items(8, object("a", 1, { data: { long } }), object("b", 2, { data: { long } }))
            : query["continue"] !== undefined
            ? expired++ === 0 ? status(410, "Expired") : items(8, object("b", 2))
            : json({ metadata: { resourceVersion: "5", continue: "next" }, items: [object("a", 1)] })
        )
      )
      const told = yield* observing()
      yield* pass(60)
      assert.deepStrictEqual(yield* told, ["Set a 1", "Set b 2", "Synced"])
      const lists = (yield* server.asked).filter(({ query }) => query["watch"] !== "true")
      assert.deepStrictEqual(
        lists.map(({ query }) => query["continue"] ?? (query["limit"] === undefined ? "all" : "")),
        [
          "",
          "next",
          "all",
          "",
          "next"
        ]
      )
    }).pipe(Effect.provide(world({ bodyLimit: 3000 }))))

  it.effect("with `resync` lists again in time and tells everything again", () =>
    Effect.gen(function*() {
      const server = yield* ScriptedServer
      yield* server.behave(({ query }) =>
        Effect.succeed(
          query["watch"] === "true"
            ? { body: Stream.fromEffectDrain(Effect.sleep(`${Number(query["timeoutSeconds"])} seconds`)) }
            : items(5, object("a", 1))
        )
      )
      const told = yield* observing({ resync: "1 minute" })
      yield* pass(85)
      assert.deepStrictEqual(yield* told, ["Set a 1", "Synced", "Set a 1", "Synced"])
    }).pipe(Effect.provide(world())))

  it.effect("a slow reader slows the connection down and loses nothing", () =>
    Effect.gen(function*() {
      const server = yield* ScriptedServer
      const api = yield* KubeApi
      let sent = 0
      yield* server.behave(({ query }) =>
        Effect.succeed(
          query["watch"] === "true"
            ? {
              body: Stream.fromEffectRepeat(Effect.sync(() => {
                sent++
                return new TextEncoder().encode(line("ADDED", object(`o${sent}`, sent + 5)))
              }))
            }
            : items(5)
        )
      )
      const told: Array<string> = []
      yield* api.observe(ConfigMaps).pipe(
        Stream.runForEach((observation) =>
          Effect.delay(Effect.sync(() => void told.push(words(observation))), "1 second")
        ),
        Effect.forkScoped
      )
      yield* pass(5)
      assert.deepStrictEqual(told, ["Synced", "Set o1 6", "Set o2 7", "Set o3 8", "Set o4 9"])
      assert.isAtMost(sent, 6)
    }).pipe(Effect.provide(world())))

  it.effect("leaves nothing open when the reader goes away", () =>
    Effect.gen(function*() {
      const server = yield* ScriptedServer
      const api = yield* KubeApi
      yield* server.behave(turns([items(5, object("a", 1))], [open(line("ADDED", object("b", 6)))]))
      const found = yield* api.observe(ConfigMaps, { namespace: "shop" }).pipe(Stream.take(3), Stream.runCollect)
      assert.deepStrictEqual(found.map(words), ["Set a 1", "Synced", "Set b 6"])
      assert.include((yield* server.diary).at(-1), "hung up")
    }).pipe(Effect.provide(world())))

  it.effect("forgets who owns which field, and nothing else", () =>
    Effect.gen(function*() {
      const server = yield* ScriptedServer
      const api = yield* KubeApi
      const full = { ...object("a", 1), extra: { kept: true } }
      const owned = { ...full, metadata: { ...full.metadata, managedFields: [{ manager: "kubectl" }] } }
      yield* server.behave(turns([items(5, owned)], [open()]))
      const found = yield* api.observe(ConfigMaps).pipe(Stream.take(1), Stream.runCollect)
      assert.deepStrictEqual(found[0] as unknown, { _tag: "Set", object: full })
    }).pipe(Effect.provide(world())))
})

import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Layer, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as KubeClient from "../../../../adapters/kube/client/KubeClient.ts"
import { KubeClientConfig } from "../../../../adapters/kube/client/KubeClientConfig.ts"
import { KubeClientLimits } from "../../../../adapters/kube/client/KubeClientLimits.ts"
import { ConfigMaps, Leases, ServiceAccounts, TokenRequests } from "../../../../core/kube/kinds.ts"
import { KubeApi } from "../../../../core/kube/KubeApi.ts"
import { Nodes } from "../../../../core/kube/Node.ts"
import { Pods } from "../../../../core/kube/Pod.ts"
import { bytes, json, layerConfig, layerServer, ScriptedServer, status } from "./ScriptedServer.ts"

const limits = KubeClientLimits.defaultValue()
const world = (changes: Partial<KubeClientLimits> = {}) =>
  KubeClient.layer.pipe(
    Layer.provideMerge(layerServer),
    Layer.provide(layerConfig),
    Layer.provide(Layer.succeed(KubeClientLimits, { ...limits, ...changes }))
  )

const configMap = (name: string, more: object = {}) => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, namespace: "shop", resourceVersion: "7", uid: `uid-${name}` },
  data: { a: "1" },
  ...more
})

describe("KubeClient", () => {
  it.effect("asks for one object with its identity, and reads it", () =>
    Effect.gen(function*() {
      const server = yield* ScriptedServer
      const api = yield* KubeApi
      yield* server.behave(() => Effect.succeed(json(configMap("a"))))
      const found = yield* api.get(ConfigMaps, { namespace: "shop", name: "a" })
      assert.deepStrictEqual(found.data, { a: "1" })
      assert.deepStrictEqual(yield* server.diary, ["0s GET /api/v1/namespaces/shop/configmaps/a"])
      assert.strictEqual((yield* server.asked)[0]?.headers["authorization"], "Bearer sesame")
    }).pipe(Effect.provide(world())))

  it.effect("keeps what the schema does not name through a read and a PUT", () =>
    Effect.gen(function*() {
      const server = yield* ScriptedServer
      const api = yield* KubeApi
      const strange = configMap("a", { novelty: { deep: [1, { x: null }] } })
      yield* server.behave(() => Effect.succeed(json(strange)))
      const found = yield* api.get(ConfigMaps, { namespace: "shop", name: "a" })
      yield* api.replace(ConfigMaps, { ...found, data: { a: "2" } })
      assert.deepStrictEqual((yield* server.asked)[1]?.body, { ...strange, data: { a: "2" } })
      assert.strictEqual((yield* server.diary)[1], "0s PUT /api/v1/namespaces/shop/configmaps/a?fieldManager=aranya")
    }).pipe(Effect.provide(world())))

  const refusals = [
    [401, "Unauthorized", "Unauthorized", true],
    [403, "Forbidden", "Forbidden", false],
    [404, "NotFound", "NotFound", false],
    [409, "Conflict", "Conflict", false],
    [409, "AlreadyExists", "AlreadyExists", false],
    [410, "Expired", "Expired", false],
    [422, "Invalid", "Invalid", false],
    [400, "BadRequest", "BadRequest", false],
    [405, "MethodNotAllowed", "BadRequest", false],
    [415, "UnsupportedMediaType", "BadRequest", false],
    [429, "TooManyRequests", "Unavailable", true],
    [500, "InternalError", "Unavailable", true],
    [503, "ServiceUnavailable", "Unavailable", true],
    [504, "Timeout", "Unavailable", true]
  ] as const
  it.effect.each(refusals)("a %i with reason %s is %s", ([code, said, reason, retryable]) =>
    Effect.gen(function*() {
      const server = yield* ScriptedServer
      const api = yield* KubeApi
      yield* server.behave(() => Effect.succeed(status(code, said)))
      const error = yield* Effect.flip(api.get(Pods, { namespace: "shop", name: "a" }))
      assert.deepStrictEqual([error.reason, error.status, error.detail, error.retryable], [
        reason,
        code,
        `${said} it is`,
        retryable
      ])
    }).pipe(Effect.provide(world())))

  it.effect("shows a proxy's plain words, and never all of a long page", () =>
    Effect.gen(function*() {
      const server = yield* ScriptedServer
      const api = yield* KubeApi
      yield* server.behave(() => Effect.succeed({ status: 502, body: "<html>".padEnd(100_000, "x") }))
      const error = yield* Effect.flip(api.get(Pods, { namespace: "shop", name: "a" }))
      assert.strictEqual(error.reason, "Unavailable")
      assert.strictEqual(error.detail.length, 2048)
    }).pipe(Effect.provide(world())))

  it.effect("sends again what was refused with 429, after the time the server named, a limited number of times", () =>
    Effect.gen(function*() {
      const server = yield* ScriptedServer
      const api = yield* KubeApi
      yield* server.behave(() => Effect.succeed({ ...status(429, "TooManyRequests"), headers: { "retry-after": "2" } }))
      const fiber = yield* Effect.forkChild(Effect.flip(api.get(Nodes, { name: "n" })))
      yield* TestClock.adjust("1 minute")
      const error = yield* Fiber.join(fiber)
      assert.deepStrictEqual([error.status, error.retryAfter], [429, 2000])
      assert.deepStrictEqual(
        (yield* server.diary).map((entry) => entry.split(" ")[0]),
        ["0s", "2s", "4s", "6s", "8s"]
      )
    }).pipe(Effect.provide(world())))

  it.effect("takes a Retry-After that is a date relative to the server's own clock", () =>
    Effect.gen(function*() {
      const server = yield* ScriptedServer
      const api = yield* KubeApi
      yield* server.behave(() =>
        Effect.succeed({
          ...status(503, "ServiceUnavailable"),
          headers: { date: "Sat, 21 Nov 2026 01:00:00 GMT", "retry-after": "Sat, 21 Nov 2026 01:00:05 GMT" }
        })
      )
      const error = yield* Effect.flip(api.get(Nodes, { name: "n" }))
      assert.strictEqual(error.retryAfter, 5000)
    }).pipe(Effect.provide(world())))

  it.effect("gives up on a server that does not answer", () =>
    Effect.gen(function*() {
      const server = yield* ScriptedServer
      const api = yield* KubeApi
      yield* server.behave(() => Effect.never)
      const fiber = yield* Effect.forkChild(Effect.flip(api.get(Nodes, { name: "n" })))
      yield* TestClock.adjust("29 seconds")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 second")
      const error = yield* Fiber.join(fiber)
      assert.deepStrictEqual([error.reason, error.status, error.detail], ["Unavailable", 0, "no answer within 30s"])
    }).pipe(Effect.provide(world())))

  it.effect("says why there is no connection", () =>
    Effect.gen(function*() {
      const server = yield* ScriptedServer
      const api = yield* KubeApi
      yield* server.behave(() => Effect.fail("refused"))
      const error = yield* Effect.flip(api.get(Nodes, { name: "n" }))
      assert.strictEqual(error.message, "Kubernetes API: Unavailable (0): the connection failed: refused")
    }).pipe(Effect.provide(world())))

  it.effect("stops reading an answer that is longer than allowed", () =>
    Effect.gen(function*() {
      const server = yield* ScriptedServer
      const api = yield* KubeApi
      let sent = 0
      yield* server.behave(() =>
        Effect.succeed({
          body: Stream.fromEffectRepeat(Effect.sync(() => {
            sent++
            return bytes("x".repeat(100))
          }))
        })
      )
      const error = yield* Effect.flip(api.get(Nodes, { name: "n" }))
      assert.strictEqual(error.reason, "Undecodable")
      assert.isAtMost(sent, 11)
    }).pipe(Effect.provide(world({ bodyLimit: 1000 }))))

  it.effect("calls an answer that is no such object Undecodable, without quoting a Secret's values", () =>
    Effect.gen(function*() {
      const server = yield* ScriptedServer
      const api = yield* KubeApi
      for (const answer of [{ body: "not json" }, json([]), json({ metadata: {}, data: { password: ["hunter2"] } })]) {
        yield* server.behave(() => Effect.succeed(answer))
        const error = yield* Effect.flip(api.get(ConfigMaps, { namespace: "shop", name: "a" }))
        assert.strictEqual(error.reason, "Undecodable")
        assert.notInclude(error.message, "hunter2")
      }
    }).pipe(Effect.provide(world())))

  it.effect("lists in pieces", () =>
    Effect.gen(function*() {
      const server = yield* ScriptedServer
      const api = yield* KubeApi
      yield* server.behave(({ query }) =>
        Effect.succeed(json(
          query["continue"] === undefined
            ? { metadata: { resourceVersion: "9", continue: "more" }, items: [configMap("a")] }
            : { metadata: { resourceVersion: "9" }, items: [configMap("b")] }
        ))
      )
      const found = yield* api.list(ConfigMaps, { namespace: "shop", labelSelector: "x=y" })
      assert.deepStrictEqual(found.map((object) => object.metadata.name), ["a", "b"])
      assert.deepStrictEqual(yield* server.diary, [
        "0s GET /api/v1/namespaces/shop/configmaps?labelSelector=x%3Dy&limit=500",
        "0s GET /api/v1/namespaces/shop/configmaps?labelSelector=x%3Dy&limit=500&continue=more"
      ])
    }).pipe(Effect.provide(world())))

  it.effect("lists all at once when the server forgot where a list was", () =>
    Effect.gen(function*() {
      const server = yield* ScriptedServer
      const api = yield* KubeApi
      yield* server.behave(({ query }) =>
        Effect.succeed(
          query["continue"] !== undefined ? status(410, "Expired") : json({
            metadata: { resourceVersion: "9", ...(query["limit"] === undefined ? {} : { continue: "more" }) },
            items: query["limit"] === undefined ? [configMap("a"), configMap("b")] : [configMap("a")]
          })
        )
      )
      const found = yield* api.list(ConfigMaps)
      assert.deepStrictEqual(found.map((object) => object.metadata.name), ["a", "b"])
      assert.strictEqual((yield* server.diary).length, 3)
    }).pipe(Effect.provide(world())))

  it.effect("reads Go's empty list, and skips what it cannot read", () =>
    Effect.gen(function*() {
      const server = yield* ScriptedServer
      const api = yield* KubeApi
      yield* server.behave(() => Effect.succeed(json({ metadata: { resourceVersion: "9" }, items: null })))
      assert.deepStrictEqual(yield* api.list(ConfigMaps), [])
      yield* server.behave(() =>
        Effect.succeed(
          json({ metadata: { resourceVersion: "9" }, items: [3, configMap("a", { data: 5 }), configMap("b")] })
        )
      )
      const found = yield* api.list(ConfigMaps)
      assert.deepStrictEqual(found.map((object) => [object.kind, object.metadata.name]), [["ConfigMap", "b"]])
    }).pipe(Effect.provide(world())))

  it.effect.each(
    [
      ["strategic", "application/strategic-merge-patch+json", { fieldManager: "aranya" }],
      ["merge", "application/merge-patch+json", { fieldManager: "aranya" }],
      ["apply", "application/apply-patch+yaml", { fieldManager: "me", force: "true" }]
    ] as const
  )("sends a %s patch as %s", ([type, contentType, query]) =>
    Effect.gen(function*() {
      const server = yield* ScriptedServer
      const api = yield* KubeApi
      yield* server.behave(() => Effect.succeed(json({ metadata: { name: "n" } })))
      const body = { status: {} }
      yield* api.patch(
        Nodes,
        { name: "n", subresource: "status" },
        type === "apply" ? { type, body, fieldManager: "me", force: true } : { type, body }
      )
      const asked = (yield* server.asked)[0]
      assert.deepStrictEqual(
        [asked?.path, asked?.headers["content-type"], asked?.query, asked?.body],
        ["/api/v1/nodes/n/status", contentType, query, body]
      )
    }).pipe(Effect.provide(world())))

  it.effect("deletes with grace and preconditions, and without any", () =>
    Effect.gen(function*() {
      const server = yield* ScriptedServer
      const api = yield* KubeApi
      yield* server.behave(() => Effect.succeed(json({ kind: "Status", status: "Success" })))
      yield* api.delete(Pods, { namespace: "shop", name: "a" }, {
        gracePeriodSeconds: 0,
        uid: "u",
        resourceVersion: "4"
      })
      yield* api.delete(Pods, { namespace: "shop", name: "a" })
      assert.deepStrictEqual((yield* server.asked).map((asked) => asked.body), [
        {
          apiVersion: "v1",
          kind: "DeleteOptions",
          gracePeriodSeconds: 0,
          preconditions: { uid: "u", resourceVersion: "4" }
        },
        { apiVersion: "v1", kind: "DeleteOptions" }
      ])
    }).pipe(Effect.provide(world())))

  it.effect("creates objects where they belong, and things below other objects in their own group", () =>
    Effect.gen(function*() {
      const server = yield* ScriptedServer
      const api = yield* KubeApi
      yield* server.behave(({ body }) => Effect.succeed(json(body, 201)))
      yield* api.create(Leases, { metadata: { name: "n", namespace: "kube-node-lease" } })
      yield* api.create(ServiceAccounts, { metadata: { generateName: "sa-", namespace: "shop" } })
      yield* api.create(
        TokenRequests,
        { metadata: { name: "default", namespace: "shop" }, spec: { audiences: [] } },
        { subresource: "token" }
      )
      yield* server.behave(() => Effect.succeed(json({ kind: "Status", metadata: {}, status: "Success" }, 201)))
      const binding = {
        kind: "Binding",
        apiVersion: "v1",
        metadata: { name: "p", namespace: "shop" },
        target: { name: "n" }
      }
      const bound = yield* api.create(
        { ...ConfigMaps, kind: "Binding", plural: "pods" },
        binding,
        { subresource: "binding" }
      )
      assert.strictEqual(bound, binding)
      assert.deepStrictEqual(
        (yield* server.asked).map(({ body, method, path }) => {
          const { apiVersion, kind } = body as Record<string, unknown>
          return `${method} ${path} ${String(apiVersion)} ${String(kind)}`
        }),
        [
          "POST /apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases coordination.k8s.io/v1 Lease",
          "POST /api/v1/namespaces/shop/serviceaccounts v1 ServiceAccount",
          "POST /api/v1/namespaces/shop/serviceaccounts/default/token authentication.k8s.io/v1 TokenRequest",
          "POST /api/v1/namespaces/shop/pods/p/binding v1 Binding"
        ]
      )
    }).pipe(Effect.provide(world())))

  it.effect("refuses to ask for a thing without name or namespace, which would mean another thing", () =>
    Effect.gen(function*() {
      const server = yield* ScriptedServer
      const api = yield* KubeApi
      const attempts: ReadonlyArray<Effect.Effect<unknown, { readonly reason: string }>> = [
        api.delete(Pods, { namespace: "shop", name: "" }),
        api.delete(Pods, { name: "a" }),
        api.create(Pods, { metadata: { name: "a" }, spec: { containers: [] } }),
        api.replace(Nodes, { metadata: {} })
      ]
      for (const attempt of attempts) assert.strictEqual((yield* Effect.flip(attempt)).reason, "BadRequest")
      assert.deepStrictEqual(yield* server.diary, [])
    }).pipe(Effect.provide(world())))

  it.effect("keeps only so many requests in flight", () =>
    Effect.gen(function*() {
      const server = yield* ScriptedServer
      const api = yield* KubeApi
      yield* server.behave(() => Effect.delay(Effect.succeed(json({ metadata: { name: "n" } })), "1 second"))
      const fiber = yield* Effect.forkChild(
        Effect.forEach(Array.from({ length: 10 }), () => api.get(Nodes, { name: "n" }), { concurrency: "unbounded" })
      )
      yield* TestClock.adjust("3 seconds")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 second")
      assert.isTrue(Exit.isSuccess(yield* Fiber.await(fiber)))
      assert.strictEqual(yield* server.mostAtOnce, 3)
    }).pipe(Effect.provide(world({ concurrency: 3 }))))

  it.effect("an interrupted request frees its turn", () =>
    Effect.gen(function*() {
      const server = yield* ScriptedServer
      const api = yield* KubeApi
      yield* server.behave(() => Effect.never)
      const fiber = yield* Effect.forkChild(api.get(Nodes, { name: "n" }), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(fiber)
      yield* server.behave(() => Effect.succeed(json({ metadata: { name: "n" } })))
      const found = yield* api.get(Nodes, { name: "n" }).pipe(Effect.timeoutOption(Duration.seconds(1)))
      assert.strictEqual(found._tag, "Some")
    }).pipe(Effect.provide(world({ concurrency: 1 }))))

  it.effect("tells the keeper of the identity when the server refused it", () =>
    Effect.gen(function*() {
      const told: Array<unknown> = []
      const identity = { authorization: "Bearer old" }
      const config = Layer.succeed(
        KubeClientConfig,
        KubeClientConfig.of({
          server: "https://api.test",
          identity: Effect.succeed(identity),
          identityRefused: (refused) => Effect.sync(() => void told.push(refused))
        })
      )
      yield* Effect.gen(function*() {
        const server = yield* ScriptedServer
        const api = yield* KubeApi
        yield* server.behave(() => Effect.succeed(status(401, "Unauthorized")))
        yield* Effect.flip(api.get(Nodes, { name: "n" }))
        yield* api.observe(Nodes).pipe(Stream.runDrain, Effect.forkChild)
        yield* TestClock.adjust("1 milli")
      }).pipe(Effect.provide(KubeClient.layer.pipe(Layer.provideMerge(layerServer), Layer.provide(config))))
      assert.lengthOf(told, 2)
      for (const refused of told) assert.strictEqual(refused, identity)
    }))
})

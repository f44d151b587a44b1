import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Authenticator } from "../../../core/kubelet/Authenticator.ts"
import { Authorizer } from "../../../core/kubelet/Authorizer.ts"
import type { KubeletAnswer } from "../../../core/kubelet/KubeletAnswer.ts"
import { type Asked, KubeletApi } from "../../../core/kubelet/KubeletApi.ts"
import { RuntimeError } from "../../../core/pod/ContainerRuntime.ts"
import { PodStreamError } from "../../../core/pod/PodRuntime.ts"
import { FakeKubeletBackend, podWith } from "../../fakes/FakeKubeletBackend.ts"
import { FakeReviews } from "../../fakes/FakeReviews.ts"

const world = KubeletApi.layer.pipe(
  Layer.provide([Authenticator.layer, Authorizer.layer]),
  Layer.provideMerge(Layer.merge(FakeReviews.layer, FakeKubeletBackend.layer))
)

const apiserver = { commonName: "kube-apiserver", organizations: ["masters"] }
const running = { running: { startedAt: "2026-11-21T00:00:00Z" } }

const ask = (method: string, target: string, more: Partial<Asked> = {}) => {
  const [path = "", query = ""] = target.split("?")
  return KubeletApi.use((api) =>
    api.answer({
      method,
      path,
      query: [...new URLSearchParams(query)],
      credentials: { certificate: apiserver, authorization: undefined },
      upgrade: false,
      forwardedUri: undefined,
      listenerNode: undefined,
      ...more
    })
  )
}
const bearer = (token: string) => ({ credentials: { certificate: undefined, authorization: `Bearer ${token}` } })
const nobody = { credentials: { certificate: undefined, authorization: undefined } }

const spoken = (answer: KubeletAnswer) => {
  if (answer._tag === "Text") return Effect.succeed(`${answer.status} ${answer.text}`)
  if (answer._tag !== "Bytes") return Effect.succeed(`101 ${answer._tag}`)
  return answer.bytes.pipe(
    Stream.runCollect,
    Effect.map((all) => `200 ${all.map((bytes) => new TextDecoder().decode(bytes)).join("|")}`),
    Effect.catch((error) => Effect.succeed(`broken off: ${error.message}`))
  )
}
const said = (method: string, target: string, more?: Partial<Asked>) =>
  Effect.flatMap(ask(method, target, more), spoken)

/** The API server may do everything on every node; two nodes with a pod each. */
const prepared = Effect.gen(function*() {
  const reviews = yield* FakeReviews
  const backend = yield* FakeKubeletBackend
  for (const verb of ["get", "create"]) {
    for (const subresource of ["proxy", "stats", "metrics", "log", "checkpoint"]) {
      yield* reviews.allow(`kube-apiserver ${verb} ${subresource}`)
    }
  }
  yield* backend.add("edge-1", podWith("web", running))
  yield* backend.add("edge-2", podWith("other", running))
  return { reviews, backend }
})

const text = (...lines: ReadonlyArray<string>) =>
  Stream.fromIterable(lines.map((line) => new TextEncoder().encode(line)))
const chunks = (...lines: ReadonlyArray<string>) => () => text(...lines)

describe("KubeletApi", () => {
  const paths = [
    ["GET", "/containerLogs/shop/web/main", "get", "proxy"],
    ["GET", "/exec/shop/web/main", "create", "proxy"],
    ["POST", "/attach/shop/web/main", "create", "proxy"],
    ["GET", "/portForward/shop/web", "create", "proxy"],
    ["POST", "/run/shop/web/main", "create", "proxy"],
    ["POST", "/checkpoint/shop/web/main", "create", "checkpoint"],
    ["GET", "/metrics/nodes/edge-1/pods", "get", "pods proxy"],
    ["GET", "/metrics/nodes/edge-1/metrics/resource", "get", "metrics"],
    ["GET", "/metrics/nodes/edge-1/stats/summary", "get", "stats"],
    ["GET", "/healthz", "get", "healthz proxy"],
    ["GET", "/nowhere", "get", "proxy"]
  ] as const

  it.effect.each(paths)(
    "%s %s lets nobody in without a proven identity and the right",
    ([method, path, verb, sub]) =>
      Effect.gen(function*() {
        const { reviews, backend } = yield* prepared
        yield* reviews.enroll("reader", "eve")
        assert.strictEqual(yield* said(method, path, nobody), "401 Unauthorized")
        assert.strictEqual(yield* said(method, path, bearer("guess")), "401 Unauthorized")
        assert.strictEqual(
          yield* said(method, path, { credentials: { certificate: undefined, authorization: "Basic cm9vdDpyb290" } }),
          "401 Unauthorized"
        )
        assert.strictEqual(
          yield* said(method, path, bearer("reader")),
          `403 Forbidden (user=eve, verb=${verb}, resource=nodes, subresource(s)=[${sub}])`
        )
        assert.deepStrictEqual(yield* backend.diary, [])
        const allowed = yield* said(method, path)
        assert.notMatch(allowed, /^40[13]/)
        // The same right on another node is none here.
        const right = `${verb} ${sub.split(" ").at(-1)}`
        yield* reviews.enroll("neighbour", "bob")
        yield* reviews.allow(`bob ${right} edge-2`)
        assert.match(yield* said(method, path, bearer("neighbour")), /^403/)
        yield* reviews.enroll("local", "ann")
        yield* reviews.allow(`ann ${right} edge-1`)
        const local = yield* said(method, path, bearer("local"))
        // Paths that name no node need the right on all of them.
        if (path === "/healthz" || path === "/nowhere") assert.match(local, /^403/)
        else assert.strictEqual(local, allowed)
      }).pipe(Effect.scoped, Effect.provide(world))
  )

  it.effect("whoever may only read cannot run commands by asking with GET", () =>
    Effect.gen(function*() {
      const { reviews } = yield* prepared
      yield* reviews.enroll("reader", "eve")
      yield* reviews.allow("eve get proxy")
      assert.match(yield* said("GET", "/containerLogs/shop/web/main", bearer("reader")), /^200/)
      for (
        const path of ["/exec/shop/web/main", "/attach/shop/web/main", "/run/shop/web/main", "/portForward/shop/web"]
      ) {
        assert.match(yield* said("GET", path, { ...bearer("reader"), upgrade: true }), /^403/)
      }
    }).pipe(Effect.scoped, Effect.provide(world)))

  it.effect("tries the fine right first, then nodes/proxy, and remembers both for their time", () =>
    Effect.gen(function*() {
      const { reviews } = yield* prepared
      yield* reviews.enroll("scraper", "eve")
      yield* reviews.allow("eve get proxy edge-1")
      const once = said("GET", "/metrics/nodes/edge-1/pods", bearer("scraper"))
      const asked = ["token of eve", "eve get pods edge-1", "eve get proxy edge-1"]
      assert.match(yield* once, /^200/)
      assert.match(yield* once, /^200/)
      assert.deepStrictEqual(yield* reviews.diary, asked)
      yield* TestClock.adjust("31 seconds")
      yield* once
      assert.deepStrictEqual(yield* reviews.diary, [...asked, "eve get pods edge-1"])
      yield* TestClock.adjust("2 minutes")
      yield* once
      assert.deepStrictEqual((yield* reviews.diary).slice(4), ["token of eve", "eve get pods edge-1"])
      yield* TestClock.adjust("3 minutes")
      yield* once
      assert.deepStrictEqual((yield* reviews.diary).slice(6), [
        "token of eve",
        "eve get pods edge-1",
        "eve get proxy edge-1"
      ])
    }).pipe(Effect.scoped, Effect.provide(world)))

  it.effect("lets nobody in while the API server cannot be asked, and says why", () =>
    Effect.gen(function*() {
      const { reviews } = yield* prepared
      yield* reviews.fail(true)
      assert.match(
        yield* said("GET", "/pods", bearer("secret-token")),
        /^500 the bearer token could not be checked: .*down/
      )
      assert.match(
        yield* said("GET", "/pods"),
        /^500 Authorization error \(user=kube-apiserver, verb=get, resource=nodes/
      )
      assert.notInclude(yield* said("GET", "/pods", bearer("secret-token")), "secret-token")
      yield* reviews.fail(false)
      yield* reviews.enroll("secret-token", "eve")
      yield* reviews.allow("eve get pods")
      assert.match(yield* said("GET", "/pods", bearer("secret-token")), /^404 which node/)
    }).pipe(Effect.scoped, Effect.provide(world)))

  it.effect("does not look at a token that is absurdly long", () =>
    Effect.gen(function*() {
      const { reviews } = yield* prepared
      assert.strictEqual(yield* said("GET", "/pods", bearer("x".repeat(20_000))), "401 Unauthorized")
      assert.deepStrictEqual(yield* reviews.diary, [])
    }).pipe(Effect.scoped, Effect.provide(world)))

  it.effect("finds the node by the pod, by the path, by the node proxy's header and by the listener", () =>
    Effect.gen(function*() {
      yield* prepared
      const metrics = `200 resource_scrape_error{node="edge-2"} 0\n`
      const forwardedUri = "/api/v1/nodes/edge-2/proxy/metrics/resource"
      assert.strictEqual(yield* said("GET", "/metrics/nodes/edge-2/metrics/resource"), metrics)
      assert.strictEqual(yield* said("GET", "/metrics/resource", { forwardedUri }), metrics)
      assert.strictEqual(yield* said("GET", "/metrics/resource", { listenerNode: "edge-2" }), metrics)
      assert.match(
        yield* said("GET", "/metrics/resource"),
        /^404 which node\? .*\/metrics\/nodes\/NAME\/metrics\/resource/
      )
      assert.match(
        yield* said("GET", "/metrics/nodes/edge-9/metrics/resource"),
        /^404 node "edge-9" is not served here/
      )
      assert.match(yield* said("GET", "/metrics/resource", { forwardedUri, upgrade: true }), /^404 which/)
      assert.match(yield* said("GET", "/metrics/resource", { forwardedUri, listenerNode: "edge-1" }), /^404 which/)
    }).pipe(Effect.scoped, Effect.provide(world)))

  it.effect("a token's bearer cannot choose the node by the header of the node proxy", () =>
    Effect.gen(function*() {
      const { reviews } = yield* prepared
      yield* reviews.enroll("t", "eve")
      yield* reviews.allow("eve get metrics edge-2")
      const forwardedUri = "/api/v1/nodes/edge-2/proxy/metrics/resource"
      assert.match(yield* said("GET", "/metrics/resource", { ...bearer("t"), forwardedUri }), /^403/)
    }).pipe(Effect.scoped, Effect.provide(world)))

  it.effect("the right to one node, used through the node proxy or its own listener, opens no pod of another", () =>
    Effect.gen(function*() {
      const { backend } = yield* prepared
      const path = "/containerLogs/shop/web/main"
      assert.match(yield* said("GET", path, { forwardedUri: `/api/v1/nodes/edge-1/proxy${path}` }), /^200/)
      assert.match(yield* said("GET", path, { forwardedUri: `/api/v1/nodes/edge-2/proxy${path}` }), /^400 pod "web"/)
      assert.match(yield* said("GET", path, { listenerNode: "edge-2" }), /^400 pod "web"/)
      assert.strictEqual((yield* backend.diary).filter((entry) => entry.startsWith("logs of")).length, 1)
    }).pipe(Effect.scoped, Effect.provide(world)))

  it.effect("says in order: the options, the pod, the container, its state", () =>
    Effect.gen(function*() {
      const { backend } = yield* prepared
      yield* backend.add("edge-1", podWith("new", { waiting: { reason: "ContainerCreating" } }))
      const logs = (rest: string) => said("GET", `/containerLogs/shop/${rest}`)
      assert.strictEqual(
        yield* logs("none/none?tailLines=-1"),
        "422 invalid log options: tailLines must be greater than or equal to 0"
      )
      assert.strictEqual(yield* logs("none/none?tailLines=x"), "400 unable to decode query: tailLines=x")
      assert.strictEqual(yield* logs("none/none"), `400 pod "none" does not exist`)
      assert.strictEqual(yield* logs("new/none"), `400 container "none" not found in pod "new"`)
      assert.strictEqual(
        yield* logs("new/main"),
        `400 container "main" in pod "new" is waiting to start: ContainerCreating`
      )
      assert.strictEqual(yield* said("POST", "/containerLogs/shop/web/main"), "405 Method Not Allowed")
      assert.deepStrictEqual(yield* backend.diary, [])
    }).pipe(Effect.scoped, Effect.provide(world)))

  it.effect("streams what the device sends, and passes on what was asked for", () =>
    Effect.gen(function*() {
      const { backend } = yield* prepared
      yield* backend.log(chunks("", "one\n", "two\n"))
      assert.strictEqual(yield* said("GET", "/containerLogs/shop/web/main?follow=true&tailLines=3"), "200 |one\n|two\n")
      assert.deepStrictEqual(yield* backend.diary, [
        `logs of uid-web on edge-1: {"container":"main","follow":true,"previous":false,"timestamps":false,"tailLines":3}`,
        "logs closed: Success"
      ])
    }).pipe(Effect.scoped, Effect.provide(world)))

  it.effect.each(
    [
      [new PodStreamError({ reason: "NotReady", detail: "it waits" }), "400 it waits"],
      [new PodStreamError({ reason: "Refused", detail: "switched off" }), "400 switched off"],
      [new PodStreamError({ reason: "NotFound", detail: "no such pod" }), "400 no such pod"],
      [new PodStreamError({ reason: "Failed", detail: "disk on fire" }), "500 disk on fire"],
      [new RuntimeError({ reason: "Unavailable", detail: "edge-1 is not connected" }), "500 edge-1 is not connected"]
    ] as const
  )("answers %s before the first byte with a status that shows its words", ([error, answer]) =>
    Effect.gen(function*() {
      const { backend } = yield* prepared
      yield* backend.log(() => Stream.fail(error))
      assert.strictEqual(yield* said("GET", "/containerLogs/shop/web/main"), answer)
    }).pipe(Effect.scoped, Effect.provide(world)))

  it.effect.each(
    [
      ["one\n", "aranya: link lost\n"],
      ["half a l", "\naranya: link lost\n"]
    ] as const
  )(
    "breaks off when the device is lost in the middle, after a line of its own that says so",
    ([before, last]) =>
      Effect.gen(function*() {
        const { backend } = yield* prepared
        yield* backend.log(() =>
          Stream.concat(text(before), Stream.fail(new RuntimeError({ reason: "Unavailable", detail: "link lost" })))
        )
        const answer = yield* ask("GET", "/containerLogs/shop/web/main")
        const read: Array<string> = []
        const reading = yield* Effect.forkChild(
          spoken(
            answer._tag !== "Bytes" ? answer : {
              ...answer,
              bytes: Stream.tap(answer.bytes, (bytes) => Effect.sync(() => read.push(new TextDecoder().decode(bytes))))
            }
          )
        )
        yield* TestClock.adjust("200 millis")
        assert.deepStrictEqual(read, [before, last])
        assert.isUndefined(reading.pollUnsafe(), "what was said last is given time to be read")
        yield* TestClock.adjust("1 second")
        assert.match(yield* Fiber.join(reading), /^broken off: .*link lost/)
      }).pipe(Effect.scoped, Effect.provide(world))
  )

  it.effect("sends headers after a while even if the device has said nothing, and nothing is lost", () =>
    Effect.gen(function*() {
      const { backend } = yield* prepared
      yield* backend.log(() => Stream.concat(Stream.fromEffectDrain(Effect.sleep("1 minute")), text("late\n")))
      const fiber = yield* Effect.forkChild(ask("GET", "/containerLogs/shop/web/main"))
      yield* TestClock.adjust("9 seconds")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 second")
      const answer = yield* Fiber.join(fiber)
      const words = yield* Effect.forkChild(spoken(answer))
      yield* TestClock.adjust("50 seconds")
      assert.strictEqual(yield* Fiber.join(words), "200 |late\n")
    }).pipe(Effect.scoped, Effect.provide(world)))

  it.effect("closes the device's stream when the caller goes away", () =>
    Effect.gen(function*() {
      const { backend } = yield* prepared
      yield* backend.log(() => Stream.concat(text("one\n"), Stream.never))
      yield* Effect.scoped(Effect.gen(function*() {
        const answer = yield* ask("GET", "/containerLogs/shop/web/main?follow=true")
        assert.strictEqual(answer._tag, "Bytes")
        if (answer._tag === "Bytes") yield* Stream.runDrain(Stream.take(answer.bytes, 1))
      }))
      assert.include((yield* backend.diary).at(-1), "logs closed")
    }).pipe(Effect.provide(world)))

  it.effect("upgrades for exec, attach and port-forward once the request makes sense", () =>
    Effect.gen(function*() {
      yield* prepared
      const up = { upgrade: true }
      const cases: ReadonlyArray<readonly [path: string, answer: string]> = [
        ["/exec/shop/web/main?command=sh&output=1", "101 Process"],
        ["/exec/shop/web/main?command=sh", "400 you must specify at least 1 of stdin, stdout, stderr"],
        ["/exec/shop/web/main?output=1", "400 a command to run must be given"],
        ["/exec/shop/web/none?command=sh&output=1", `404 container "none" not found in pod "web"`],
        ["/attach/shop/web/main?output=1", "101 Process"],
        ["/attach/shop/gone/main?output=1", `404 pod "gone" does not exist`],
        ["/portForward/shop/web", "101 Forward"],
        ["/portForward/shop/web?port=80,8080", "101 Forward"],
        ["/portForward/shop/web?port=0", "400 invalid port 0: 1 to 65535 is expected"],
        ["/portForward/shop/web?port=http", "400 invalid port http: 1 to 65535 is expected"]
      ]
      for (const [path, answer] of cases) {
        assert.strictEqual(yield* said("POST", path, up), answer, path)
        assert.strictEqual(yield* said("GET", path, up), answer, `WebSockets come by GET: ${path}`)
      }
      assert.strictEqual(
        yield* said("POST", "/exec/shop/web/main?command=sh&output=1"),
        "400 this is for clients that upgrade the connection, as kubectl does"
      )
    }).pipe(Effect.scoped, Effect.provide(world)))

  it.effect("tells what is not supported yet in words that kubectl shows", () =>
    Effect.gen(function*() {
      yield* prepared
      assert.match(
        yield* said("POST", "/checkpoint/shop/web/main"),
        /^400 containers on edge devices cannot be checkpointed/
      )
      assert.strictEqual(yield* said("POST", "/exec/shop/web/another-uid/main"), `404 pod "web" does not exist`)
      assert.match(yield* said("GET", "/logs/"), /^404 which node\?/)
      assert.match(
        yield* said("GET", "/metrics/nodes/edge-1/logs/?query=kubelet"),
        /^400 .*"message":"query: the logs of a device's services cannot be asked for; \/logs\/ lists the files/
      )
      assert.match(
        yield* said("GET", "/metrics/nodes/edge-1/configz"),
        /^404 this version does not serve configuration/
      )
      assert.match(yield* said("GET", "/metrics/nodes/edge-1/runningpods/"), /^404/)
    }).pipe(Effect.scoped, Effect.provide(world)))

  it.effect("serves the node's own pods, summary, metrics and health", () =>
    Effect.gen(function*() {
      yield* prepared
      const pods = yield* said("GET", "/metrics/nodes/edge-1/pods")
      const list = JSON.parse(pods.slice(4)) as { kind: string; items: ReadonlyArray<{ metadata: { name: string } }> }
      assert.deepStrictEqual([list.kind, list.items.map(({ metadata }) => metadata.name)], ["PodList", ["web"]])
      assert.strictEqual(
        yield* said("POST", "/metrics/nodes/edge-1/stats/summary"),
        `200 {"node":{"nodeName":"edge-1"},"pods":[]}`
      )
      assert.strictEqual(yield* said("GET", "/healthz/ping"), "200 ok")
      assert.strictEqual(yield* said("POST", "/metrics/nodes/edge-1/metrics/resource"), "405 Method Not Allowed")
      for (const page of ["", "/resource", "/cadvisor", "/probes"]) {
        const name = page.slice(1)
        assert.strictEqual(
          yield* said("GET", `/metrics/nodes/edge-1/metrics${page}`),
          `200 ${name}_scrape_error{node="edge-1"} 0\n`
        )
      }
      assert.strictEqual(
        yield* said("GET", "/metrics/nodes/edge-1/metrics/slis"),
        "404 this version does not serve slis metrics"
      )
    }).pipe(Effect.scoped, Effect.provide(world)))
})

/** The in-memory door: the shipped client works through it, and its faults are what a bad network does. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Ref, Stream } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import { TestClock } from "effect/testing"
import type { ControlPlane } from "../../../../adapters/kube/plane/ControlPlane.ts"
import { type Fault, Faults, noFault, refuse } from "../../../../adapters/kube/plane/memory/Faults.ts"
import { layerMemoryClient } from "../../../../adapters/kube/plane/memory/layerMemoryClient.ts"
import { admin, ask, planeLayer } from "./asking.ts"

const world = (fault: Ref.Ref<Fault>): Layer.Layer<HttpClient.HttpClient | ControlPlane> =>
  layerMemoryClient(admin).pipe(
    Layer.provide(Layer.succeed(Faults, () => Ref.get(fault))),
    Layer.provideMerge(planeLayer())
  )

const maps = "http://plane/api/v1/namespaces/default/configmaps"
const create = (name: string) =>
  HttpClientRequest.post(maps).pipe(
    HttpClientRequest.bodyJsonUnsafe({ apiVersion: "v1", kind: "ConfigMap", metadata: { name } }),
    HttpClient.execute
  )

const inWorld = <A, E>(test: (fault: Ref.Ref<Fault>) => Effect.Effect<A, E, HttpClient.HttpClient | ControlPlane>) =>
  Effect.gen(function*() {
    const fault = yield* Ref.make(noFault)
    return yield* test(fault).pipe(Effect.provide(world(fault)))
  })

describe("the in-memory client", () => {
  it.effect("speaks to the API like any HttpClient", () =>
    inWorld(() =>
      Effect.gen(function*() {
        assert.strictEqual((yield* create("a")).status, 201)
        assert.strictEqual((yield* create("a")).status, 409)
        const listed = yield* Effect.flatMap(HttpClient.get(maps), (response) => response.json)
        assert.include(JSON.stringify(listed), "\"name\":\"a\"")
      })
    ))

  it.effect("delays, refuses and drops as it is told", () =>
    inWorld((fault) =>
      Effect.gen(function*() {
        yield* Ref.set(fault, { delay: "5 seconds" })
        const late = yield* Effect.forkChild(create("late"))
        yield* TestClock.adjust("4 seconds")
        assert.isUndefined(late.pollUnsafe())
        yield* TestClock.adjust("1 second")
        assert.isDefined(late.pollUnsafe())
        yield* Ref.set(fault, { answer: refuse(429, "TooManyRequests", "slow down", 3) })
        const refused = yield* create("b")
        assert.deepStrictEqual([refused.status, refused.headers["retry-after"]], [429, "3"])
        yield* Ref.set(fault, { refuseConnection: true })
        assert.strictEqual((yield* Effect.flip(create("b"))).reason._tag, "TransportError")
        yield* Ref.set(fault, { loseAnswer: true })
        assert.strictEqual((yield* Effect.flip(create("b"))).reason._tag, "TransportError")
        assert.strictEqual((yield* ask("GET", "/api/v1/namespaces/default/configmaps/b")).status, 200)
      })
    ))

  it.effect("cuts watches and serves the past", () =>
    inWorld((fault) =>
      Effect.gen(function*() {
        yield* create("a")
        yield* create("b")
        yield* Ref.set(fault, { cutWatchAfter: 2 })
        const watch = yield* HttpClient.get(`${maps}?watch=true`)
        assert.strictEqual((yield* Stream.runCollect(watch.stream)).length, 2)
        yield* Ref.set(fault, { cutWatchAfter: 1, cutAbruptly: true })
        const broken = yield* HttpClient.get(`${maps}?watch=true`)
        assert.strictEqual((yield* Effect.flip(Stream.runCollect(broken.stream))).reason._tag, "DecodeError")
        yield* Ref.set(fault, { staleBy: 1 })
        assert.strictEqual((yield* HttpClient.get(`${maps}/a`)).status, 200)
        assert.strictEqual((yield* HttpClient.get(`${maps}/b`)).status, 404)
      })
    ))
})

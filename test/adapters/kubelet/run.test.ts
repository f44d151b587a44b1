import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Stream } from "effect"
import type { ProcessStreams } from "../../../core/pod/ContainerRuntime.ts"
import { FakeKubeletBackend, podWith } from "../../fakes/FakeKubeletBackend.ts"
import { FakeReviews } from "../../fakes/FakeReviews.ts"
import { anonymous, door, open, said } from "./door.ts"

const form = { "content-type": "application/x-www-form-urlencoded" }
const path = "/run/shop/web/main"

const prepared = Effect.gen(function*() {
  yield* FakeReviews.use((reviews) => reviews.allow("kube-apiserver create proxy"))
  const backend = yield* FakeKubeletBackend
  yield* backend.add("edge-1", podWith("web", { running: {} }))
  yield* backend.exec((_, __, { command }) =>
    Effect.succeed<ProcessStreams>({
      stdin: () => Effect.void,
      endStdin: Effect.void,
      resize: () => Effect.void,
      output: Stream.make({ stream: "stdout", bytes: new TextEncoder().encode(command.join("|")) }),
      exitCode: Effect.succeed(0)
    })
  )
  return backend
})

describe("/run of the kubelet API's listener", () => {
  it.live("takes its command from a form as well as from the query", () =>
    Effect.gen(function*() {
      yield* prepared
      assert.strictEqual(yield* said(`${path}?cmd=uname%20-a`, { method: "POST" }), "200 uname|-a")
      assert.strictEqual(yield* said(path, { method: "POST", headers: form, body: "cmd=uname+-r" }), "200 uname|-r")
      // Nobody said that this is a form.
      assert.match(yield* said(path, { method: "POST", body: "cmd=uname" }), /^400 a command to run must be given/)
    }).pipe(Effect.provide(door())))

  it.live("reads no form of a stranger, nor one beyond its limit", () =>
    Effect.gen(function*() {
      const backend = yield* prepared
      const asked = { method: "POST", headers: form, body: `cmd=${"x".repeat(100_000)}` }
      assert.strictEqual(yield* said(path, asked), "400 the form cannot be read: at most 64 KiB")
      assert.strictEqual(yield* said(path, { ...asked, body: "cmd=ls", ...anonymous }), "401 Unauthorized")
      // A caller who never sends what it announced is not waited for before it is known who it is.
      const announced = { method: "POST", headers: { ...form, "content-length": "100" }, body: "cmd=ls", ...anonymous }
      assert.match(yield* said(path, announced), /^401/)
      assert.deepStrictEqual(yield* backend.diary, [])
    }).pipe(Effect.provide(door())))

  it.live("ends the command of a caller who leaves", () =>
    Effect.gen(function*() {
      const backend = yield* prepared
      const running = yield* Deferred.make<void>()
      const ended = yield* Deferred.make<void>()
      yield* backend.exec(() =>
        Effect.gen(function*() {
          yield* Effect.addFinalizer(() => Deferred.succeed(ended, undefined))
          yield* Deferred.succeed(running, undefined)
          return yield* Effect.never
        })
      )
      yield* Effect.raceFirst(Effect.exit(open(`${path}?cmd=sleep`, { method: "POST" })), Deferred.await(running))
      yield* Deferred.await(ended)
    }).pipe(Effect.provide(door())))
})

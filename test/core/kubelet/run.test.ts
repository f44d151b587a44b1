import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Stream } from "effect"
import { Authenticator } from "../../../core/kubelet/Authenticator.ts"
import { Authorizer } from "../../../core/kubelet/Authorizer.ts"
import { type Asked, KubeletApi } from "../../../core/kubelet/KubeletApi.ts"
import type { Output, ProcessStreams } from "../../../core/pod/ContainerRuntime.ts"
import { PodStreamError } from "../../../core/pod/PodRuntime.ts"
import { FakeKubeletBackend, podWith } from "../../fakes/FakeKubeletBackend.ts"
import { FakeReviews } from "../../fakes/FakeReviews.ts"

const world = KubeletApi.layer.pipe(
  Layer.provide([Authenticator.layer, Authorizer.layer]),
  Layer.provideMerge(Layer.merge(FakeReviews.layer, FakeKubeletBackend.layer))
)

const prepared = Effect.gen(function*() {
  yield* FakeReviews.use((reviews) => reviews.allow("admin create proxy"))
  const backend = yield* FakeKubeletBackend
  yield* backend.add("edge-1", podWith("web", { running: {} }))
  return backend
})

const said = Effect.fnUntraced(function*(target: string, more: Partial<Asked> = {}) {
  const [path = "", query = ""] = target.split("?")
  const answer = yield* KubeletApi.use((api) =>
    api.answer({
      method: "POST",
      path,
      query: [...new URLSearchParams(query)],
      credentials: { certificate: { commonName: "admin", organizations: [] }, authorization: undefined },
      upgrade: false,
      forwardedUri: undefined,
      listenerNode: undefined,
      ...more
    })
  )
  if (answer._tag === "Text") return `${answer.status} ${answer.text}`
  if (answer._tag !== "Bytes") return answer._tag
  const pieces = yield* Effect.orDie(Stream.runCollect(answer.bytes))
  return `200 ${pieces.map((bytes) => new TextDecoder().decode(bytes)).join("")}`
}, Effect.scoped)

const form = (text: string) => ({ form: Effect.succeed([...new URLSearchParams(text)]) })

/** Writes what it is told to, and ends with a code. */
const ends = (code: number, ...output: ReadonlyArray<readonly [Output["stream"], string]>): ProcessStreams => ({
  stdin: () => Effect.die("run gives no input"),
  endStdin: Effect.void,
  resize: () => Effect.void,
  output: Stream.fromIterable(
    output.map(([stream, text]) => ({ stream, bytes: new TextEncoder().encode(text) }))
  ),
  exitCode: Effect.succeed(code)
})

describe("/run", () => {
  it.effect("answers both outputs in their order; cmd comes in the form or the query, split at blanks", () =>
    Effect.gen(function*() {
      const backend = yield* prepared
      yield* backend.exec(() => Effect.succeed(ends(0, ["stdout", "one\n"], ["stderr", "two\n"], ["stdout", "three"])))
      assert.strictEqual(yield* said("/run/shop/web/main?cmd=ls%20-l++/tmp"), "200 one\ntwo\nthree")
      assert.strictEqual(yield* said("/run/shop/web/uid-web/main?cmd=ls", form("cmd=uname -a")), "200 one\ntwo\nthree")
      yield* said("/run/shop/web/main?command=sh&command=-c&command=echo%20a%20b")
      const asked = (command: ReadonlyArray<string>) =>
        `exec in main of uid-web on edge-1: ${
          JSON.stringify({ command, stdin: false, stdout: true, stderr: true, tty: false })
        }`
      assert.deepStrictEqual(yield* backend.diary, [
        asked(["ls", "-l", "/tmp"]),
        asked(["uname", "-a"]),
        asked(["sh", "-c", "echo a b"])
      ])
    }).pipe(Effect.provide(world)))

  it.effect("tells how a command failed, after its output, with a status that shows it", () =>
    Effect.gen(function*() {
      const backend = yield* prepared
      yield* backend.exec(() => Effect.succeed(ends(3, ["stderr", "no such thing\n"])))
      assert.strictEqual(
        yield* said("/run/shop/web/main?cmd=cat+x"),
        "500 command 'cat x' exited with 3: no such thing\n"
      )
      yield* backend.exec(() => Effect.fail(new PodStreamError({ reason: "Refused", detail: "exec is switched off" })))
      assert.strictEqual(yield* said("/run/shop/web/main?cmd=ls"), "500 exec is switched off")
    }).pipe(Effect.provide(world)))

  it.effect("runs nothing where nothing was asked for, or not by POST", () =>
    Effect.gen(function*() {
      const backend = yield* prepared
      const none = "400 a command to run must be given: cmd, in the query or in a form"
      assert.strictEqual(yield* said("/run/shop/web/main"), none)
      assert.strictEqual(yield* said("/run/shop/web/main?cmd=+"), none)
      assert.strictEqual(yield* said("/run/shop/web/main?cmd=ls", { method: "GET" }), "405 Method Not Allowed")
      assert.strictEqual(yield* said("/run/shop/web/none?cmd=ls"), `404 container "none" not found in pod "web"`)
      assert.strictEqual(yield* said("/run/shop/gone/main?cmd=ls"), `404 pod "gone" does not exist`)
      assert.strictEqual(yield* said("/run/shop/web/other-uid/main?cmd=ls"), `404 pod "web" does not exist`)
      const unreadable = { form: Effect.fail(new PodStreamError({ reason: "Failed", detail: "a form of a mile" })) }
      assert.strictEqual(yield* said("/run/shop/web/main?cmd=ls", unreadable), "400 a form of a mile")
      assert.strictEqual(
        yield* said(`/run/shop/web/main?${"command=x&".repeat(5000)}`),
        "400 a command has at most 4096 words"
      )
      assert.deepStrictEqual(yield* backend.diary, [])
    }).pipe(Effect.provide(world)))

  it.effect("keeps a bounded output, ends what writes more, and takes so many at a time", () =>
    Effect.gen(function*() {
      const backend = yield* prepared
      const ended = yield* Deferred.make<void>()
      yield* backend.exec(() =>
        Effect.gen(function*() {
          yield* Effect.addFinalizer(() => Deferred.succeed(ended, undefined))
          const bytes = new Uint8Array(64 * 1024)
          return { ...ends(0), output: Stream.fromEffectRepeat(Effect.succeed({ stream: "stdout" as const, bytes })) }
        })
      )
      assert.strictEqual(
        yield* said("/run/shop/web/main?cmd=yes"),
        "500 the command was ended: it wrote more than 1048576 bytes; exec has no such limit"
      )
      yield* Deferred.await(ended)

      yield* backend.exec(() => Effect.never)
      const waiting = yield* Effect.forEach(
        Array.from({ length: 16 }),
        () => Effect.forkChild(said("/run/shop/web/main?cmd=sleep"), { startImmediately: true })
      )
      while ((yield* backend.diary).length < 17) yield* Effect.yieldNow
      assert.strictEqual(
        yield* said("/run/shop/web/main?cmd=ls"),
        "500 16 commands run already: ask again when one has ended, or use exec"
      )
      yield* Fiber.interruptAll(waiting)
      yield* backend.exec(() => Effect.succeed(ends(0, ["stdout", "free"])))
      assert.strictEqual(yield* said("/run/shop/web/main?cmd=ls"), "200 free")
    }).pipe(Effect.provide(world)))
})

/** How much a device may send before it is read. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect } from "effect"
import { listening } from "./listening.ts"
import { call, http2, type RawCall } from "./rawPeer.ts"

const mostOfStrangers = 65_535
const mostOfDevices = 256 * 1024

describe("the window of a gRPC connection", () => {
  it.live("is HTTP/2's own for strangers, and wider for all calls of a connection by which a device has proven its key", () =>
    Effect.gen(function*() {
      const prove = yield* Deferred.make<void>()
      const { port } = yield* listening({}, (connection) =>
        Deferred.await(prove).pipe(
          Effect.andThen(connection.proven ?? Effect.void),
          Effect.andThen(Effect.ignore(Effect.forever(connection.receive)))
        ))
      const session = yield* http2(port)
      const settings = Effect.callback<number | undefined>((resume) => {
        session.once("remoteSettings", ({ initialWindowSize }) => resume(Effect.succeed(initialWindowSize)))
      })
      const greeted = ({ stream }: RawCall) =>
        Effect.callback<void>((resume) => void stream.once("data", () => resume(Effect.void)))
      const calls = [call(session), call(session)]
      assert.strictEqual(yield* settings, mostOfStrangers)
      yield* Effect.forEach(calls, greeted, { concurrency: 2 })
      assert.strictEqual(session.state.remoteWindowSize, mostOfStrangers)
      yield* Deferred.succeed(prove, undefined)
      assert.strictEqual(yield* settings, mostOfDevices)
      let more = 0
      session.on("remoteSettings", () => more++)
      yield* Effect.callback<void>((resume) => void session.ping(() => resume(Effect.void)))
      assert.strictEqual(session.state.remoteWindowSize, mostOfDevices)
      assert.strictEqual(more, 0, "said once")
    }).pipe(Effect.scoped))
})

/** What a link must carry over every transport: requests, raw channels, and what `kubectl logs -f` reads of a pod. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, type Scope, Stream } from "effect"
import { NodeCryptography } from "../../adapters/crypto/NodeCryptography.ts"
import { podStreams } from "../../core/agent/podStreams.ts"
import type { Session } from "../../core/link/Session.ts"
import type { TransportError } from "../../core/link/Transport.ts"
import { PodRuntime } from "../../core/pod/PodRuntime.ts"
import { linkedBackend } from "../fakes/linkedBackend.ts"
import { deviceOn, operatorOn } from "./linked.ts"
import type { TransportUnderTest } from "./transport.ts"

const uid = "0b9a6f5e-4b1d-4c7e-9a53-5d0c6f1e2a3b"
const lines = 200
const line = (number: number) => `line ${number} of a pod that goes on talking\n`

/** A container that has talked, goes on talking while somebody listens, and ends. */
const talking = Layer.mock(PodRuntime, {
  logs: () =>
    Stream.concat(
      Stream.succeed(new Uint8Array()),
      Stream.range(1, lines).pipe(
        Stream.rechunk(1),
        Stream.mapEffect((number) =>
          Effect.as(number % 20 === 0 ? Effect.sleep("20 millis") : Effect.void, new TextEncoder().encode(line(number)))
        )
      )
    )
})

const handlers = Layer.build(talking).pipe(
  Effect.flatMap((context) => Effect.provideContext(podStreams, context)),
  Effect.map((onOpen) => ({
    onRequest: (message: Uint8Array) => Effect.succeed(message),
    onOpen: ((message, channel) =>
      // An opening of one byte is a raw channel's.
      message.length === 1
        ? Stream.runForEach(channel.messages, channel.send)
        : onOpen(message, channel)) as typeof onOpen
  })),
  Effect.scoped
)

const joined = (parts: ReadonlyArray<Uint8Array>) => Buffer.concat(parts)

export const linkContract = ({ make, name }: {
  readonly name: string
  readonly make: Effect.Effect<TransportUnderTest, TransportError, Scope.Scope>
}) => {
  const check = (
    what: string,
    body: (ends: { readonly operator: Session; readonly device: Session }) => Effect.Effect<void, unknown, Scope.Scope>
  ) =>
    it.live(what, () =>
      Effect.gen(function*() {
        const { acceptor, dialer } = yield* make
        const { served } = yield* operatorOn(acceptor)
        const device = yield* (yield* deviceOn("lamp", dialer, undefined, handlers)).session
        // Whoever asks first is there.
        yield* device.request(new Uint8Array(1))
        const operator = served.sessions.at(-1)
        if (operator === undefined) return assert.fail("the operator has no session")
        yield* body({ operator, device })
      }).pipe(Effect.scoped, Effect.provide(NodeCryptography.layer), Effect.timeout("50 seconds")))

  describe(`a link over the ${name} transport`, () => {
    check(
      "carries requests and raw channels both ways",
      ({ device, operator }) =>
        Effect.forEach([operator, device], (from) =>
          Effect.gen(function*() {
            const large = Uint8Array.from({ length: 100_000 }, (_, index) => (index * 31) % 251)
            assert.strictEqual(Buffer.compare(yield* from.request(large), large), 0)
            const messages = Array.from({ length: 20 }, (_, index) => large.subarray(index, index * 1000))
            const got = yield* Effect.scoped(Effect.gen(function*() {
              const channel = yield* from.open(Uint8Array.of(1))
              yield* Effect.forkScoped(
                Effect.andThen(Effect.forEach(messages, channel.send, { discard: true }), channel.end)
              )
              return yield* Stream.runCollect(channel.messages)
            }))
            assert.deepStrictEqual(got.map(({ length }) => length), messages.map(({ length }) => length))
            assert.strictEqual(Buffer.compare(joined(got), joined(messages)), 0)
          }), { discard: true })
    )

    check(
      "carries logs that are followed, each line once and in order, to their end",
      ({ operator }) =>
        Effect.gen(function*() {
          const backend = yield* linkedBackend(operator)
          const query = { container: "main", follow: true, previous: false, timestamps: false }
          const read = yield* Stream.runCollect(backend.logs({ node: "edge-1", uid }, query))
          assert.strictEqual(
            joined(read).toString(),
            Array.from({ length: lines }, (_, index) => line(index + 1)).join("")
          )
        })
    )
  })
}

/** Somebody with the operator's key who knows of no epoch, as from a stolen backup: says one below the device's own, and ends its pods. */
import { Context, Effect } from "effect"
import { Cryptography } from "../../core/link/Cryptography.ts"
import { Admission, Refused } from "../../core/link/Hello.ts"
import { LinkServer } from "../../core/link/LinkServer.ts"
import { SecureRandom } from "../../core/link/SecureRandom.ts"
import { type Handlers, LinkError, type Session } from "../../core/link/Session.ts"
import { Acceptors } from "../../core/link/Transport.ts"
import { askDevice } from "../../core/operator/askDevice.ts"
import { operatorPrivate, type SimulatedDevice } from "./World.ts"

const admission = Admission.of({
  challenge: () => Effect.succeed({ psk: undefined }),
  admit: ({ epoch }) =>
    epoch < 1
      ? Effect.fail(new Refused({ code: "Unavailable", detail: "there is nothing to be below" }))
      : Effect.succeed({ epoch: epoch - 1, lineage: new Uint8Array(32).fill(epoch) })
})

const deaf: Handlers = {
  onRequest: () => Effect.fail(new LinkError({ reason: "Refused", detail: "says nothing" })),
  onOpen: (_, channel) => channel.fail("says nothing")
}

const endAll = Effect.fnUntraced(function*(session: Session) {
  const held = yield* askDevice(session, { _tag: "ListHeld" })
  for (const { uid } of held._tag === "Held" ? held.pods : []) {
    yield* askDevice(session, { _tag: "RemovePod", uid, graceSeconds: 1 })
  }
})

export const makeGhost = Effect.gen(function*() {
  const crypto = yield* Cryptography
  const random = yield* SecureRandom
  return ({ transport }: SimulatedDevice): Effect.Effect<void> =>
    Effect.gen(function*() {
      const { run } = yield* LinkServer.make({
        privateKey: operatorPrivate,
        operatorVersion: "0.0.1",
        onSession: (session) => Effect.as(Effect.forkScoped(Effect.ignore(endAll(session))), deaf)
      })
      return yield* run
    }).pipe(
      Effect.provideContext(
        Context.make(Admission, admission).pipe(
          Context.add(Acceptors, [transport.acceptor]),
          Context.add(Cryptography, crypto),
          Context.add(SecureRandom, random)
        )
      ),
      Effect.scoped,
      Effect.orDie
    )
})

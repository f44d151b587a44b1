/** Lets one connection carry a session until either ends; what the session has to say goes out, what comes goes in. */
import { Cause, Deferred, Effect, Option } from "effect"
import { Closed_Cause, type Packet } from "../../gen/aranya/link/v1/link_pb.ts"
import { decodeFrame, frameOverhead } from "../frames.ts"
import type { Sealing } from "../Sealing.ts"
import type { Connection, TransportError } from "../Transport.ts"
import type { LinkSession } from "./LinkSession.ts"

export interface Ending {
  readonly why: string
  /** The connection seemed up and nothing came over it: dialing the same way again may lead to the same. */
  readonly silent: boolean
}

const saysLittle = ({ closed, segments, welcome }: Packet) =>
  segments.length === 0 && closed === undefined && welcome === undefined

/** Runs until the connection or the session is gone, or another connection took the session over; tells why. */
export const carry = (
  link: LinkSession,
  connection: Connection,
  sealing: Sealing,
  options: {
    /** Bytes of a frame that both sides take. */
    readonly maxFrame: number
    /** The highest sequence the peer has, as it said in its hello. */
    readonly peerReceived: number
    /** When this side began the handshake, of a device. */
    readonly asked?: number
    /** A packet that came with the handshake's end. */
    readonly first?: Packet
    /** What becomes of this side where an interruption ends the session. */
    readonly cause?: Effect.Effect<Closed_Cause>
  }
): Effect.Effect<Ending> => {
  const { conversation, meter, now } = link
  const plain = Math.min(conversation.limits.packet, options.maxFrame - frameOverhead)
  const over = Deferred.makeUnsafe<Ending>()
  const leave = (why: string, silent = false) => void Deferred.doneUnsafe(over, Effect.succeed({ why, silent }))
  /** Whatever ends a reader or a writer: with only one of them the connection would seem up, and nothing come of it. */
  const lost = (cause: Cause.Cause<TransportError>) =>
    Effect.gen(function*() {
      const error = Option.getOrUndefined(Cause.findErrorOption(cause))
      if (error === undefined && !Cause.hasInterruptsOnly(cause)) {
        // Before it leaves, which ends this fiber.
        yield* Effect.logError(`What carries a session by ${connection.description} broke`, cause)
      }
      leave(error?.detail ?? "internal error")
    })

  const sayFarewell = Effect.gen(function*() {
    conversation.farewellCause = yield* options.cause ?? Effect.succeed(Closed_Cause.UNSPECIFIED)
    yield* link.session.close("this side is stopping")
  })

  const talk = (carrier: number) => {
    const useful = () => conversation.over === undefined && conversation.carrier === carrier

    const receive = (packet: Packet) =>
      conversation.step(() => {
        if (!useful()) return
        // Not by a welcome: it is said, and said again, by an operator that never hears whether it arrived, and for which the device
        // stays away. Who speaks in the session has it back.
        if (options.asked !== undefined && packet.welcome === undefined) conversation.hearing.known(options.asked)
        conversation.packet(packet, now())
      })

    const reader = Effect.gen(function*() {
      if (options.first !== undefined) receive(options.first)
      while (useful()) {
        const bytes = yield* connection.receive
        const frame = decodeFrame(bytes)
        const packet = frame === undefined || frame.sealed.length === 0 ? undefined : sealing.open(frame)
        // Once what it opens is known; what a frame of nobody costs counts too.
        if (packet !== undefined) receive(packet)
        meter.frame("received", bytes.length, packet)
      }
    }).pipe(Effect.catchCause(lost))

    // Most of what is received gives the writer nothing to do but to wait on; a fiber and a timer for each packet cost more than its seal.
    const stirred = (until: number) => () =>
      !useful() || conversation.stirring && conversation.wantsAsking(now(), until)

    const writer = Effect.gen(function*() {
      while (useful()) {
        conversation.stirring = false
        const at = now()
        const packet = conversation.quietly(() => conversation.next(at, plain))
        if (packet === undefined) {
          const deadline = conversation.deadline(at)
          yield* Effect.timeoutOption(conversation.stirred.until(stirred(deadline)), Math.max(1, deadline - now()))
        } else {
          const frame = sealing.seal(packet)
          yield* connection.send(frame, { expendable: saysLittle(packet) })
          meter.frame("sent", frame.length, packet)
          conversation.quietly(() => conversation.sent())
        }
      }
    }).pipe(Effect.catchCause(lost))

    // Apart from the writer, which may wait for a connection that takes nothing any more.
    const watch = Effect.gen(function*() {
      while (true) {
        const why = conversation.giveUp(now())
        if (why !== undefined) return leave(why, true)
        const at = conversation.giveUpAt
        const sooner = conversation.asked.until(() => conversation.giveUpAt < at)
        yield* Effect.timeoutOption(sooner, Math.max(1, at - now()))
      }
    })

    return Effect.gen(function*() {
      yield* link.attached
      yield* Effect.forkScoped(watch)
      yield* Effect.forkScoped(reader)
      yield* Effect.forkScoped(writer)
      return yield* Deferred.await(over)
    }).pipe(
      Effect.onInterrupt(() => sayFarewell),
      Effect.scoped
    )
  }

  return Effect.acquireUseRelease(
    Effect.sync(() => conversation.step(() => conversation.attach(now(), plain, options.peerReceived, leave))),
    // It may have ended while the connection was made; nobody would tell.
    (carrier) =>
      conversation.over === undefined ? talk(carrier) : Effect.succeed({ why: conversation.over.why, silent: false }),
    (carrier) =>
      Effect.suspend(() => {
        conversation.step(() => conversation.detach(carrier, now()))
        return link.detached
      })
  )
}

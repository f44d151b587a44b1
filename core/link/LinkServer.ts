/** The operator's end of all links: greets devices on every acceptor, keeps one session per device, resumes and displaces. */
import { create } from "@bufbuild/protobuf"
import { Clock, Effect, Scope, Semaphore } from "effect"
import { PacketSchema } from "../gen/aranya/link/v1/link_pb.ts"
import { Cryptography } from "./Cryptography.ts"
import { answer, attended, type Greeted, HandshakeFailed, protocolMax, protocolMin, welcome } from "./handshake.ts"
import { Admission, type Admitted, type DeviceHello, Refused } from "./Hello.ts"
import { LinkLimits } from "./LinkLimits.ts"
import { LinkTimings } from "./LinkTimings.ts"
import { makeTurns } from "./makeTurns.ts"
import { SecureRandom } from "./SecureRandom.ts"
import type { Handlers, Session } from "./Session.ts"
import { carry } from "./session/carry.ts"
import { type LinkSession, makeLinkSession, takeUp } from "./session/LinkSession.ts"
import { countedConnection } from "./Traffic.ts"
import { Acceptors, type Connection, TransportError } from "./Transport.ts"

export interface LiveSession {
  readonly hello: DeviceHello
  readonly publicKey: Uint8Array
  readonly session: Session
}

export interface LinkServer {
  /** Listens and serves; fails only where an acceptor cannot listen. Interrupting it says farewell to every device. */
  readonly run: Effect.Effect<never, TransportError>
  /** Sessions that are live, whether a connection carries them at this moment or not. */
  readonly sessions: Effect.Effect<ReadonlyArray<LiveSession>>
  /** Ends the session of a device, if it has one; the device sees why. */
  readonly end: (device: { readonly namespace: string; readonly device: string }, why: string) => Effect.Effect<void>
}

export interface LinkServerOptions<R> {
  /** X25519, 32 bytes; devices know its public half. */
  readonly privateKey: Uint8Array
  readonly operatorVersion: string
  /** What it can beyond its protocol version. */
  readonly capabilities?: ReadonlyArray<string>
  /**
   * Called once per session, when the device has taken it up. What the device asks before this returns waits for it; the
   * session can already be used. The scope is closed when the session is over.
   */
  readonly onSession: (
    session: Session,
    hello: DeviceHello,
    admitted: Admitted
  ) => Effect.Effect<Handlers, never, R | Scope.Scope>
}

interface Entry extends LiveSession, Admitted {
  readonly link: LinkSession
  begun: boolean
  /** Connections it was given to, and the number of the latest that carried it. */
  connections: number
  carriedBy: number
}

const keyOf = (device: { readonly namespace: string; readonly device: string }) =>
  `${device.namespace}/${device.device}`

const sameBytes = (one: Uint8Array, other: Uint8Array) =>
  one.length === other.length && one.every((byte, index) => byte === other[index])

const make = Effect.fnUntraced(function*<R>(options: LinkServerOptions<R>) {
  const context = yield* Effect.context<
    Admission | Cryptography | SecureRandom | Acceptors | Exclude<R, Scope.Scope>
  >()
  const admission = yield* Admission
  const acceptors = yield* Acceptors
  const random = yield* SecureRandom
  const limits = yield* LinkLimits
  const timings = yield* LinkTimings
  const entries = new Map<string, Entry>()
  // Held while a device is decided about, never while it is waited for: those who say nothing keep nobody out.
  const handshakes = yield* Semaphore.make(limits.handshakes)
  /** Two connections of one device are decided one after the other. */
  const inTurn = makeTurns()

  /** Wholly or not at all, whatever becomes of the connection meanwhile. */
  const begin = (
    parent: Scope.Scope,
    greeted: Greeted,
    given: Admitted
  ) =>
    Effect.gen(function*() {
      const key = keyOf(greeted.hello)
      const idBytes = yield* random.bytes(16)
      const link: LinkSession = yield* makeLinkSession({
        side: "operator",
        idBytes,
        timings,
        parent,
        onEnd: () => {
          if (entries.get(key)?.link === link) entries.delete(key)
        }
      })
      const { hello, publicKey } = greeted
      const entry: Entry = {
        hello,
        publicKey,
        session: link.session,
        link,
        begun: false,
        connections: 0,
        carriedBy: 0,
        ...given
      }
      const former = entries.get(key)
      entries.set(key, entry)
      former?.link.conversation.step(() => former.link.conversation.end("the device began a new session", false))
      return entry
    }).pipe(Effect.uninterruptible)

  /** Which session the device gets: the one it comes back to, or a new one if it is admitted. */
  const decide = (parent: Scope.Scope, greeted: Greeted) =>
    Effect.gen(function*() {
      const { enrols, hello, publicKey, resume } = greeted
      if (hello.protocolMax < protocolMin || hello.protocolMin > protocolMax) {
        return yield* new Refused({
          code: "ProtocolVersion",
          detail:
            `this operator speaks ${protocolMin} to ${protocolMax}, the device ${hello.protocolMin} to ${hello.protocolMax}`
        })
      }
      const live = entries.get(keyOf(hello))
      if (
        live !== undefined && resume !== undefined && live.hello.instance === hello.instance &&
        sameBytes(live.publicKey, publicKey) && sameBytes(live.link.idBytes, resume.session)
      ) {
        return { entry: live, resumed: true, peerReceived: resume.received }
      }
      // Who speaks in a session has saved its token, and shows what it had before in no later hello.
      if (
        live?.begun === true && live.hello.instance === hello.instance &&
        sameBytes(live.publicKey, publicKey) && sameBytes(live.hello.lineage, hello.lineage)
      ) {
        return yield* new Refused({
          code: "Unavailable",
          detail: "the hello is late: the device has taken up a session since"
        })
      }
      const given = yield* admission.admit(
        hello,
        { publicKey, enrols },
        live && { instance: live.hello.instance, journalId: live.hello.journalId }
      )
      return { entry: yield* begin(parent, greeted, given), resumed: false, peerReceived: 0 }
    })

  const introduce = (parent: Scope.Scope, connection: Connection) =>
    Effect.gen(function*() {
      const greeted = yield* answer(
        connection,
        options.privateKey,
        (device) => handshakes.withPermits(1)(admission.challenge(device))
      )
      const { sealing } = greeted
      const decision = inTurn(
        keyOf(greeted.hello),
        handshakes.withPermits(1)(decide(parent, greeted)).pipe(
          Effect.map((decided) => ({ ...decided, number: ++decided.entry.connections })),
          Effect.provideContext(context)
        )
      )
      const decided = yield* attended(connection, decision).pipe(
        Effect.tapErrorTag("Refused", (refused) =>
          connection.send(sealing.seal(create(PacketSchema, {
            refused: { code: refused.code, detail: refused.detail }
          }))))
      )
      const { entry, resumed } = decided
      const first = yield* welcome(connection, sealing, {
        protocol: Math.min(protocolMax, greeted.hello.protocolMax),
        epoch: entry.epoch,
        lineage: resumed ? new Uint8Array(0) : entry.lineage,
        operatorVersion: options.operatorVersion,
        beatMillis: timings.beatMillis,
        sessionTimeoutMillis: timings.sessionTimeoutMillis,
        now: yield* Clock.currentTimeMillis,
        capabilities: resumed
          ? []
          : (options.capabilities ?? []).filter((each) => greeted.hello.capabilities.includes(each))
      }, { id: entry.link.idBytes, resumed, received: entry.link.conversation.received })
      const maxFrame = Math.min(connection.maxFrame, greeted.maxFrame)
      return { ...decided, sealing, first, method: greeted.hello.method, maxFrame }
    })

  const serve = (parent: Scope.Scope) => (connection: Connection) =>
    Effect.gen(function*() {
      const { connection: counted, count } = countedConnection(connection)
      const { entry, first, maxFrame, method, number, peerReceived, sealing } = yield* introduce(parent, counted)
      const { link } = entry
      // A broker may hand over late what a device said before it turned to another connection.
      if (entry.carriedBy > number) return yield* Effect.logDebug(`${connection.description} comes too late`)
      entry.carriedBy = number
      link.comesBy(method)
      // Only what a device did that has proven its key: nobody else shall use up what is granted to it.
      link.meter.frame("sent", count.sent)
      link.meter.frame("received", count.received)
      if (!entry.begun && first.closed === undefined) {
        // In the session's scope, not in this connection's.
        yield* Effect.uninterruptible(Effect.suspend(() => {
          entry.begun = true
          return Effect.forkIn(takeUp(link, options.onSession(link.session, entry.hello, entry)), link.scope)
        }))
      }
      yield* Effect.logDebug(`${keyOf(entry.hello)} is connected by ${connection.description}`)
      const { why } = yield* carry(link, connection, sealing, { maxFrame, peerReceived, first })
      yield* Effect.logDebug(`${keyOf(entry.hello)} is no longer connected by ${connection.description}: ${why}`)
    }).pipe(
      Effect.catch((error: HandshakeFailed | Refused | TransportError) =>
        Effect.logDebug(`A device was turned away (${connection.description})`, error.message).pipe(
          // What was sent last may still be under way: the device hangs up first if it can.
          Effect.andThen(error._tag === "Refused" ? linger(connection) : Effect.void)
        )
      ),
      Effect.provideContext(context)
    )

  const linger = (connection: Connection) =>
    connection.receive.pipe(Effect.forever, Effect.ignore, Effect.timeoutOption(timings.farewellMillis), Effect.asVoid)

  const run = Effect.gen(function*() {
    const parent = yield* Effect.scope
    return yield* Effect.forEach(acceptors, (acceptor) => acceptor.run(serve(parent)), {
      concurrency: "unbounded",
      discard: true
    }).pipe(Effect.andThen(Effect.never))
  }).pipe(Effect.scoped, Effect.onExit(() => Effect.sync(() => entries.clear())))

  const server: LinkServer = {
    run,
    sessions: Effect.sync(() => [...entries.values()]),
    end: (device, why) => Effect.suspend(() => entries.get(keyOf(device))?.session.close(why) ?? Effect.void)
  }
  return server
})

export const LinkServer = { make }

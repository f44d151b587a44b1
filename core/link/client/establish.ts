/** From a dialer to a connection with a session on it: the session goes on where the operator still has it, or a new one begins. */
import { create } from "@bufbuild/protobuf"
import { Clock, Effect, Exit, Option, Scope, SubscriptionRef } from "effect"
import { PacketSchema } from "../../gen/aranya/link/v1/link_pb.ts"
import type { Cryptography } from "../Cryptography.ts"
import { greet, HandshakeFailed, protocolMax, protocolMin, type Welcomed } from "../handshake.ts"
import { LinkMemory } from "../Hello.ts"
import type { LinkClientOptions } from "../LinkClient.ts"
import { LinkTimings } from "../LinkTimings.ts"
import { SecureRandom } from "../SecureRandom.ts"
import type { Session } from "../Session.ts"
import { type LinkSession, makeLinkSession, monotonic, takeUp } from "../session/LinkSession.ts"
import { type Connection, type Dialer, TransportError } from "../Transport.ts"
import type { Failure } from "./Failure.ts"
import type { LastWord } from "./LastWord.ts"

/** A connection with a session on it, not carried yet. */
export interface Established {
  readonly connection: Connection
  readonly link: LinkSession
  readonly welcomed: Welcomed
  /** Monotonic milliseconds at which the handshake began. */
  readonly asked: number
  /** Bytes of a frame that both sides take. */
  readonly maxFrame: number
  /** Hangs up; the caller's to close. */
  readonly scope: Scope.Closeable
}

/** Sessions and connections live in scopes below `parent`; `current` is kept up to date. */
export const makeEstablish = Effect.fnUntraced(function*<R>(
  options: LinkClientOptions<R>,
  current: SubscriptionRef.SubscriptionRef<Option.Option<Session>>,
  lastWord: LastWord,
  /** Bytes of a frame that every way takes: what was sent by one of them may have to be sent again by another. */
  maxFrame: number
) {
  const context = yield* Effect.context<LinkMemory | Cryptography | SecureRandom | Exclude<R, Scope.Scope>>()
  const memory = yield* LinkMemory
  const random = yield* SecureRandom
  const now = monotonic(yield* Clock.Clock)
  const timings = yield* LinkTimings
  const instance = [...(yield* random.bytes(12))].map((byte) => byte.toString(16).padStart(2, "0")).join("")
  let live: LinkSession | undefined

  const connect = ({ connect, dialTimeoutMillis = timings.connectTimeoutMillis }: Dialer) =>
    Effect.timeoutOrElse(connect, {
      duration: dialTimeoutMillis,
      orElse: () =>
        Effect.fail(
          new TransportError({ reason: "Refused", detail: `no connection within ${dialTimeoutMillis / 1000} s` })
        )
    })

  /** Nothing can come of this connection: the operator hears why, and the next dial begins anew. */
  const decline = (connection: Connection, { sealing }: Welcomed, reason: HandshakeFailed["reason"], detail: string) =>
    connection.send(sealing.seal(create(PacketSchema, { closed: { why: detail } }))).pipe(
      Effect.andThen(Effect.fail(new HandshakeFailed({ reason, detail })))
    )

  const begin = (parent: Scope.Scope, connection: Connection, welcomed: Welcomed) =>
    Effect.gen(function*() {
      const { hello } = welcomed
      // What it goes on with is no beginning: it has neither the token nor the capabilities of one.
      if (welcomed.resumed) {
        const detail = "the session that was to be resumed is over on the device"
        return yield* decline(connection, welcomed, "SessionOver", detail)
      }
      // Saved in place of the one it has, it would make this device its own copy.
      if (hello.lineage.length === 0) {
        return yield* decline(connection, welcomed, "Malformed", "the operator's hello has no lineage token")
      }
      const known = yield* memory.load
      if (hello.epoch < known.epoch) {
        const detail = `its epoch ${hello.epoch} is lower than ${known.epoch}, which this device has obeyed`
        return yield* decline(connection, welcomed, "LowerEpoch", detail)
      }
      yield* memory.save({ epoch: hello.epoch, lineage: hello.lineage })
      return yield* succeed(parent, welcomed)
    })

  /** A session that can be resumed has its handlers, whatever interrupts the attempt that began it. */
  const succeed = (parent: Scope.Scope, { hello, session }: Welcomed) =>
    Effect.gen(function*() {
      const former = live
      former?.conversation.step(() => former.conversation.end("the operator began a new session", false))
      const { beatMillis, sessionTimeoutMillis } = hello
      const link: LinkSession = yield* makeLinkSession({
        side: "device",
        idBytes: session,
        timings: { ...timings, beatMillis, sessionTimeoutMillis },
        parent,
        onEnd: () => {
          if (live === link) live = undefined
        }
      })
      live = link
      lastWord.follow(link.conversation)
      yield* SubscriptionRef.set(current, Option.some(link.session))
      yield* link.session.closed.pipe(
        Effect.andThen(SubscriptionRef.update(current, (session) =>
          Option.isSome(session) && session.value === link.session ? Option.none() : session)),
        Effect.forkIn(parent)
      )
      yield* Effect.forkIn(takeUp(link, options.onSession(link.session, hello)), link.scope)
      return link
    }).pipe(Effect.uninterruptible)

  const establish = (parent: Scope.Scope, dialer: Dialer) =>
    Effect.gen(function*() {
      const connection = yield* connect(dialer)
      const known = yield* memory.load
      const resumable = live
      const asked = now()
      const takes = Math.min(maxFrame, connection.maxFrame)
      // Who gives a dial much time has a far line, or a slow one.
      const handshakeTimeoutMillis = Math.max(timings.handshakeTimeoutMillis, dialer.dialTimeoutMillis ?? 0)
      const welcomed = yield* greet(
        connection,
        options,
        {
          namespace: options.namespace,
          device: options.device,
          protocolMin,
          protocolMax,
          agentVersion: options.agentVersion,
          journalId: known.journalId,
          bootId: known.bootId,
          instance,
          epoch: known.epoch,
          lineage: known.lineage,
          method: dialer.method,
          digest: yield* memory.digest,
          capabilities: options.capabilities
        },
        resumable && { session: resumable.idBytes, received: resumable.conversation.received },
        takes
      ).pipe(Effect.provideService(LinkTimings, { ...timings, handshakeTimeoutMillis }))
      const link = welcomed.resumed && resumable !== undefined && resumable === live
        ? resumable
        : yield* begin(parent, connection, welcomed)
      return { connection, link, welcomed, asked, maxFrame: Math.min(takes, welcomed.maxFrame) }
    })

  /**
   * Whatever a failed attempt made is gone before the failure is told. `kept` hears of a success even where an interruption
   * comes between it and the caller.
   */
  return (
    parent: Scope.Scope,
    dialer: Dialer,
    kept: (established: Established) => void = () => {}
  ): Effect.Effect<Established, Failure> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function*() {
        const scope = yield* Scope.fork(parent)
        return yield* restore(establish(parent, dialer).pipe(Scope.provide(scope))).pipe(
          Effect.map((made) => ({ ...made, scope })),
          Effect.tap((established) => Effect.sync(() => kept(established))),
          Effect.onError(() => Scope.close(scope, Exit.void))
        )
      })
    ).pipe(Effect.provideContext(context as never))
})

/** A session with everything around its state machine: fibers, timers, and the interface its users know. */
import { Cause, Clock, type Context, Deferred, Effect, Exit, Fiber, FiberSet, Scope, SubscriptionRef } from "effect"
import { Closed_Cause, ErrorCode, Priority as WirePriority } from "../../gen/aranya/link/v1/link_pb.ts"
import { Cryptography } from "../Cryptography.ts"
import { LinkLimits } from "../LinkLimits.ts"
import type { LinkTimings } from "../LinkTimings.ts"
import { LinkWitness } from "../LinkUsage.ts"
import { type Channel, type Handlers, LinkError, type Priority, type Session } from "../Session.ts"
import { type TrafficClass, TrafficMeter } from "../Traffic.ts"
import { channelOf } from "./channelOf.ts"
import { Conversation, type Side } from "./Conversation.ts"
import type { LinkStream } from "./LinkStream.ts"
import { type Fork, Serving } from "./Serving.ts"
import { Streams } from "./Streams.ts"
import { tooLate } from "./tooLate.ts"

const priorities: { readonly [priority in Priority]: WirePriority } = {
  command: WirePriority.COMMAND,
  assignment: WirePriority.ASSIGNMENT,
  interactive: WirePriority.INTERACTIVE,
  bulk: WirePriority.BULK
}

/** Monotonic milliseconds. */
export const monotonic = (clock: Context.Service.Shape<typeof Clock.Clock>): () => number => () =>
  Number(clock.monotonicTimeNanosUnsafe()) / 1e6

export interface LinkSession {
  readonly session: Session
  readonly idBytes: Uint8Array
  readonly conversation: Conversation
  /** Told of every frame. */
  readonly meter: TrafficMeter
  /** Owns handlers and timers; closed when the session is over. */
  readonly scope: Scope.Scope
  readonly now: () => number
  /** What arrived before waits for the handlers. */
  readonly handle: (handlers: Handlers) => void
  /** A connection of this method is about to take it up. */
  readonly comesBy: (method: string) => void
  /** A connection took it up, or left it: then the session timeout runs. */
  readonly attached: Effect.Effect<void>
  readonly detached: Effect.Effect<void>
}

/** Lets the program make the session's handlers, in the session's scope; without handlers the session is of no use. */
export const takeUp = <R>(link: LinkSession, handlers: Effect.Effect<Handlers, never, R | Scope.Scope>) =>
  handlers.pipe(
    Effect.matchCauseEffect({
      onSuccess: (made) => Effect.sync(() => link.handle(made)),
      onFailure: (cause) =>
        Cause.hasInterruptsOnly(cause)
          ? Effect.void
          : Effect.andThen(
            Effect.logError("A session could not be taken up", cause),
            link.session.close("internal error")
          )
    }),
    Scope.provide(link.scope)
  )

/** `timings` are those the operator announced; `parent` outlives the session. */
export const makeLinkSession = Effect.fnUntraced(function*(options: {
  readonly side: Side
  readonly idBytes: Uint8Array
  readonly timings: LinkTimings
  readonly parent: Scope.Scope
  /** Called once when it is over. */
  readonly onEnd: () => void
}) {
  const { idBytes, timings } = options
  const cryptography = yield* Cryptography
  const limits = yield* LinkLimits
  const now = monotonic(yield* Clock.Clock)
  const scope = yield* Scope.fork(options.parent)
  const fibers = yield* FiberSet.make<unknown, unknown>().pipe(Scope.provide(scope))
  const fork: Fork = yield* FiberSet.runtime(fibers)()
  const closer = yield* Effect.context<never>()
  const connected = yield* SubscriptionRef.make(false)
  const closed = Deferred.makeUnsafe<string>()
  let method: string | undefined

  const conversation = new Conversation(options.side, timings, limits)
  const streams = new Streams(conversation, cryptography, now, fork)
  const serving = new Serving(streams, fork)
  const meter = new TrafficMeter((stream) => streams.table.trafficOf(stream))
  streams.server = serving
  conversation.listener = {
    segment: (segment) => streams.segment(segment),
    acknowledged: (segment) => streams.acknowledged(segment),
    leaving: (stream) => streams.table.leaving(stream),
    busy: () => streams.table.live.size > 0,
    ended: (why) => {
      streams.end()
      conversation.afterwards(() => {
        options.onEnd()
        Deferred.doneUnsafe(closed, Effect.succeed(why))
        // Not by a fiber of the scope that is closed.
        Effect.runForkWith(closer)(Scope.close(scope, Exit.void))
      })
    }
  }
  // Closing the parent ends it too, with a word to the peer where `carry` can still speak.
  yield* Scope.addFinalizer(
    scope,
    Effect.sync(() => conversation.step(() => conversation.end("this side is stopping", true)))
  )

  let timeout: Fiber.Fiber<void, unknown> | undefined
  const expire = Effect.sync(() =>
    conversation.step(() => {
      if (conversation.carried) return
      conversation.end(`no connection took it up within ${timings.sessionTimeoutMillis / 1000} s`, false)
    })
  )
  const detached = Effect.suspend(() => {
    if (conversation.carried || conversation.over !== undefined) return Effect.void
    timeout?.interruptUnsafe()
    timeout = fork(Effect.delay(expire, timings.sessionTimeoutMillis))
    return SubscriptionRef.set(connected, false)
  })
  const attached = Effect.suspend(() => {
    timeout?.interruptUnsafe()
    timeout = undefined
    return SubscriptionRef.set(connected, true)
  })

  const start = (
    kind: "channel" | "request",
    message: Uint8Array,
    priority: Priority,
    options?: { readonly traffic?: TrafficClass; readonly compress?: boolean; readonly patienceMillis?: number }
  ) => Effect.suspend(() => conversation.step(() => streams.start(kind, message, priorities[priority], options)))

  const close = Effect.fnUntraced(function*(why: string) {
    if (conversation.over !== undefined) return
    conversation.step(() => {
      if (conversation.carried) conversation.farewell = why
      else conversation.end(why, true)
    })
    yield* Deferred.await(closed).pipe(Effect.timeoutOption(timings.farewellMillis))
    conversation.step(() => conversation.end(why, true))
  })

  const request: Session["request"] = (message, request) =>
    Effect.acquireUseRelease(
      start("request", message, request?.priority ?? "command", request),
      (stream) =>
        Effect.raceFirst(
          Effect.callback<Uint8Array, LinkError>((resume) => {
            if (stream.reply !== undefined) resume(stream.reply)
            else stream.replied = resume
          }),
          tooLate(conversation, stream, request?.timeoutMillis ?? timings.requestTimeoutMillis)
        ),
      (stream) =>
        Effect.sync(() => {
          stream.replied = undefined
          streams.failNow(stream, ErrorCode.CANCELLED, "")
        })
    )

  const endChannel = (stream: LinkStream, exit: Exit.Exit<unknown, unknown>) =>
    Effect.sync(() =>
      conversation.step(() => {
        if (Exit.isSuccess(exit)) streams.closeInBand(stream, ErrorCode.UNSPECIFIED, "")
        else streams.failNow(stream, ErrorCode.CANCELLED, "")
      })
    )

  const open: Session["open"] = (message, request) =>
    Effect.acquireRelease(
      start("channel", message, request?.priority ?? "interactive", request),
      endChannel
    ).pipe(
      Effect.map((stream): Channel => channelOf(streams, stream))
    )

  const link: LinkSession = {
    session: {
      id: [...idBytes].map((byte) => byte.toString(16).padStart(2, "0")).join(""),
      connected,
      method: () => method,
      absence: () => {
        switch (conversation.peerCause) {
          case Closed_Cause.PROGRAM:
            return "Program"
          case Closed_Cause.MACHINE:
            return "Machine"
          default:
            return "Link"
        }
      },
      request,
      open,
      traffic: () => meter.count,
      closed: Deferred.await(closed),
      close
    },
    idBytes,
    conversation,
    meter,
    scope,
    now,
    handle: (handlers) => serving.begin(handlers),
    comesBy: (one) => {
      method = one
    },
    attached,
    detached
  }
  const witness = yield* LinkWitness
  yield* witness(options.side, () => ({
    streams: streams.table.live.size,
    granted: streams.table.pool.capacity - streams.table.pool.free,
    underWay: conversation.underWay,
    answers: conversation.answers,
    queued: streams.table.queuedBytes,
    beyondGap: conversation.beyondGap
  })).pipe(Scope.provide(scope))
  yield* detached
  return link
})

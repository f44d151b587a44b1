/** The device's end of its link: dials for ever, best method first, resumes its session or takes up a new one. */
import { create } from "@bufbuild/protobuf"
import { Clock, Effect, Exit, Option, Scope, SubscriptionRef } from "effect"
import { PacketSchema } from "../gen/aranya/link/v1/link_pb.ts"
import { backOff } from "./backOff.ts"
import { Cryptography } from "./Cryptography.ts"
import { greet, HandshakeFailed, type Identity, protocolMax, protocolMin, type Welcomed } from "./handshake.ts"
import { LinkMemory, NotRemembered, type OperatorHello, Refused } from "./Hello.ts"
import { LinkTimings } from "./LinkTimings.ts"
import { SecureRandom } from "./SecureRandom.ts"
import type { Handlers, Session } from "./Session.ts"
import { carry } from "./session/carry.ts"
import { type LinkSession, makeLinkSession, monotonic, takeUp } from "./session/LinkSession.ts"
import { type Connection, type Dialer, Dialers, TransportError } from "./Transport.ts"

/** For status and logs. */
export type LinkState =
  | { readonly status: "Dialing"; readonly method: string }
  | { readonly status: "Connected"; readonly method: string; readonly connection: string }
  | {
    readonly status: "Waiting"
    readonly error: Failure
    readonly failures: number
    /** Milliseconds until the next attempt. */
    readonly retryMillis: number
  }

export interface LinkClient {
  /** Keeps the link up until interrupted; then it says farewell. */
  readonly run: Effect.Effect<never>
  /** The session that can be used, whether a connection carries it at this moment or not. */
  readonly current: SubscriptionRef.SubscriptionRef<Option.Option<Session>>
  readonly state: SubscriptionRef.SubscriptionRef<LinkState>
}

export interface LinkClientOptions<R> extends Identity {
  readonly agentVersion: string
  readonly capabilities: ReadonlyArray<string>
  /**
   * Called once per session. What the operator asks before this returns waits for it; the session can already be used.
   * The scope is closed when the session is over.
   */
  readonly onSession: (session: Session, hello: OperatorHello) => Effect.Effect<Handlers, never, R | Scope.Scope>
}

/** A connection with a session on it, not carried yet. */
interface Established {
  readonly rank: number
  readonly method: string
  readonly connection: Connection
  readonly link: LinkSession
  readonly welcomed: Welcomed
  readonly scope: Scope.Closeable
}

type Failure = Refused | HandshakeFailed | TransportError | NotRemembered

/** Whether trying again soon is pointless until somebody mends it. */
const hopeless = (error: Failure): boolean => {
  switch (error._tag) {
    case "TransportError":
      return error.reason === "Rejected"
    case "Refused":
      return error.code === "DuplicateIdentity" || error.code === "Deleted" || error.code === "WrongKey" ||
        error.code === "ProtocolVersion"
    case "HandshakeFailed":
      return error.reason === "WrongOperator"
    case "NotRemembered":
      return false
  }
}

const make = Effect.fnUntraced(function*<R>(options: LinkClientOptions<R>) {
  const context = yield* Effect.context<
    Dialers | LinkMemory | Cryptography | SecureRandom | Exclude<R, Scope.Scope>
  >()
  const dialers = yield* Dialers
  const memory = yield* LinkMemory
  const random = yield* SecureRandom
  const timings = yield* LinkTimings
  const now = monotonic(yield* Clock.Clock)
  const current = yield* SubscriptionRef.make(Option.none<Session>())
  const state = yield* SubscriptionRef.make<LinkState>({ status: "Dialing", method: dialers[0]?.method ?? "none" })
  const instance = [...(yield* random.bytes(12))].map((byte) => byte.toString(16).padStart(2, "0")).join("")
  let live: LinkSession | undefined

  const connect = (dialer: Dialer) =>
    Effect.timeoutOrElse(dialer.connect, {
      duration: timings.connectTimeoutMillis,
      orElse: () =>
        Effect.fail(
          new TransportError({
            reason: "Refused",
            detail: `no connection within ${timings.connectTimeoutMillis / 1000} s`
          })
        )
    })

  const begin = (parent: Scope.Scope, connection: Connection, welcomed: Welcomed) =>
    Effect.gen(function*() {
      const { hello } = welcomed
      const known = yield* memory.load
      if (hello.epoch < known.epoch) {
        const detail = `its epoch ${hello.epoch} is lower than ${known.epoch}, which this device has obeyed`
        yield* connection.send(welcomed.sealing.seal(create(PacketSchema, { closed: { why: detail } })))
        return yield* new HandshakeFailed({ reason: "LowerEpoch", detail })
      }
      yield* memory.save({ epoch: hello.epoch, lineage: hello.lineage })
      const former = live
      former?.conversation.step(() => former.conversation.end("the operator began a new session", false))
      const { beatMillis, sessionTimeoutMillis } = hello
      const link: LinkSession = yield* makeLinkSession({
        side: "device",
        idBytes: welcomed.session,
        timings: { ...timings, beatMillis, sessionTimeoutMillis },
        parent,
        onEnd: () => {
          if (live === link) live = undefined
        }
      })
      live = link
      yield* SubscriptionRef.set(current, Option.some(link.session))
      yield* link.session.closed.pipe(
        Effect.andThen(SubscriptionRef.update(current, (session) =>
          Option.isSome(session) && session.value === link.session ? Option.none() : session)),
        Effect.forkIn(parent)
      )
      yield* Effect.forkIn(takeUp(link, options.onSession(link.session, hello)), link.scope)
      return link
    })

  const establish = (parent: Scope.Scope, dialer: Dialer, rank: number) =>
    Effect.gen(function*() {
      const connection = yield* connect(dialer)
      const known = yield* memory.load
      const resumable = live
      const welcomed = yield* greet(connection, options, {
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
      }, resumable && { session: resumable.idBytes, received: resumable.conversation.received })
      const link = welcomed.resumed && resumable !== undefined && resumable === live
        ? resumable
        : yield* begin(parent, connection, welcomed)
      return { rank, method: dialer.method, connection, link, welcomed }
    })

  /** The connection's scope is the caller's to close once it was established. */
  const owned = (parent: Scope.Scope, dialer: Dialer, rank: number): Effect.Effect<Established, Failure, never> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function*() {
        const scope = yield* Scope.fork(parent)
        return yield* restore(establish(parent, dialer, rank).pipe(Scope.provide(scope))).pipe(
          Effect.map((established) => ({ ...established, scope })),
          Effect.onError(() => Scope.close(scope, Exit.void))
        )
      })
    ).pipe(Effect.provideContext(context as never))

  /** The first method that leads to a session, best first; the last failure if none does. */
  const firstOf = (
    parent: Scope.Scope,
    candidates: ReadonlyArray<Dialer>,
    quiet: boolean
  ): Effect.Effect<Established, Failure> =>
    Effect.gen(function*() {
      let failure: Failure = new TransportError({ reason: "Refused", detail: "no connectivity method is configured" })
      for (const [rank, dialer] of candidates.entries()) {
        if (!quiet) yield* SubscriptionRef.set(state, { status: "Dialing", method: dialer.method })
        const result = yield* Effect.result(owned(parent, dialer, rank))
        if (result._tag === "Success") return result.success
        // The operator's own word counts whatever the method; one method's trouble leaves hope for the others.
        if (result.failure._tag === "Refused") return yield* Effect.fail(result.failure)
        if (rank === 0 || !hopeless(result.failure)) failure = result.failure
        yield* Effect.logDebug(`No session by ${dialer.method}`, failure.message)
      }
      return yield* Effect.fail(failure)
    })

  /** While a lesser method carries, the better ones are tried from time to time. */
  const better = (parent: Scope.Scope, rank: number): Effect.Effect<Established> => {
    const candidates = dialers.slice(0, rank)
    if (candidates.length === 0) return Effect.never
    const attempt: Effect.Effect<Established> = Effect.sleep(timings.returnToBestMillis).pipe(
      Effect.andThen(firstOf(parent, candidates, true)),
      Effect.catch(() => attempt)
    )
    return attempt
  }

  /** Lets it carry until it is lost; or until a better one is there, which is returned. */
  const use = (parent: Scope.Scope, established: Established) =>
    Effect.gen(function*() {
      const { connection, link, method, rank, welcomed } = established
      yield* SubscriptionRef.set(state, { status: "Connected", method, connection: connection.description })
      yield* Effect.logDebug(`Connected by ${connection.description}`)
      let moved = false
      const carried = carry(link, connection, welcomed.sealing, {
        peerReceived: welcomed.resumed ? welcomed.received : 0,
        moved: () => moved
      })
      return yield* Effect.raceFirst(
        Effect.map(carried, (why) => ({ why, next: undefined })),
        Effect.map(better(parent, rank), (next) => {
          moved = true
          return { why: `back to ${next.method}`, next }
        })
      )
    }).pipe(Effect.ensuring(Scope.close(established.scope, Exit.void)))

  const run = Effect.gen(function*() {
    const parent = yield* Effect.scope
    let count = 0
    let since = now()
    while (true) {
      const attempt = yield* Effect.result(firstOf(parent, dialers, false))
      let failure: Failure
      if (attempt._tag === "Success") {
        const began = now()
        let why = ""
        for (let next: Established | undefined = attempt.success; next !== undefined;) {
          const used: { readonly why: string; readonly next: Established | undefined } = yield* use(parent, next)
          why = used.why
          next = used.next
        }
        // A connection that breaks at once again counts as a failure, so that it cannot be dialed in a tight loop.
        count = now() - began >= timings.backoffMostMillis ? 1 : count + 1
        since = now()
        failure = new TransportError({ reason: "Lost", detail: why })
      } else {
        count += 1
        failure = attempt.failure
      }
      const wait = yield* backOff(timings, { count, awayMillis: now() - since, hopeless: hopeless(failure) })
      yield* SubscriptionRef.set(state, { status: "Waiting", error: failure, failures: count, retryMillis: wait })
      yield* Effect.logDebug(`Dialing again in ${Math.round(wait / 100) / 10} s`, failure.message)
      yield* Effect.sleep(wait)
    }
  }).pipe(Effect.scoped, Effect.ensuring(SubscriptionRef.set(current, Option.none())))

  const client: LinkClient = { run: run as Effect.Effect<never>, current, state }
  return client
})

export const LinkClient = { make }

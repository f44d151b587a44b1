/** The brokers through which devices are served: derived from all EdgeDevices, one connection for those that say the same. */
import {
  Cause,
  Context,
  Effect,
  FiberMap,
  Layer,
  Option,
  Queue,
  Redacted,
  Schedule,
  type Scope,
  type Stream,
  SubscriptionRef
} from "effect"
import type { BrokerBackoff } from "../device/brokerBackoff.ts"
import type { Acceptor, Connection } from "../link/Transport.ts"
import { makeLingering } from "./lingering.ts"

/** All that makes a connection to a broker the one it is. */
export interface BrokerAccess {
  readonly host: string
  readonly port: number
  readonly transport: "tcp" | "websocket"
  readonly websocketPath: string
  readonly version: "3.1.1" | "5"
  readonly variant: "standard" | "aws-iot-core"
  /** PEM; without `ca` the system's authorities are trusted. */
  readonly tls: {
    readonly ca: string | undefined
    readonly identity: { readonly cert: string; readonly key: Redacted.Redacted<string> } | undefined
    readonly serverName: string | undefined
  } | undefined
  readonly login: { readonly username: string; readonly password: Redacted.Redacted<string> } | undefined
  /** Undefined: one that this process makes. */
  readonly clientId: string | undefined
  readonly keepaliveMillis: number
  readonly maxPayload: number
}

export type BrokerState =
  /** Nothing is known yet. */
  | { readonly _tag: "Connecting" }
  | { readonly _tag: "Up" }
  | { readonly _tag: "Down"; readonly why: string }

/** What a connection to a broker is given, and whom it tells. */
export interface BrokerTask {
  /** Each element is all topic namespaces that are served there from now on. */
  readonly topicNamespaces: Stream.Stream<ReadonlyArray<string>>
  /** As it is wanted now; undefined: all defaults. */
  readonly backoff: () => BrokerBackoff | undefined
  /** Whether it is served for an EdgeDevice that is gone: it may have one of another operator by now, who is not to be disturbed. */
  readonly isLeft: (topicNamespace: string) => boolean
  readonly onState: (state: BrokerState) => Effect.Effect<void>
  /** The broker does not let us hear this namespace; undefined: it does after all. */
  readonly onRefused: (topicNamespace: string, why: string | undefined) => Effect.Effect<void>
}

/** How a connection to a broker is made; its connections to devices tell their topic namespace as their `place`. */
export type OpenBroker = (access: BrokerAccess, task: BrokerTask) => Acceptor

/** What one EdgeDevice asks for. */
export interface BrokerWish {
  readonly access: BrokerAccess
  readonly topicNamespace: string
  readonly backoff: BrokerBackoff | undefined
  /** Of two that claim one topic namespace at one broker the lesser has it: when its EdgeDevice was created. */
  readonly since: string
  /** Somebody who says to be another device speaks on the topics of this one. */
  readonly strayed: (device: string) => Effect.Effect<void>
}

/** What has come of it. */
export type Standing =
  | BrokerState
  | { readonly _tag: "None" }
  | { readonly _tag: "TopicTaken" }
  | { readonly _tag: "TopicRefused"; readonly why: string }

/** One connection to a broker and the owners it serves, by topic namespace. */
interface Group {
  readonly access: BrokerAccess
  readonly owners: Map<string, string>
  state: BrokerState
}

const again = Schedule.min([Schedule.exponential("1 second"), Schedule.spaced("1 minute")]).pipe(Schedule.jittered)

/** How long the next connection waits for one before it that does not end. */
const closing = "5 seconds"

/** Holds what is secret: never to be shown. */
const identityOf = ({ login, tls, ...rest }: BrokerAccess): string =>
  JSON.stringify([
    Object.entries(rest).sort(([a], [b]) => a < b ? -1 : 1),
    tls && [tls.ca, tls.serverName, tls.identity && [tls.identity.cert, Redacted.value(tls.identity.key)]],
    login && [login.username, Redacted.value(login.password)]
  ])

/** When an owner that is gone was created, among those that claim one topic namespace: it has it where nobody else asks for it. */
const afterAllOthers = "~"

const addressOf = ({ host, port }: BrokerAccess) => `${host.includes(":") ? `[${host}]` : host}:${port}`

/** A broker ends the connection of a client identifier when another one comes with it, at whatever port: two would end each other for ever. */
const ousts = ({ access: a }: Group, { access: b }: Group): boolean =>
  a.clientId !== undefined && a.clientId === b.clientId && a.host.toLowerCase() === b.host.toLowerCase()

const connecting: BrokerState = { _tag: "Connecting" }

/** Where a wish stands: its connection, and its topics at that broker whatever the credentials. */
interface Place {
  readonly identity: string
  readonly topics: string
}

const placeOf = ({ access, topicNamespace }: BrokerWish): Place => ({
  identity: identityOf(access),
  topics: `${addressOf(access).toLowerCase()} ${topicNamespace}`
})

const isSamePlace = (one: BrokerWish & Place, other: BrokerWish & Place): boolean =>
  one.identity === other.identity && one.topics === other.topics && one.since === other.since

export interface Follower {
  /**
   * The owner's device is still to hear that its EdgeDevice was deleted: the wish stays when the scope ends, for a while, and until
   * another owner wants its topics or its client identifier.
   */
  readonly outlive: () => void
}

export class Brokers extends Context.Service<Brokers, {
  /** What this owner (an EdgeDevice's key) asks for from now on, or that it asks for nothing. */
  readonly wish: (owner: string, wish: BrokerWish | undefined) => Effect.Effect<void>
  readonly standingOf: (owner: string) => Standing
  /** Calls `changed` when the standing of this owner may have changed, while the scope lives; the wish goes with the scope. */
  readonly follow: (owner: string, changed: () => void) => Effect.Effect<Follower, never, Scope.Scope>
  /** The door at all brokers there are: connections to them are opened and closed as EdgeDevices ask for them. */
  readonly acceptor: (open: OpenBroker) => Acceptor
}>()("aranya/operator/Brokers") {
  static readonly layer = Layer.effect(
    Brokers,
    Effect.gen(function*() {
      const wishes = new Map<string, BrokerWish & Place>()
      /** By topics: who asks for them, the first has them. */
      const claims = new Map<string, ReadonlyArray<string>>()
      /** By topics: who has them. */
      const seated = new Map<string, string>()
      /** By what they are connected with. */
      const groups = new Map<string, Group>()
      /** By owner: why the broker does not let us hear its topics. */
      const refusals = new Map<string, string>()
      const followers = new Map<string, () => void>()
      /** Those whose wish has outlived them. */
      const gone = yield* makeLingering((owner) => wish(owner, undefined))
      /** Connections that are to be looked at, and a bell for it. */
      const dirty = new Set<string>()
      const bell = yield* Queue.sliding<void>(1)
      const tell = (owners: Iterable<string>) => {
        for (const owner of owners) followers.get(owner)?.()
      }

      const leave = (owner: string, { identity, topicNamespace, topics }: BrokerWish & Place) => {
        seated.delete(topics)
        refusals.delete(owner)
        const group = groups.get(identity)
        if (group?.owners.get(topicNamespace) !== owner) return
        group.owners.delete(topicNamespace)
        dirty.add(identity)
      }
      const enter = (owner: string, { access, identity, topicNamespace, topics }: BrokerWish & Place) => {
        seated.set(topics, owner)
        const group = groups.get(identity) ?? { access, owners: new Map<string, string>(), state: connecting }
        groups.set(identity, group)
        group.owners.set(topicNamespace, owner)
        dirty.add(identity)
      }
      /** Gives topics to the one who asked first. */
      const settle = (topics: string) => {
        const holder = claims.get(topics)?.[0]
        const before = seated.get(topics)
        if (holder === before) return
        const given = before === undefined ? undefined : wishes.get(before)
        if (before !== undefined && given?.topics === topics) leave(before, given)
        const wish = holder === undefined ? undefined : wishes.get(holder)
        if (holder !== undefined && wish !== undefined) enter(holder, wish)
        tell(claims.get(topics) ?? [])
      }
      const earlier = (one: string, other: string) => {
        const [a = "", b = ""] = [wishes.get(one)?.since, wishes.get(other)?.since]
        return a === b ? (one < other ? -1 : 1) : a < b ? -1 : 1
      }

      /** A connection has one back-off, whoever shares it: that of the elder who says one. */
      const backoffOf = ({ owners }: Group): BrokerBackoff | undefined => {
        const saying = [...owners.values()].filter((owner) => wishes.get(owner)?.backoff !== undefined)
        return wishes.get(saying.sort(earlier)[0] ?? "")?.backoff
      }

      const wish = (owner: string, wanted: BrokerWish | undefined): Effect.Effect<void> =>
        Effect.sync(() => {
          gone.delete(owner)
          const before = wishes.get(owner)
          const placed = wanted && { ...wanted, ...placeOf(wanted) }
          // Who stays where it is keeps what is known of it there.
          if (before !== undefined && placed !== undefined && isSamePlace(before, placed)) {
            wishes.set(owner, placed)
            return
          }
          if (before !== undefined) {
            const others = (claims.get(before.topics) ?? []).filter((each) => each !== owner)
            if (others.length === 0) claims.delete(before.topics)
            else claims.set(before.topics, others)
            if (seated.get(before.topics) === owner) leave(owner, before)
            wishes.delete(owner)
          }
          if (placed !== undefined) {
            wishes.set(owner, placed)
            claims.set(placed.topics, [...claims.get(placed.topics) ?? [], owner].sort(earlier))
            settle(placed.topics)
          }
          if (before !== undefined) settle(before.topics)
          for (const identity of dirty) if (groups.get(identity)?.owners.size === 0) groups.delete(identity)
          tell([owner])
          Queue.offerUnsafe(bell, undefined)
        })

      const linger = Effect.fnUntraced(function*(owner: string) {
        const last = wishes.get(owner)
        if (last === undefined) return
        // One with this identifier is the only one at its broker: another cluster's operator that has the device by now would be ended by it.
        if (last.access.clientId !== undefined) return yield* wish(owner, undefined)
        yield* wish(owner, { ...last, since: afterAllOthers, strayed: () => Effect.void })
        yield* gone.add(owner)
      })

      const standingOf = (owner: string): Standing => {
        const wanted = wishes.get(owner)
        if (wanted === undefined) return { _tag: "None" }
        if (seated.get(wanted.topics) !== owner) return { _tag: "TopicTaken" }
        const state = groups.get(wanted.identity)?.state ?? connecting
        const refusal = refusals.get(owner)
        return state._tag === "Up" && refusal !== undefined ? { _tag: "TopicRefused", why: refusal } : state
      }

      /** Lives as long as anybody is served by it. */
      const connection = <R>(
        open: OpenBroker,
        group: Group,
        namespaces: Stream.Stream<ReadonlyArray<string>>,
        serve: (connection: Connection) => Effect.Effect<void, never, R | Scope.Scope>
      ) => {
        const { access, owners } = group
        const address = addressOf(access)
        let told = ""
        const onState = Effect.fnUntraced(function*(state: BrokerState) {
          group.state = state
          if (state._tag !== "Up") { for (const owner of owners.values()) refusals.delete(owner) }
          tell(owners.values())
          const text = state._tag === "Down" ? state.why : state._tag
          if (text === told) return
          told = text
          if (state._tag === "Up") yield* Effect.logInfo(`broker ${address}: connected, for ${owners.size} device(s)`)
          if (state._tag === "Down") yield* Effect.logWarning(`a broker cannot be used: ${state.why}`)
        })
        const task: BrokerTask = {
          topicNamespaces: namespaces,
          backoff: () => backoffOf(group),
          isLeft: (topicNamespace) => gone.has(owners.get(topicNamespace) ?? ""),
          onState,
          onRefused: Effect.fnUntraced(function*(topicNamespace, why) {
            const owner = owners.get(topicNamespace)
            if (owner === undefined || refusals.get(owner) === why) return
            if (why === undefined) refusals.delete(owner)
            else refusals.set(owner, why)
            tell([owner])
            yield* why === undefined
              ? Effect.logInfo(`broker ${address}: EdgeDevice ${owner} is served`)
              : Effect.logWarning(`broker ${address}: EdgeDevice ${owner} cannot be served: ${why}`)
          })
        }
        /** A device is served on the topics of its own EdgeDevice only. */
        const own = (met: Connection): Connection => ({
          ...met,
          admits: (device) =>
            Effect.suspend(() => {
              const owner = owners.get(met.place ?? "")
              const comes = `${device.namespace}/${device.device}`
              if (owner === comes) return Effect.succeed(true)
              const strayed = owner === undefined ? undefined : wishes.get(owner)?.strayed(comes)
              return Effect.as(strayed ?? Effect.void, false)
            })
        })
        return open(access, task).run((met) => serve(own(met))).pipe(
          // What is broken in one of them, be it the program, is no reason to leave the others.
          Effect.catchCauseIf(
            (cause) => !Cause.hasInterruptsOnly(cause),
            (cause) =>
              (Cause.hasDies(cause) ? Effect.logError(`broker ${address}`, cause) : Effect.void).pipe(
                Effect.andThen(onState({
                  _tag: "Down",
                  why: Option.match(Cause.findErrorOption(cause), {
                    onNone: () => `broker ${address}: an unexpected error, see the operator's log`,
                    onSome: ({ message }) => message
                  })
                })),
                Effect.andThen(Effect.fail("again"))
              )
          ),
          Effect.retry(again)
        )
      }

      return Brokers.of({
        wish,
        standingOf,
        follow: (owner, changed) =>
          Effect.suspend(() => {
            let outlives = false
            return Effect.acquireRelease(
              Effect.sync(() => {
                followers.set(owner, changed)
                return { outlive: () => void (outlives = true) }
              }),
              () =>
                Effect.suspend(() => {
                  if (followers.get(owner) !== changed) return Effect.void
                  followers.delete(owner)
                  return outlives ? linger(owner) : wish(owner, undefined)
                })
            )
          }),
        acceptor: (open) => ({
          method: "mqtt",
          run: Effect.fnUntraced(function*<R>(
            serve: (connection: Connection) => Effect.Effect<void, never, R | Scope.Scope>
          ) {
            const running = yield* FiberMap.make<string>()
            const served = new Map<string, {
              readonly group: Group
              readonly namespaces: SubscriptionRef.SubscriptionRef<ReadonlyArray<string>>
            }>()
            for (const identity of groups.keys()) dirty.add(identity)
            yield* Queue.offer(bell, undefined)
            while (true) {
              yield* Queue.take(bell)
              const changed = [...dirty]
              dirty.clear()
              // Ended before others begin: the next may have the same client identifier, and would be ended by it.
              for (const identity of changed) {
                const known = served.get(identity)
                if (known === undefined || known.group === groups.get(identity)) continue
                served.delete(identity)
                yield* Effect.timeoutOption(FiberMap.remove(running, identity), closing)
              }
              // Those too that had to wait for one that has ended.
              const waiting = [...groups.keys()].filter((identity) => !served.has(identity))
              for (const identity of new Set([...changed, ...waiting])) {
                const group = groups.get(identity)
                if (group === undefined) continue
                const known = served.get(identity)
                // Where a broker has no room for all of them, those that are gone wait.
                const now = [...group.owners].toSorted(([, a], [, b]) => Number(gone.has(a)) - Number(gone.has(b)))
                  .map(([topicNamespace]) => topicNamespace)
                const rival = [...served.values()].find((other) => other.group !== group && ousts(other.group, group))
                if (known !== undefined) yield* SubscriptionRef.set(known.namespaces, now)
                else if (rival !== undefined) {
                  const why =
                    `client identifier ${group.access.clientId} is in use at broker ${addressOf(group.access)} for `
                    + `EdgeDevice ${[...rival.group.owners.values()][0]}, with other settings: `
                    + `give them the same, or clientIDs of their own`
                  if (group.state._tag === "Down" && group.state.why === why) continue
                  group.state = { _tag: "Down", why }
                  tell(group.owners.values())
                  yield* Effect.logWarning(`a broker cannot be used: ${why}`)
                } else {
                  const namespaces = yield* SubscriptionRef.make<ReadonlyArray<string>>(now)
                  served.set(identity, { group, namespaces })
                  yield* FiberMap.run(
                    running,
                    identity,
                    connection(open, group, SubscriptionRef.changes(namespaces), serve)
                  )
                }
              }
            }
          }, Effect.scoped)
        })
      })
    })
  )
}

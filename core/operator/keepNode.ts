/** Keeps one device's Node: there, owned, labelled, its status true, its Lease renewed; whoever else's Node it is, untouched. */
import { Clock, Duration, Effect, Latch, Queue, Random, Schedule, Stream, SubscriptionRef } from "effect"
import type { EdgeDevice } from "../device/EdgeDevice.ts"
import { Leases } from "../kube/kinds.ts"
import { KubeApi, KubeApiError } from "../kube/KubeApi.ts"
import { type Node, Nodes, type NodeStatus } from "../kube/Node.ts"
import { parseTimestamp } from "../kube/time.ts"
import { desiredNode, isRemnant, newNode, nodePatch, owns } from "../node/desiredNode.ts"
import { lastKnown } from "../node/lastKnown.ts"
import { leaseNamespace, nodeLease, renewal, renewJitter, renewMillis } from "../node/lease.ts"
import {
  type DeviceState,
  differs,
  type DisconnectReason,
  isOutOfService,
  nodeStatus,
  statusPatch
} from "../node/nodeStatus.ts"
import type { DeviceAbsence } from "./deviceAbsence.ts"
import type { DeviceContext } from "./DeviceContext.ts"
import { leaseWatch, standByMillis } from "./leaseWatch.ts"
import { type DoorSubject, NodeDoors } from "./NodeDoors.ts"
import { NodeIndex } from "./NodeIndex.ts"
import { OperatorIdentity } from "./OperatorIdentity.ts"
import { OperatorSettings } from "./OperatorSettings.ts"

/** A status that says the same is written again after this long, give or take half (a kubelet's 5 minutes). */
const heartbeatMillis = 5 * 60_000
/** Tries of a write of the Node that meets others' writes, before the first pause. */
const tries = 4
/** What may not be written, because device or Node seem to be somebody else's, is looked at again after so long. */
const askAgainMillis = 10_000

/** A device that is there links within a moment of its EdgeDevice: its Node is then made whole, in one write. */
const firstLink = "2 seconds"

const monotonicMillis = Effect.map(Clock.monotonicTimeNanos, (nanos) => Number(nanos / 1_000_000n))

const upTo = (most: Duration.Input) =>
  Schedule.min([Schedule.exponential("500 millis"), Schedule.spaced(most)]).pipe(Schedule.jittered)
const again = upTo("30 seconds")
/** The controllers wait for a Lease, and not for long: after no more than a kubelet takes. */
const renewAgain = upTo("6 seconds")

/** A subject of its own needs a listener of its own: the certificate of all Nodes can say only one thing. */
const doorSubject = (cert: EdgeDevice["spec"]["node"]["cert"], always: boolean): DoorSubject | undefined => {
  const { country = "", locality = "", org = "", orgUnit = "", state = "" } = cert ?? {}
  if ([country, locality, org, orgUnit, state].every((text) => text === "")) return always ? {} : undefined
  return {
    country,
    state,
    locality,
    organizations: ["system:nodes", ...org === "" ? [] : [org]],
    organizationalUnit: orgUnit
  }
}

export interface NodeKeeper {
  /** Something the Node shows may have changed. */
  readonly look: () => void
  /** The Node, once it is there and ours. */
  readonly node: () => Node | undefined
}

export const keepNode = Effect.fnUntraced(function*(
  context: DeviceContext,
  options: {
    readonly connected: () => boolean
    /** What is wrong with the broker, where that is why the device is away. */
    readonly brokerDown: () => string | undefined
    /** Since when the device is away, as far as this process knows. */
    readonly absence: DeviceAbsence
    /** Why it is. */
    readonly reason: () => DisconnectReason
    /** Whether this process speaks for the device; while it does not, nothing of the device is written. */
    readonly holds: () => boolean
    /** Who has the device, and since which takeover. */
    readonly heldBy: () => string
    /** Takes the device from a process that died, if it is still the one that has it; whether it was taken. */
    readonly claim: (from: string) => Effect.Effect<boolean, KubeApiError>
    /** Tells whether a Node of this name belongs to somebody else. */
    readonly conflict: (sentence: string | undefined) => Effect.Effect<void>
  }
) {
  const api = yield* KubeApi
  const index = yield* NodeIndex
  const doors = yield* NodeDoors
  const identity = yield* OperatorIdentity
  const settings = yield* OperatorSettings
  const bell = yield* Queue.sliding<void>(1)
  const look = () => void Queue.offerUnsafe(bell, undefined)
  const at = { name: context.name }
  const leaseAt = { name: context.name, namespace: leaseNamespace }

  /** When the Node is written or, where that may not be, looked at again; by the monotonic clock, 0 before the first time. */
  let nextHeartbeat = 0
  let ours: Node | undefined
  /** The version that our last write of the Node made. */
  let ourVersion: string | undefined
  /** A Node of this name was there when ours was to be made. */
  let taken = false
  /** Our Node was made just now: there is hardly a Lease yet. */
  let newborn = false
  /** Open while the Node is there and ours: only then is there a Lease to renew. */
  const owned = yield* Latch.make()

  /** The newest renewal of the Lease, milliseconds since 1970, and the epoch under which it was made: others' clocks may differ. */
  let renewed: { readonly at: number; readonly under: number } | undefined

  /** When the Node's Ready turns False for the device's absence, by the wall clock; Infinity where it does not. */
  let unreadyAt = Number.POSITIVE_INFINITY

  const state = Effect.fnUntraced(function*(node: Node | undefined, now: number): Effect.fn.Return<DeviceState> {
    const report = yield* SubscriptionRef.get(context.nodeReport)
    const brokerDown = options.brokerDown()
    const { notReadyAfter } = (yield* SubscriptionRef.get(context.device)).spec.partition
    const before = node?.status?.conditions?.find(({ type }) => type === "DeviceConnected")
    const away = before?.status === "False" && !options.connected()
    // By what the Node says itself, so that it goes on over restarts of the operator; and by what this process has seen, as
    // operators' clocks may differ.
    const told = now - (parseTimestamp(before?.lastTransitionTime) ?? now)
    const seen = (yield* monotonicMillis) - (options.absence.since() ?? Number.POSITIVE_INFINITY)
    unreadyAt = away && notReadyAfter !== undefined
      ? now + Duration.toMillis(notReadyAfter) - Math.max(told, seen)
      : Number.POSITIVE_INFINITY
    return {
      report,
      connected: options.connected(),
      disconnectReason: options.reason(),
      disconnectDetail: brokerDown,
      awayTooLong: now >= unreadyAt,
      givenUp: !options.connected() && isOutOfService(node),
      version: identity.version,
      kubelet: doors.endpointOf(context.name)
    }
  })

  /** One of others, too, of which no watch tells. */
  const lookUp = api.get(Nodes, at).pipe(
    Effect.map((node): Node | undefined => node),
    Effect.catch((error) => error.reason === "NotFound" ? Effect.undefined : Effect.fail(error))
  )

  /** Undefined where there is most probably none: the attempt to make it tells. */
  const find = Effect.suspend(() => {
    const known = index.get(context.name)
    return known !== undefined || !taken ? Effect.succeed(known) : lookUp
  })

  /** Whoever wrote the Node anew after us may have taken the device, which the watch need not have told yet: two would write for ever. */
  const mayWrite = Effect.fnUntraced(function*(found: Node) {
    return ourVersion === undefined || found.metadata.resourceVersion === ourVersion || (yield* context.hold.standsYet)
  })

  const written = Effect.gen(function*() {
    ourVersion = ours?.metadata.resourceVersion
    nextHeartbeat = (yield* monotonicMillis) + heartbeatMillis * (0.5 + (yield* Random.next))
  })

  /** Another version of the Node is there than was found, or another Node; no watch need have told, and of others' none tells. */
  const lookAnew = Effect.fnUntraced(function*(node: Node) {
    const now = yield* lookUp
    if (now !== undefined && now.metadata.uid === node.metadata.uid) return index.learn(now)
    index.forget(node)
    taken = now !== undefined
  })

  /** Of the Node as it was found. One that is gone, of which no watch has told, is made anew the next time. */
  const unlessAnother = <A>(node: Node, write: Effect.Effect<A, KubeApiError>) =>
    write.pipe(
      Effect.mapError((error) =>
        // Another uid under the same name: the API calls the uid in the patch an invalid change of an immutable field.
        error.reason === "Invalid" && error.detail.includes("metadata.uid")
          ? new KubeApiError({ reason: "Conflict", status: 409, detail: error.detail })
          : error
      ),
      Effect.tapError((error) => {
        if (error.reason === "Conflict") return lookAnew(node)
        return Effect.sync(() => error.reason === "NotFound" && index.forget(node))
      })
    )

  const writeStatus = Effect.fnUntraced(function*(node: Node, status: NodeStatus) {
    ours = yield* unlessAnother(
      node,
      api.patch(Nodes, { ...at, subresource: "status" }, { type: "strategic", body: statusPatch(node, status) })
    )
    index.learn(ours)
    yield* written
    return node
  })

  /** One look at the Node as it is; each write only where something differs. */
  const step = Effect.gen(function*(): Effect.fn.Return<void, KubeApiError> {
    if (!options.holds()) {
      ours = undefined
      ourVersion = undefined
      newborn = false
      if ((yield* SubscriptionRef.get(context.owned)) !== undefined) {
        yield* SubscriptionRef.set(context.owned, undefined)
      }
      yield* owned.close
      return
    }
    const device = yield* SubscriptionRef.get(context.device)
    const now = yield* Clock.currentTimeMillis
    const found = yield* find
    const mine = found === undefined || owns(found, device, identity.installation)
    if (mine) yield* doors.wish(context.name, doorSubject(device.spec.node.cert, settings.kubeletPerNode))
    // A restarted operator goes on with what the Node says: a device that is away keeps its Node Ready (policy keep).
    if (found !== undefined && mine) {
      yield* SubscriptionRef.update(context.nodeReport, (report) => report ?? lastKnown(found))
    }
    const seen = yield* state(found, now)
    const desired = desiredNode(device, seen.report?.host, {
      installation: identity.installation,
      connected: seen.connected
    })
    if (found === undefined) {
      // It was there: whoever took it away may have taken leave of the device, which the watch need not have told yet.
      if (ours !== undefined && !(yield* context.hold.standsYet)) return
      const status = nodeStatus(device, seen, undefined, now)
      ours = yield* Effect.tapError(api.create(Nodes, newNode(device, desired, status)), (error) =>
        Effect.sync(() => {
          taken = error.reason === "AlreadyExists"
        }))
      taken = false
      newborn = true
      index.learn(ours)
      yield* written
      yield* options.conflict(undefined)
      yield* SubscriptionRef.set(context.owned, true)
      yield* owned.open
      return
    }
    if (!mine) {
      ours = undefined
      // No watch tells of a Node without our labels.
      nextHeartbeat = (yield* monotonicMillis) + askAgainMillis
      if ((yield* SubscriptionRef.get(context.owned)) !== false) yield* SubscriptionRef.set(context.owned, false)
      yield* owned.close
      if (isRemnant(found, device, identity.installation) && (yield* context.hold.standsYet)) {
        yield* Effect.logWarning(`Node ${context.name} was left behind by an EdgeDevice of this name: it is made anew`)
        return yield* api.delete(Nodes, at, { uid: found.metadata.uid ?? "" }).pipe(
          Effect.catch((error) => error.reason === "NotFound" ? Effect.void : Effect.fail(error))
        )
      }
      return yield* options.conflict(
        `Node ${context.name} exists and is not of this EdgeDevice: rename the EdgeDevice, or remove that Node`
      )
    }
    yield* options.conflict(undefined)
    ours = found
    if ((yield* SubscriptionRef.get(context.owned)) !== true) yield* SubscriptionRef.set(context.owned, true)
    yield* owned.open
    const patch = nodePatch(found, desired)
    const due = (yield* monotonicMillis) >= nextHeartbeat
    const news = patch !== undefined || differs(found, nodeStatus(device, seen, found.status, now))
    // A device that has left may have gone to another operator, of which nothing is heard here yet.
    const leaves = !seen.connected &&
      found.status?.conditions?.some(({ status, type }) => type === "DeviceConnected" && status === "True") === true
    // A heartbeat says all of it again, and the watch of Nodes may be behind as well.
    if (((due || leaves) && !(yield* context.hold.standsYet)) || (news && !(yield* mayWrite(found)))) {
      nextHeartbeat = Math.max(nextHeartbeat, (yield* monotonicMillis) + askAgainMillis)
      return
    }
    if (patch !== undefined) {
      ours = yield* unlessAnother(found, api.patch(Nodes, at, { type: "merge", body: patch }))
      ourVersion = ours.metadata.resourceVersion
      index.learn(ours)
    }
    const status = nodeStatus(device, seen, ours.status, now)
    if (differs(ours, status) || due) yield* writeStatus(ours, status)
  }).pipe(
    // Others write Nodes as well: what was looked at anew is written before they do so again.
    Effect.retry({ times: tries - 1, while: ({ reason }) => reason === "Conflict" })
  )

  const patiently = <A>(work: Effect.Effect<A, KubeApiError>, schedule: typeof again) => {
    let said: string | undefined
    const told = Effect.tapError(work, ({ message, reason }) => {
      if (reason === "Conflict" || reason === "AlreadyExists") return Effect.void
      const log = message === said ? Effect.logDebug : Effect.logWarning
      said = message
      return log(`Node ${context.name}: ${message}`)
    })
    // The schedule is set up after a failure only: a renewal that succeeds, every twelve seconds, has no use for it.
    return Effect.catch(told, (first) => {
      let failed = false
      const next = Effect.suspend(() => {
        if (failed) return told
        failed = true
        return Effect.fail(first)
      })
      return Effect.retry(next, { schedule })
    })
  }

  /** Whoever holds a device without a Node has no Lease to renew, and nothing to do for it but to take leave of it. */
  const isNobodysToRenew = Effect.gen(function*() {
    if (context.leaving()) return false
    const node = index.get(context.name) ?? (yield* lookUp)
    return node !== undefined && !owns(node, yield* SubscriptionRef.get(context.device), identity.installation)
  })

  const lease = yield* leaseWatch(context.name)
  /** Whose the device was when its Lease was looked at last: the next one has its time anew. */
  let watched: string | undefined
  /** Looks whether the process that holds the device still renews its Lease. */
  const standBy = Effect.gen(function*(): Effect.fn.Return<void, KubeApiError> {
    if (options.holds() || (yield* isNobodysToRenew)) return yield* lease.forget
    const holder = options.heldBy()
    if (holder !== watched) yield* lease.forget
    watched = holder
    if (!(yield* lease.isNobodys)) return
    yield* Effect.logWarning(`the operator that held ${context.key} renews its Lease no more: taking the device over`)
    yield* (yield* options.claim(holder)) ? lease.taken : lease.forget
  }).pipe(
    // As where the Lease itself could not be looked at. What could not be written here the holder could not renew, perhaps.
    Effect.tapError(() => lease.forget)
  )

  const lastRenewal = api.get(Leases, leaseAt).pipe(
    Effect.map(({ spec }) => parseTimestamp(spec?.renewTime) ?? 0),
    Effect.catch((error) => error.reason === "NotFound" ? Effect.succeed(0) : Effect.fail(error))
  )

  const renew = Effect.gen(function*(): Effect.fn.Return<void, KubeApiError> {
    const node = ours
    const under = context.hold.epoch()
    if (node === undefined || under === undefined) return
    const before = renewed?.under === under ? renewed.at : newborn ? 0 : yield* lastRenewal
    // The node lifecycle controller hears only of renewals that are later than the one before, whoever's clock was set back.
    const now = Math.max(yield* Clock.currentTimeMillis, before + 1)
    const uid = node.metadata.uid ?? ""
    const make = api.create(Leases, nodeLease({ name: context.name, uid }, now))
    const prolong = api.patch(Leases, leaseAt, { type: "merge", body: renewal(now) })
    const [likely, unless, other] = newborn
      ? [make, "AlreadyExists", prolong] as const
      : [prolong, "NotFound", make] as const
    yield* Effect.catch(likely, (error) => error.reason === unless ? other : Effect.fail(error))
    newborn = false
    renewed = { at: now, under }
  })

  yield* index.synced
  yield* index.follow(context.name, look)
  yield* doors.follow(context.name, look)
  /** A Node that is there is looked at at once; one that is to be made waits a moment for what the device says of itself. */
  const reported = SubscriptionRef.changes(context.nodeReport).pipe(
    Stream.filter((report) => report !== undefined),
    Stream.runHead,
    Effect.timeoutOption(firstLink)
  )
  const introduced = Effect.suspend(() => index.get(context.name) === undefined ? Effect.asVoid(reported) : Effect.void)
  yield* Effect.forever(Effect.gen(function*() {
    yield* Effect.orDie(patiently(step, again))
    const unready = unreadyAt - (yield* Clock.currentTimeMillis)
    const next = Math.min(nextHeartbeat - (yield* monotonicMillis), unready > 0 ? unready : Number.POSITIVE_INFINITY)
    const left = options.holds() ? Math.max(1000, next) : heartbeatMillis
    yield* Effect.timeoutOption(Queue.take(bell), Duration.millis(left))
  })).pipe((looking) => Effect.andThen(introduced, looking), Effect.forkScoped)
  yield* Effect.forever(Effect.gen(function*() {
    yield* owned.await
    yield* Effect.orDie(patiently(renew, renewAgain))
    yield* Effect.sleep(renewMillis * (1 - renewJitter * (yield* Random.next)))
  })).pipe(Effect.forkScoped)

  yield* Effect.forever(
    Effect.sleep(standByMillis).pipe(
      Effect.andThen(standBy),
      Effect.catch((error) => Effect.logDebug(`Lease of ${context.name}: ${error.message}`))
    )
  ).pipe(Effect.forkScoped)

  return { look, node: () => ours } satisfies NodeKeeper
})

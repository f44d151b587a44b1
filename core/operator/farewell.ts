/** What happens when an EdgeDevice is deleted: its pods end, the device forgets, and nothing of it stays in the cluster. */
import { Duration, Effect, Schedule, Stream, SubscriptionRef } from "effect"
import { Base64 } from "effect/encoding"
import { type EdgeDevice, EdgeDevices } from "../device/EdgeDevice.ts"
import { Leases } from "../kube/kinds.ts"
import { KubeApi, type KubeApiError } from "../kube/KubeApi.ts"
import { type Node, Nodes } from "../kube/Node.ts"
import { type Pod, Pods } from "../kube/Pod.ts"
import { parseTimestamp } from "../kube/time.ts"
import { LinkError, type Session } from "../link/Session.ts"
import { owns } from "../node/desiredNode.ts"
import { leaseNamespace } from "../node/lease.ts"
import { askDevice } from "./askDevice.ts"
import type { DeviceContext } from "./DeviceContext.ts"
import { DeviceRegistry } from "./DeviceRegistry.ts"
import { OperatorIdentity } from "./OperatorIdentity.ts"
import { OperatorSettings } from "./OperatorSettings.ts"
import { podWrites } from "./podWrites.ts"
import { Revocations } from "./Revocations.ts"

/** Holds an EdgeDevice until its device, its Node and what belongs to them have been taken care of. */
export const finalizer = "aranya.arhat.dev/device"

/** Before anything is made in the cluster that would outlive the EdgeDevice. */
export const addFinalizer = Effect.fnUntraced(function*({ name, namespace, uid }: EdgeDevice) {
  const registry = yield* DeviceRegistry
  yield* registry.swapFinalizers(
    { key: `${namespace}/${name}`, uid },
    (finalizers, { metadata }) =>
      metadata.deletionTimestamp !== undefined || finalizers.includes(finalizer)
        ? undefined
        : [...finalizers, finalizer]
  )
})

/** A link may be down for a moment while the device dials again. */
const downAtMost = Duration.seconds(10)
/** A device answers a plain question at once; one that does not has vanished, though its link may not know it for two minutes. */
const answersWithin = Duration.seconds(20)

const again = Schedule.min([Schedule.exponential("500 millis"), Schedule.spaced("30 seconds")]).pipe(Schedule.jittered)

/** Whether leave was taken: another operator that has the device by now takes leave of it itself. */
export const farewell = Effect.fnUntraced(function*(
  context: DeviceContext,
  options: {
    /** Ends what would make the Node anew. */
    readonly stopKeeping: Effect.Effect<void>
    /** The device is to be told when it comes back. */
    readonly untold: () => void
  }
) {
  const api = yield* KubeApi
  const registry = yield* DeviceRegistry
  const identity = yield* OperatorIdentity
  const settings = yield* OperatorSettings
  const revocations = yield* Revocations
  const { finalise } = yield* podWrites

  const absent = (error: KubeApiError) => error.reason === "NotFound" || error.reason === "Conflict"
  const unlessAbsent = <A>(work: Effect.Effect<A, KubeApiError>) =>
    work.pipe(Effect.asVoid, Effect.catch((error) => absent(error) ? Effect.void : Effect.fail(error)))

  const link = () => registry.get(context.key)?.status?.link

  /** Whether the API itself says that another operator has it; an EdgeDevice whose finalizer somebody took away is nobody's. */
  const isElsewhere = api.get(EdgeDevices, { namespace: context.namespace, name: context.name }).pipe(
    Effect.map(({ metadata, status }) =>
      metadata.uid === context.uid && status?.link?.holder !== undefined && status.link.holder !== identity.holder
    ),
    Effect.catch((error) => absent(error) ? Effect.succeed(false) : Effect.fail(error))
  )

  /** Ending pods takes its time, and so would waiting for a device that is not there: it is asked for a sign of life first. */
  const wipe = (session: Session) =>
    askDevice(session, { _tag: "ListHeld" }, { timeoutMillis: Duration.toMillis(answersWithin) }).pipe(
      // No is an answer, too.
      Effect.catchIf(({ reason }) => reason === "Refused" || reason === "Overloaded", () => Effect.void),
      Effect.andThen(askDevice(
        session,
        { _tag: "Wipe", reason: "the EdgeDevice was deleted" },
        { timeoutMillis: Duration.toMillis(Duration.fromInputUnsafe(settings.farewell)) }
      )),
      // What this side ended itself says nothing of the device: an operator that is stopping leaves the rest to its next life.
      Effect.tapError(({ reason }) => reason === "Closed" ? Effect.sleep(downAtMost) : Effect.void),
      Effect.raceFirst(staysDown(session))
    )

  /** The device is asked to end everything and to wipe; one that is away or does not manage is told when it comes back. */
  const tellDevice = Effect.gen(function*() {
    let told = false
    let asked: Session | undefined
    let session = yield* SubscriptionRef.get(context.session)
    // One that began a new session meanwhile, as after a reboot, is asked in that one.
    while (!told && session !== undefined && session !== asked) {
      asked = session
      told = yield* wipe(session).pipe(
        Effect.as(true),
        Effect.catch((error) =>
          Effect.as(
            Effect.logWarning(`EdgeDevice ${context.key}: the device did not confirm its wipe: ${error.message}`),
            false
          )
        )
      )
      session = yield* SubscriptionRef.get(context.session)
    }
    // Until the operator to which it has gone has wiped it, nothing of it may go.
    if (!told && (yield* Effect.orDie(Effect.retry(isElsewhere, again)))) return false
    const publicKey = link()?.publicKey
    const key = publicKey === undefined ? undefined : Base64.decode(publicKey)
    if (!told && key?._tag === "Success") {
      yield* revocations.revoke(context.key, key.success)
      options.untold()
    }
    // Nobody is to write of a device that is going that its link is down.
    yield* options.stopKeeping
    if (session !== undefined) yield* session.close("the EdgeDevice was deleted")
    return true
  })

  const nodeNow = api.get(Nodes, { name: context.name }).pipe(
    Effect.map((found): Node | undefined => found),
    Effect.catch((error) => absent(error) ? Effect.undefined : Effect.fail(error))
  )
  /** As the API itself has them: one that the watch has not shown yet would be the next device's of this name. */
  const podsHere = api.list(Pods, { fieldSelector: `spec.nodeName=${context.name}` })
  const finaliseAll = (pods: ReadonlyArray<Pod>) => Effect.forEach(pods, finalise, { concurrency: 8, discard: true })

  /** The Node that is to go, once that is decided: a try whose answer was lost may have made room for another device's. */
  let going: { readonly node: string | undefined } | undefined
  let cleared = false
  const clearNode = Effect.gen(function*(): Effect.fn.Return<void, KubeApiError> {
    if (going === undefined) {
      // In this order: pods that were there before the Node was still this device's are, too. A watch might show the Node of days gone by.
      const pods = yield* podsHere
      const node = yield* nodeNow
      const mine = node === undefined
        ? (yield* SubscriptionRef.get(context.owned)) !== false
        : owns(node, { uid: context.uid }, identity.installation)
      if (!mine) return
      // Before the Node, which may be another device's a moment after: that one must not meet them.
      yield* finaliseAll(pods)
      if (node !== undefined) yield* unlessAbsent(api.delete(Leases, { namespace: leaseNamespace, name: context.name }))
      going = { node: node?.metadata.uid }
    }
    if (going.node !== undefined) yield* unlessAbsent(api.delete(Nodes, { name: context.name }, { uid: going.node }))
    cleared = true
  })
  const clearCluster = Effect.gen(function*(): Effect.fn.Return<void, KubeApiError> {
    if (!cleared) yield* clearNode
    if (!cleared) return
    // Controllers have made new ones for the Node in place of those that went. What is younger than the next Node is that one's.
    const left = yield* podsHere
    const next = left.length === 0 ? undefined : parseTimestamp((yield* nodeNow)?.metadata.creationTimestamp)
    yield* finaliseAll(
      left.filter((pod) => (parseTimestamp(pod.metadata.creationTimestamp) ?? 0) <= (next ?? Infinity))
    )
  })

  const release = unlessAbsent(
    registry.swapFinalizers(
      { key: context.key, uid: context.uid },
      (finalizers) => finalizers.includes(finalizer) ? finalizers.filter((other) => other !== finalizer) : undefined
    )
  )

  if (!(yield* tellDevice)) return false
  yield* clearCluster.pipe(
    Effect.andThen(release),
    Effect.tapError((error) => Effect.logWarning(`deleting EdgeDevice ${context.key}: ${error.message}`)),
    Effect.retry(again),
    Effect.orDie
  )
  yield* Effect.logInfo(`EdgeDevice ${context.key} is gone, and all that belonged to it`)
  return true
})

/** Fails once no connection has carried the session for longer than a new one takes. */
const staysDown = (session: Session) =>
  SubscriptionRef.changes(session.connected).pipe(
    Stream.debounce(downAtMost),
    Stream.filter((connected) => !connected),
    Stream.take(1),
    Stream.runDrain,
    Effect.andThen(
      new LinkError({ reason: "Timeout", detail: `its link has been down for ${Duration.format(downAtMost)}` })
    )
  )

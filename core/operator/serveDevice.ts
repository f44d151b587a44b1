/** Everything one EdgeDevice needs for as long as it exists: its Node, its pods, its status, its session, its farewell. */
import {
  Clock,
  Deferred,
  Effect,
  Exit,
  Fiber,
  FiberHandle,
  Option,
  Schedule,
  Scope,
  Semaphore,
  Stream,
  SubscriptionRef
} from "effect"
import { decodeEdgeDevice } from "../device/decodeEdgeDevice.ts"
import type { EdgeDevice, EdgeDeviceObject } from "../device/EdgeDevice.ts"
import type { KubeApi } from "../kube/KubeApi.ts"
import { type DeviceHello, Refused } from "../link/Hello.ts"
import type { Handlers, Session } from "../link/Session.ts"
import { absenceSentence, type DisconnectReason, isOutOfService } from "../node/nodeStatus.ts"
import type { ResolveSettings } from "../pod/resolve/Resolution.ts"
import type { NodeReport } from "../wire/Event.ts"
import { aboutDevice } from "./aboutDevice.ts"
import { askWithin } from "./askDevice.ts"
import { deviceAbsence } from "./deviceAbsence.ts"
import { DeviceClock } from "./DeviceClock.ts"
import type { DeviceContext } from "./DeviceContext.ts"
import { deviceHandlers } from "./deviceHandlers.ts"
import { deviceHold } from "./DeviceHold.ts"
import { devicePods, releaseOrphansAnnotation } from "./devicePods.ts"
import { DeviceRegistry } from "./DeviceRegistry.ts"
import { type DeviceTraffic, deviceTraffic } from "./deviceTraffic.ts"
import { deviceUsage, type DeviceUsageKnown } from "./deviceUsage.ts"
import { disconnectedPods } from "./disconnectedPods.ts"
import { EventRecorder } from "./EventRecorder.ts"
import { addFinalizer, farewell } from "./farewell.ts"
import { forcedSync } from "./forcedSync.ts"
import { keepBroker } from "./keepBroker.ts"
import { keepFinalizer } from "./keepFinalizer.ts"
import { keepHostPod } from "./keepHostPod.ts"
import { keepIdentity } from "./keepIdentity.ts"
import { keepNode } from "./keepNode.ts"
import { keepPartition } from "./keepPartition.ts"
import { keepService } from "./keepService.ts"
import { keepStatus } from "./keepStatus.ts"
import { NodeIndex } from "./NodeIndex.ts"
import { OperatorIdentity } from "./OperatorIdentity.ts"
import { OperatorSettings } from "./OperatorSettings.ts"
import { PodIndex } from "./PodIndex.ts"
import { Revocations } from "./Revocations.ts"
import { tellRefusals } from "./tellRefusals.ts"

export interface ServedDevice {
  readonly context: DeviceContext
  readonly traffic: DeviceTraffic
  readonly usage: DeviceUsageKnown
  readonly connected: () => boolean
  /** Since when it is away, and why where it is. */
  readonly absence: { readonly since: () => number | undefined; readonly reason: () => DisconnectReason }
  /** Pods given up since this process began. */
  readonly replaced: () => number
  /** Whether this process speaks for it. */
  readonly holds: () => boolean
  /** The object changed. */
  readonly update: (object: EdgeDeviceObject) => Effect.Effect<void>
  /** The device linked: what is to be done with what it says. Refused where it is not served any more. */
  readonly attach: (session: Session, hello: DeviceHello) => Effect.Effect<Handlers, Refused>
}

const again = Schedule.min([Schedule.exponential("500 millis"), Schedule.spaced("30 seconds")]).pipe(Schedule.jittered)

/** What an operator that stops may spend on its last counters. */
const lastWrite = "2 seconds"

/** A digest of nothing: the device is asked. */
const nothing = new Uint8Array(0)

/** A device that came before its EdgeDevice was heard of, or as it went. */
export const notServed = Effect.fail(
  new Refused({ code: "Unavailable", detail: "the EdgeDevice is not served yet: try again" })
)

/** The device is served until the scope closes; completes `gone` once a deleted EdgeDevice has been taken leave of. */
export const serveDevice = Effect.fnUntraced(function*(
  first: EdgeDevice,
  gone: Deferred.Deferred<void>,
  /** Outlives the serving of this device, and no more than the operator: a farewell goes on in it. */
  operating: Scope.Scope
) {
  const registry = yield* DeviceRegistry
  const nodes = yield* NodeIndex
  const settings = yield* OperatorSettings
  const events = yield* EventRecorder
  const services = yield* Effect.context<
    KubeApi | DeviceRegistry | OperatorIdentity | Revocations | PodIndex | NodeIndex
  >()
  const key = `${first.namespace}/${first.name}`
  yield* addFinalizer(first).pipe(
    tellRefusals(`EdgeDevice ${key} is not served without its finalizer`),
    Effect.retry({ schedule: again, while: (error) => error.reason !== "NotFound" }),
    Effect.catch(() => Effect.void)
  )

  const device = yield* SubscriptionRef.make(first)
  const session = yield* SubscriptionRef.make<Session | undefined>(undefined)
  const nodeReport = yield* SubscriptionRef.make<NodeReport | undefined>(undefined)
  const owned = yield* SubscriptionRef.make<boolean | undefined>(undefined)
  const deviceClock = new DeviceClock(yield* Clock.Clock)
  let agentVersion: string | undefined
  let method: string | undefined
  let annotationsSeen: Readonly<Record<string, string>> = {}
  let deleting = false

  const life = yield* Effect.scope
  const hold = yield* deviceHold(first)

  const context: DeviceContext = {
    key,
    namespace: first.namespace,
    name: first.name,
    uid: first.uid,
    device,
    session,
    nodeReport,
    owned,
    hold,
    clockOffset: () => deviceClock.offset(),
    leaving: () => deleting || registry.get(key)?.metadata.deletionTimestamp !== undefined
  }

  const usage = yield* deviceUsage(context)

  const resolveSettings = (): ResolveSettings => {
    const { spec } = SubscriptionRef.getUnsafe(device)
    const host = SubscriptionRef.getUnsafe(nodeReport)?.host
    return {
      nodeName: context.name,
      operatingSystem: host?.operatingSystem ?? "linux",
      allowServiceAccountTokens: spec.credentials.allowServiceAccountTokens,
      clusterDomain: settings.clusterDomain,
      clusterDns: settings.clusterDns,
      dns: spec.pod.dns,
      allocatable: {
        cpuMillis: host?.cpuMillis ?? 0,
        memoryBytes: host?.memoryBytes ?? 0,
        storageBytes: host?.storageBytes ?? 0
      }
    }
  }

  const status = yield* keepStatus(context, first)
  const traffic = yield* deviceTraffic(context, {
    stored: first.status.traffic,
    onExhausted: (_, sentence) => status.exhausted(sentence)
  })
  /** Whether this process is the one that speaks for the device: whoever took it last does, all others say nothing. */
  const holds = () => hold.epoch() !== undefined
  const holding = yield* SubscriptionRef.make(false)
  /** Whether a connection carries the session now; a session outlives connections for a while. */
  const connected = () => {
    const linked = SubscriptionRef.getUnsafe(session)
    return linked !== undefined && SubscriptionRef.getUnsafe(linked.connected)
  }

  // Whoever has the device next, or has it already, goes on counting where this process ends.
  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => {
      if (!traffic.due(true)) return Effect.void
      return registry.swapStatus({ key, uid: context.uid }, (before) => {
        const counted = traffic.rest(before.traffic)
        return counted && { ...before, traffic: counted }
      }).pipe(Effect.timeoutOption(lastWrite), Effect.ignore)
    })
  )

  const absence = yield* deviceAbsence(first.status.conditions?.find(({ type }) => type === "Connected"))

  yield* keepIdentity(context)
  const keeping = yield* Scope.fork(life)
  const service = yield* keepService(context, { holds }).pipe(Scope.provide(keeping))
  let lookAtNode = () => {}
  const broker = yield* keepBroker(context, {
    holding,
    changed: () => {
      lookAtNode()
      status.look()
    }
  })
  /** Why a device that is away is away, where its broker is the reason: it is the way it came last, or is to come first. */
  const brokerDown = () => {
    const { spec } = SubscriptionRef.getUnsafe(device)
    return (method ?? spec.connectivity.method) === "mqtt" ? broker.down() : undefined
  }
  /** The one reason that Node, EdgeDevice and metrics give. */
  const reason = (): DisconnectReason => {
    if (brokerDown() !== undefined) return "BrokerDown"
    return absence.reason() ?? (SubscriptionRef.getUnsafe(nodeReport) === undefined ? "NeverConnected" : "LinkDown")
  }
  const node = yield* keepNode(context, {
    connected,
    brokerDown,
    absence,
    reason,
    holds,
    heldBy: status.heldBy,
    claim: status.claim,
    conflict: status.conflict
  }).pipe(Scope.provide(keeping))
  let lookAtHostPod = () => {}
  lookAtNode = () => {
    node.look()
    lookAtHostPod()
  }
  const pods = yield* devicePods(context, {
    resolveSettings,
    wasReplaced: (uid) => registry.get(key)?.status?.partition?.replaced?.includes(uid) === true,
    mayReleaseOrphans: () =>
      annotationsSeen[releaseOrphansAnnotation] !== undefined || isOutOfService(nodes.get(first.name)),
    mirrorChanged: () => lookAtHostPod()
  })
  lookAtHostPod = (yield* keepHostPod(context, { connected, holds }).pipe(Scope.provide(keeping))).look
  const away = yield* disconnectedPods(context, {
    connected,
    absence,
    holding,
    why: () => brokerDown() ?? absenceSentence(reason()),
    look: pods.look
  })
  const partition = yield* keepPartition(context, { connected, absence, end: pods.end, endGone: pods.endGone })

  /** Another process has taken the device, or this one has: who lost it lets the device go, so that it finds the other. */
  const settleHold: Effect.Effect<void> = Effect.gen(function*() {
    const linked = SubscriptionRef.getUnsafe(session)
    if (!holds() && linked !== undefined) yield* linked.close("another operator has taken this device")
    // Read as it is set: several settle at once, and it may have changed while one of them waited.
    const turned = yield* SubscriptionRef.modifySome(holding, (before): readonly [boolean, Option.Option<boolean>] => {
      const held = holds()
      return held === before ? [false, Option.none()] : [true, Option.some(held)]
    })
    if (!turned) return
    service.look()
    if (SubscriptionRef.getUnsafe(holding)) yield* absence.anew
    partition.look()
    lookAtNode()
    status.look()
  })

  yield* status.keep({
    traffic,
    absence,
    reason,
    holds,
    connected,
    brokerDown,
    brokerCondition: broker.condition,
    method: () => method,
    agentVersion: () => agentVersion,
    settled: settleHold
  }).pipe(Effect.forkIn(keeping))

  const lookAgain = Effect.sync(() => {
    lookAtNode()
    status.look()
  })
  /** Sessions overlap where one follows another: each word of theirs waits for the one before, and goes by what is true by then. */
  const inTurn = (yield* Semaphore.make(1)).withPermit
  const isBack = (linked: Session) =>
    inTurn(Effect.suspend(() =>
      connected()
        ? absence.back.pipe(
          Effect.andThen(Effect.sync(partition.look)),
          Effect.andThen(lookAgain),
          Effect.andThen(pods.carried),
          Effect.andThen(away.back)
        )
        // It was there, for a moment: the device may have heard so, and its leash goes on from that.
        : Effect.andThen(absence.back, absence.left(linked.absence()))
    ))
  /** A session that was followed by another, which is carried, has nothing more to say. */
  const hasLeft = (linked: Session) =>
    inTurn(Effect.suspend(() => {
      if (connected()) return lookAgain
      return absence.left(linked.absence()).pipe(
        Effect.andThen(Effect.sync(partition.look)),
        Effect.andThen(lookAgain),
        Effect.andThen(away.left)
      )
    }))

  yield* SubscriptionRef.changes(owned).pipe(
    Stream.runForEach((mine) =>
      Effect.sync(() => {
        lookAtHostPod()
        if (mine === true) pods.lookAtAll()
      })
    ),
    Effect.forkScoped
  )
  const makeHandlers = yield* deviceHandlers(context, {
    pods,
    nameConflict: status.nameConflict,
    learn: (report) =>
      Effect.suspend(() => {
        deviceClock.says(report.at)
        agentVersion = report.agentVersion
        return SubscriptionRef.set(nodeReport, report)
      }).pipe(Effect.andThen(lookAgain), Effect.andThen(Effect.sync(pods.lookAtAll)))
  })

  const sessionLife = yield* FiberHandle.make()
  /** The session that came last, whether anybody has taken care of it yet or not. */
  let newest: Session | undefined
  let over = false
  // A session of which nobody takes care any more must not outlive the EdgeDevice: the device would never begin another. Its deletion
  // may not have been heard of before its end was, or before the next one of its name was there.
  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => {
      over = true
      const isGone = deleting || registry.get(key)?.metadata.uid !== context.uid
      return isGone && newest !== undefined ? newest.close("the EdgeDevice was deleted") : Effect.void
    })
  )
  /** Whoever gives an EdgeDevice another key trusts the former no more, not even until its link breaks by itself. */
  const endStrangers = Effect.fnUntraced(function*(object: EdgeDeviceObject) {
    const { publicKey } = (yield* Effect.option(decodeEdgeDevice(object))).pipe(
      Option.match({ onNone: () => SubscriptionRef.getUnsafe(device), onSome: (now) => now })
    ).spec.identity
    const known = object.status?.link?.publicKey
    if (publicKey === undefined || known === undefined || publicKey === known) return
    const linked = yield* SubscriptionRef.get(session)
    if (linked !== undefined) yield* linked.close("its EdgeDevice knows another key now")
  })

  const attach = Effect.fnUntraced(function*(unguarded: Session, hello: DeviceHello) {
    if (over) return yield* notServed
    newest = unguarded
    const linked = traffic.guard(unguarded)
    method = hello.method
    agentVersion = hello.agentVersion
    usage.linked(hello.capabilities)
    yield* FiberHandle.run(
      sessionLife,
      Effect.gen(function*() {
        // It was heard, whatever becomes of its connection before anybody looks: its leash goes on from that.
        yield* absence.anew
        pods.heldUnder(hold.epoch())
        yield* SubscriptionRef.set(session, linked)
        yield* settleHold
        // It was admitted with the key that was right then: an edit since has met no session to end.
        const object = registry.get(key)
        if (object !== undefined) yield* endStrangers(object)
        yield* partition.begin(linked, hello)
        yield* Effect.logInfo(`device ${context.key} is connected by ${hello.method}`)
        yield* SubscriptionRef.changes(linked.connected).pipe(
          Stream.runForEach((carried) =>
            Effect.suspend(() => {
              method = linked.method() ?? method
              return carried ? isBack(linked) : hasLeft(linked)
            })
          ),
          Effect.forkScoped
        )
        yield* pods.attach(linked, hello.digest).pipe(
          Effect.retry({
            schedule: again,
            while: (error) => error.reason !== "SessionLost" && error.reason !== "Closed"
          }),
          Effect.catch((error) => Effect.logDebug(`device ${context.key}: ${error.message}`))
        )
        yield* Effect.forkScoped(forcedSync(context, "pod", pods.attach(linked, nothing)))
        yield* Effect.forkScoped(
          forcedSync(context, "node", askWithin(context)(linked, { _tag: "TellNode" }).pipe(Effect.asVoid))
        )
        yield* partition.attach(linked)
        const why = yield* linked.closed
        yield* Effect.logInfo(`device ${context.key} is disconnected: ${why}`)
      }).pipe(
        Effect.scoped,
        Effect.ensuring(Effect.gen(function*() {
          yield* SubscriptionRef.updateSome(session, (now) => now === linked ? Option.some(undefined) : Option.none())
          yield* hasLeft(linked)
        }))
      )
    )
    return makeHandlers(hello.capabilities)
  })

  const finalizerKept = yield* keepFinalizer(first, holds)
  /** What works and should be mended all the same. */
  const warn = Effect.fnUntraced(function*(object: EdgeDeviceObject, { warnings }: EdgeDevice) {
    for (const warning of warnings) {
      yield* Effect.logWarning(`EdgeDevice ${context.key}: ${warning}`)
      yield* events.record({ about: aboutDevice(object), type: "Warning", reason: "OlderSpelling", message: warning })
    }
  })
  let warned = false

  const update = Effect.fnUntraced(function*(object: EdgeDeviceObject) {
    yield* settleHold
    partition.look()
    // As it is by now: an own write may have come through since this update was due.
    traffic.learn(registry.get(key)?.status?.traffic)
    if (object.metadata.deletionTimestamp !== undefined) {
      if (deleting) return
      deleting = true
      broker.look()
      const leave = farewell(context, { stopKeeping: Scope.close(keeping, Exit.void), untold: broker.outlive }).pipe(
        Effect.onExit((exit) =>
          Exit.isSuccess(exit) && !exit.value ? Effect.void : Effect.asVoid(Deferred.succeed(gone, undefined))
        ),
        Effect.provideContext(services)
      )
      // Who holds the device takes leave of it; to the others the object is gone some day.
      yield* SubscriptionRef.changes(holding).pipe(
        Stream.filter((held) => held),
        Stream.runHead,
        // Cut short by the operator's end, it is due again: its finalizer is still there.
        Effect.andThen(Effect.forkIn(leave, operating)),
        Effect.flatMap(Fiber.join),
        Effect.repeat({ schedule: Schedule.spaced("1 second"), until: (left) => left }),
        Effect.forkIn(life)
      )
      return
    }
    yield* finalizerKept
    const released = annotationsSeen[releaseOrphansAnnotation] === undefined
    annotationsSeen = object.metadata.annotations ?? {}
    if (released && annotationsSeen[releaseOrphansAnnotation] !== undefined) yield* pods.releaseOrphans
    const before = yield* SubscriptionRef.get(device)
    if (!warned) {
      warned = true
      yield* warn(object, before)
    }
    // Most of what changes is the status that we write: the spec is the same as long as its generation is.
    if (before.generation !== 0 && before.generation === object.metadata.generation) {
      return yield* SubscriptionRef.set(device, { ...before, status: object.status ?? {} })
    }
    const decoded = yield* Effect.result(decodeEdgeDevice(object))
    if (decoded._tag === "Failure") {
      return status.refuse(object.metadata.generation ?? 0, decoded.failure.message)
    }
    yield* SubscriptionRef.set(device, decoded.success)
    status.accept()
    if (before.generation === decoded.success.generation) return
    yield* warn(object, decoded.success)
    yield* endStrangers(object)
    partition.look()
    yield* lookAgain
    pods.lookAtAll()
  })

  return {
    context,
    traffic,
    usage,
    holds,
    update,
    attach,
    connected,
    absence: { since: absence.since, reason },
    replaced: partition.replaced
  } satisfies ServedDevice
})

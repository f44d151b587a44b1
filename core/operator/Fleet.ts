/** All EdgeDevices this operator serves: one `serveDevice` each, from the first sight of a valid object to its farewell. */
import { Cause, Context, Deferred, Effect, Exit, FiberMap, Layer, Scope, Stream, SubscriptionRef } from "effect"
import { decodeEdgeDevice } from "../device/decodeEdgeDevice.ts"
import type { EdgeDeviceObject } from "../device/EdgeDevice.ts"
import type { Admitted, DeviceHello, Refused } from "../link/Hello.ts"
import { makeTurns } from "../link/makeTurns.ts"
import type { Handlers, Session } from "../link/Session.ts"
import type { TrafficClass } from "../link/Traffic.ts"
import type { DisconnectReason } from "../node/nodeStatus.ts"
import { deviceKey, DeviceRegistry } from "./DeviceRegistry.ts"
import type { DeviceTraffic } from "./deviceTraffic.ts"
import { finalizer } from "./farewell.ts"
import { PodIndex } from "./PodIndex.ts"
import { rejectSpec } from "./rejectSpec.ts"
import { notServed, type ServedDevice, serveDevice } from "./serveDevice.ts"

interface Served {
  readonly uid: string
  readonly device: ServedDevice
  readonly scope: Scope.Closeable
}

/** What an EdgeDevice cannot do without. */
const leastSpec = { connectivity: { method: "grpc" } }

export class Fleet extends Context.Service<Fleet, {
  /** Refused where the EdgeDevice that let the device in is not served yet, or not any more. */
  readonly onSession: (
    session: Session,
    hello: DeviceHello,
    admitted: Pick<Admitted, "by">
  ) => Effect.Effect<Handlers, Refused>
  /** The session with the device whose Node has this name, if it is connected. */
  readonly sessionOf: (node: string) => Session | undefined
  /** The device whose Node has this name, if it is served here. */
  readonly deviceOf: (node: string) => Effect.Effect<ServedDevice | undefined>
  /** Namespace of the EdgeDevice whose Node has this name. */
  readonly namespaceOf: (node: string) => string | undefined
  /** Whether a Node of this name is one of ours. */
  readonly serves: (node: string) => boolean
  /** What the links of those devices have carried that this process speaks for. */
  readonly traffic: () => ReadonlyArray<{
    readonly namespace: string
    readonly name: string
    readonly budget: Readonly<Partial<Record<TrafficClass, number | undefined>>>
    readonly traffic: DeviceTraffic
  }>
  /** Whether the devices are there that this process speaks for, and since when and why not. */
  readonly presence: () => ReadonlyArray<{
    readonly namespace: string
    readonly name: string
    readonly connected: boolean
    /** Monotonic milliseconds. */
    readonly awaySince: number | undefined
    /** Why, where it is away. */
    readonly reason: DisconnectReason
    /** Pods given up since this process began. */
    readonly replaced: number
  }>
  /** Nodes served now. */
  readonly nodes: () => ReadonlyArray<string>
}>()("aranya/operator/Fleet") {
  static readonly layer = Layer.effect(
    Fleet,
    Effect.gen(function*() {
      const registry = yield* DeviceRegistry
      const pods = yield* PodIndex
      const served = new Map<string, Served>()
      /** What cannot be understood, by key: who says so. */
      const rejected = yield* FiberMap.make<string>()
      const inTurn = makeTurns()
      const services = yield* Effect.context<Effect.Services<ReturnType<typeof serveDevice>>>()
      const parent = yield* Effect.scope

      const stop = Effect.fnUntraced(function*(key: string) {
        const known = served.get(key)
        if (known === undefined) return
        served.delete(key)
        yield* Scope.close(known.scope, Exit.void)
      })

      const start = Effect.fnUntraced(function*(key: string, object: EdgeDeviceObject) {
        const leaving = object.metadata.deletionTimestamp !== undefined
        // Taken leave of already, or never served: what holds it still is somebody else's.
        if (leaving && !(object.metadata.finalizers ?? []).includes(finalizer)) return
        // Its farewell is due whatever its spec says by now: what is wrong with that must not hold the object for ever.
        const readable = Effect.catch(
          decodeEdgeDevice(object),
          (error) => leaving ? decodeEdgeDevice({ ...object, spec: leastSpec }) : Effect.fail(error)
        )
        const decoded = yield* Effect.result(readable)
        // Whatever the API server answers to that, what is said of the device meanwhile does not wait for it.
        if (decoded._tag === "Failure") {
          return yield* Effect.asVoid(FiberMap.run(rejected, key, rejectSpec(object, decoded.failure.message)))
        }
        yield* FiberMap.remove(rejected, key)
        const scope = yield* Scope.fork(parent)
        const gone = yield* Deferred.make<void>()
        const device = yield* serveDevice(decoded.success, gone, parent).pipe(Scope.provide(scope))
        served.set(key, { uid: decoded.success.uid, device, scope })
        yield* device.update(object)
        const { uid } = decoded.success
        // The next one of its name begins when nothing of this one is left.
        const end = inTurn(key, Effect.suspend(() => served.get(key)?.uid === uid ? stop(key) : Effect.void))
        yield* Deferred.await(gone).pipe(Effect.andThen(Effect.forkIn(end, parent)), Effect.forkIn(scope))
      })

      /** Brings what is served in line with the object as it is now. */
      const settle = Effect.fnUntraced(function*(key: string) {
        const object = registry.get(key)
        const known = served.get(key)
        if (known !== undefined && object?.metadata.uid !== known.uid) yield* stop(key)
        if (object === undefined) return
        const current = served.get(key)
        if (current !== undefined) return yield* current.device.update(object)
        // Deleted before it was ever served, by us or by a process before us: its farewell is due all the same.
        yield* start(key, object)
      })

      /** One settling per device at a time, devices side by side. */
      const settleInTurn = (key: string) =>
        inTurn(key, settle(key)).pipe(
          Effect.catchCause((cause) =>
            // The operator is going down, and with it whoever waits for its turn.
            Cause.hasInterruptsOnly(cause)
              ? Effect.void
              : Effect.logError(`EdgeDevice ${key} could not be served`, cause)
          )
        )

      yield* pods.synced.pipe(
        Effect.andThen(
          Stream.runForEach(registry.changes, (key) => Effect.forkIn(settleInTurn(key), parent))
        ),
        Effect.provideContext(services),
        Effect.forkScoped
      )

      const byNode = (node: string) => {
        for (const { device } of served.values()) {
          // EdgeDevices of several namespaces may have one name: the Node is of one of them.
          if (device.context.name === node && SubscriptionRef.getUnsafe(device.context.owned) === true) return device
        }
        return undefined
      }

      return Fleet.of({
        onSession: (session, hello, { by }) =>
          Effect.suspend(() => {
            const known = served.get(deviceKey(hello.namespace, hello.device))
            return known === undefined || known.uid !== by ? notServed : known.device.attach(session, hello)
          }),
        sessionOf: (node) => {
          const device = byNode(node)
          return device === undefined ? undefined : SubscriptionRef.getUnsafe(device.context.session)
        },
        deviceOf: (node) => Effect.sync(() => byNode(node)),
        namespaceOf: (node) => byNode(node)?.context.namespace,
        serves: (node) => byNode(node) !== undefined,
        traffic: () =>
          [...served.values()].filter(({ device }) => device.holds()).map(({ device: { context, traffic } }) => ({
            namespace: context.namespace,
            name: context.name,
            budget: SubscriptionRef.getUnsafe(context.device).spec.connectivity.budget,
            traffic
          })),
        presence: () =>
          [...served.values()].filter(({ device }) => device.holds()).map(({ device }) => ({
            namespace: device.context.namespace,
            name: device.context.name,
            connected: device.connected(),
            awaySince: device.absence.since(),
            reason: device.absence.reason(),
            replaced: device.replaced()
          })),
        nodes: () =>
          [...served.values()].flatMap(({ device: { context } }) =>
            SubscriptionRef.getUnsafe(context.owned) === true ? [context.name] : []
          )
      })
    })
  )
}

/** Keeps an EdgeDevice's place at its broker: reads the Secrets it names, follows every change, says what is wrong with them. */
import { Clock, Effect, Queue, Stream, SubscriptionRef } from "effect"
import type { BrokerBackoff } from "../device/brokerBackoff.ts"
import type { MqttConnectivity } from "../device/MqttConnectivity.ts"
import type { Secret } from "../kube/kinds.ts"
import { monotonicMillis } from "../pod/machine/Workbench.ts"
import { brokerAccess } from "./brokerAccess.ts"
import { Brokers, type BrokerWish, type Standing } from "./Brokers.ts"
import type { DeviceContext } from "./DeviceContext.ts"
import { DeviceRegistry } from "./DeviceRegistry.ts"
import type { ConditionDraft } from "./deviceStatus.ts"
import { EventRecorder } from "./EventRecorder.ts"
import { ReferencedObjects } from "./ReferencedObjects.ts"

export interface BrokerKeeper {
  /** What the EdgeDevice's status says of its broker; undefined where it has none. */
  readonly condition: () => ConditionDraft | undefined
  /** Why its broker cannot be reached or used at all, where that is so; one that is well may still refuse these topics. */
  readonly down: () => string | undefined
  /** The EdgeDevice may be about to leave. */
  readonly look: () => void
  /** Its device is still to hear that it was deleted. */
  readonly outlive: () => void
}

/** The owner hears of others on the device's topics once in so long. */
const strayedMillis = 10 * 60_000

/** An API server that has not told of a Secret for so long is not merely slow: somebody should hear of it. */
const slow = "10 seconds"

/** Who deletes a namespace has Secrets and EdgeDevices of it deleted within moments, in any order. */
const vanishedMillis = 60_000

const unheardOf = (names: string) =>
  `the API server tells nothing of Secret ${names} of spec.connectivity.mqtt: it cannot be reached, or aranya may not list and watch there`

/** The place is taken while this process speaks for the device: two operators at one broker would both answer it. */
export const keepBroker = Effect.fnUntraced(function*(
  context: DeviceContext,
  options: {
    readonly holding: SubscriptionRef.SubscriptionRef<boolean>
    /** What the condition says may have changed. */
    readonly changed: () => void
  }
) {
  const brokers = yield* Brokers
  const events = yield* EventRecorder
  const objects = yield* ReferencedObjects
  const registry = yield* DeviceRegistry
  let unusable: string | undefined
  /** What was asked for, or could not be for what its Secrets hold. */
  let taken: MqttConnectivity | undefined
  let strayedTold: number | undefined
  /** What was asked for last with Secrets that were right, and since when they are not: monotonic milliseconds. */
  let lastGood: { readonly mqtt: MqttConnectivity; readonly wish: BrokerWish; vanishedAt?: number } | undefined
  let look = () => {}

  const warn = (reason: string, message: string) =>
    events.record({
      about: {
        apiVersion: "aranya.arhat.dev/v1alpha1",
        kind: "EdgeDevice",
        namespace: context.namespace,
        name: context.name,
        uid: context.uid,
        fieldPath: "spec.connectivity.mqtt"
      },
      type: "Warning",
      reason,
      message
    })

  const strayed = Effect.fnUntraced(function*(device: string) {
    const now = yield* Clock.currentTimeMillis
    if (strayedTold !== undefined && now - strayedTold < strayedMillis) return
    strayedTold = now
    yield* warn(
      "WrongTopics",
      `${
        device.slice(0, 320)
      } speaks on the topics of this EdgeDevice and was not answered: mend topicNamespaceFrom in its `
        + "configuration, or spec.connectivity.mqtt.topicNamespace here"
    )
  })

  /** Where the EdgeDevice leaves: what was right of this section until a moment ago. */
  const stillGood = Effect.fnUntraced(function*(mqtt: MqttConnectivity) {
    if (lastGood?.mqtt !== mqtt) return undefined
    const now = yield* monotonicMillis
    if (!context.leaving()) lastGood.vanishedAt ??= now
    if (now - (lastGood.vanishedAt ?? now) > vanishedMillis) lastGood = undefined
    return context.leaving() ? lastGood?.wish : undefined
  })

  const judge = Effect.fnUntraced(function*(why: string | undefined) {
    const before = unusable
    unusable = why
    options.changed()
    if (why !== undefined && why !== before) yield* warn("BrokerUnusable", why)
  })

  const take = Effect.fnUntraced(function*(
    mqtt: MqttConnectivity,
    backoff: BrokerBackoff | undefined,
    tlsSecret: Secret | undefined,
    loginSecret: Secret | undefined
  ) {
    const reading = brokerAccess(mqtt, tlsSecret, loginSecret)
    taken = mqtt
    if ("found" in reading) {
      const wish: BrokerWish = {
        access: reading.found,
        topicNamespace: mqtt.topicNamespace,
        backoff,
        since: registry.get(context.key)?.metadata.creationTimestamp ?? "",
        strayed
      }
      lastGood = { mqtt, wish }
      yield* brokers.wish(context.key, wish)
      return yield* judge(undefined)
    }
    // A device that is to be told that it was deleted is told where it listens, though its Secrets go with it.
    const kept = yield* stillGood(mqtt)
    yield* brokers.wish(context.key, kept)
    yield* judge(kept === undefined ? reading.wrong : undefined)
  })

  const none = Effect.suspend(() => {
    unusable = undefined
    lastGood = undefined
    taken = undefined
    return Effect.tap(brokers.wish(context.key, undefined), () => Effect.sync(options.changed))
  })

  const keep = (mqtt: MqttConnectivity, backoff: BrokerBackoff | undefined) =>
    Stream.scoped(Stream.unwrap(Effect.gen(function*() {
      const bell = yield* Queue.sliding<void>(1)
      look = () => void Queue.offerUnsafe(bell, undefined)
      const secretOf = (name = "") =>
        name === ""
          ? Effect.succeed({ unheard: () => [], read: () => undefined })
          : Effect.map(objects.watch("Secret", context.namespace, name, look), ({ known, read }) => ({
            unheard: () => known() ? [] : [name],
            read: () => read() as Secret | undefined
          }))
      const tls = yield* secretOf(mqtt.tlsSecretRef?.name)
      const login = yield* secretOf(mqtt.userPassRef?.name)
      const unheard = () => [...tls.unheard(), ...login.unheard()].join(" and ")
      let isLate = false
      if (unheard() !== "") {
        const late = Effect.sync(() => {
          isLate = true
          look()
        })
        yield* Effect.forkScoped(Effect.delay(late, slow))
      }
      look()
      return Stream.fromQueue(bell).pipe(
        Stream.map(() => [tls.read(), login.read(), unheard(), isLate, context.leaving()] as const),
        Stream.changesWith((one, other) => one.every((each, i) => each === other[i])),
        Stream.mapEffect(([tlsSecret, loginSecret, names]) => {
          if (names === "") return take(mqtt, backoff, tlsSecret, loginSecret)
          // What was asked for before goes on meanwhile.
          return isLate ? judge(unheardOf(names)) : Effect.void
        })
      )
    })))

  const { outlive } = yield* brokers.follow(context.key, options.changed)
  // Each change is but a bell, and what is so is read after it: `Stream.zipLatest` may tell an older pair after a newer one.
  yield* Stream.merge(SubscriptionRef.changes(context.device), SubscriptionRef.changes(options.holding)).pipe(
    Stream.map(() => {
      const { connectivity: { backoff, mqtt } } = SubscriptionRef.getUnsafe(context.device).spec
      return SubscriptionRef.getUnsafe(options.holding) && mqtt !== undefined ? { mqtt, backoff } : undefined
    }),
    // Each status that is written makes the device anew, with a spec that says the same as long as its generation is.
    Stream.changes,
    Stream.switchMap((wanted) => wanted === undefined ? Stream.fromEffect(none) : keep(wanted.mqtt, wanted.backoff)),
    Stream.runDrain,
    Effect.forkScoped
  )

  const standing = (): Standing | { readonly _tag: "Unusable"; readonly why: string } =>
    unusable === undefined ? brokers.standingOf(context.key) : { _tag: "Unusable", why: unusable }

  const named = () => taken ?? SubscriptionRef.getUnsafe(context.device).spec.connectivity.mqtt

  const broken = (): readonly [reason: string, message: string] | undefined => {
    const at = standing()
    const mqtt = named()
    switch (at._tag) {
      case "Unusable":
        return ["BrokerUnusable", at.why]
      case "Down":
        return ["BrokerDown", at.why]
      case "TopicTaken":
        return [
          "TopicTaken",
          `spec.connectivity.mqtt.topicNamespace ${mqtt?.topicNamespace} is that of another EdgeDevice at broker ${mqtt?.broker}: `
          + "give each device a text of its own"
        ]
      case "TopicRefused":
        return ["TopicRefused", at.why]
      default:
        return undefined
    }
  }

  const keeper: BrokerKeeper = {
    down: () => {
      const at = standing()
      return at._tag === "Down" || at._tag === "Unusable" ? at.why : undefined
    },
    look: () => look(),
    outlive,
    condition: () => {
      const mqtt = named()
      if (mqtt === undefined) return undefined
      const trouble = broken()
      if (trouble !== undefined) {
        return { type: "BrokerConnected", status: "False", reason: trouble[0], message: trouble[1] }
      }
      return standing()._tag === "Up"
        ? { type: "BrokerConnected", status: "True", reason: "Connected", message: `connected to ${mqtt.broker}` }
        : { type: "BrokerConnected", status: "False", reason: "Connecting", message: `connecting to ${mqtt.broker}` }
    }
  }
  return keeper
})

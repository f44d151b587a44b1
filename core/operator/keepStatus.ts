/** What an EdgeDevice's status says of its device, written when it says something new; the write that takes the device, too. */
import { Clock, Duration, Effect, Queue, Schedule, Stream, SubscriptionRef } from "effect"
import { type EdgeDevice, type EdgeDeviceStatus, longestVersion } from "../device/EdgeDevice.ts"
import { KubeApiError } from "../kube/KubeApi.ts"
import { parseTimestamp, timestamp } from "../kube/time.ts"
import type { DisconnectReason } from "../node/nodeStatus.ts"
import { aboutDevice } from "./aboutDevice.ts"
import type { DeviceAbsence } from "./deviceAbsence.ts"
import type { DeviceContext } from "./DeviceContext.ts"
import { DeviceRegistry } from "./DeviceRegistry.ts"
import { type ConditionDraft, saysTheSame, withConditions } from "./deviceStatus.ts"
import type { DeviceTraffic } from "./deviceTraffic.ts"
import { EventRecorder } from "./EventRecorder.ts"
import { OperatorIdentity } from "./OperatorIdentity.ts"
import { tellRefusals } from "./tellRefusals.ts"

/** Looks at least this often whether the counters are worth a write. */
const lookMillis = 5 * 60_000

/** A device that is there links within a moment of its EdgeDevice: what is known by then is said at once, in one write. */
const firstStatus = "2 seconds"
/** A claim that has not come through by then is withdrawn: whoever has the device may show soon that it lives. */
const claimWithin = "10 seconds"
/** What happens in one go is written in one go. */
const gathering = "100 millis"

const again = Schedule.min([Schedule.exponential("500 millis"), Schedule.spaced("30 seconds")]).pipe(Schedule.jittered)

/** What the writer asks the others for, each time it writes. */
export interface StatusSources {
  readonly traffic: DeviceTraffic
  readonly absence: Pick<DeviceAbsence, "since" | "leftAt">
  /** Why the device is away. */
  readonly reason: () => DisconnectReason
  /** Whether this process speaks for the device. */
  readonly holds: () => boolean
  readonly connected: () => boolean
  /** Why the device's broker cannot be reached, if that keeps the device away. */
  readonly brokerDown: () => string | undefined
  readonly brokerCondition: () => ConditionDraft | undefined
  /** The way by which the device came last. */
  readonly method: () => string | undefined
  readonly agentVersion: () => string | undefined
  /** A write may have taken the device, or met another that has. */
  readonly settled: Effect.Effect<void>
}

const tell = (link: EdgeDeviceStatus["link"]) => `${link?.holder ?? "nobody"} ${link?.epoch ?? 0}`

export const keepStatus = Effect.fnUntraced(function*(context: DeviceContext, first: EdgeDevice) {
  const registry = yield* DeviceRegistry
  const identity = yield* OperatorIdentity
  const events = yield* EventRecorder
  const bell = yield* Queue.sliding<void>(1)
  const look = () => {
    Queue.offerUnsafe(bell, undefined)
  }
  /** Budgets that were used up since the status was written last. */
  const spent: Array<string> = []
  let nameConflict: string | undefined
  /** The spec that could not be understood; what was understood before goes on until there is one that can be. */
  let refused: { readonly generation: number; readonly sentences: string } | undefined
  const taken = (link: EdgeDeviceStatus["link"]) => ({
    ...link,
    holder: identity.holder,
    epoch: (link?.epoch ?? 0) + 1
  })
  /** A process that starts takes what it serves. */
  let claiming = true

  const understood = ({ warnings }: EdgeDevice): ConditionDraft =>
    refused !== undefined
      ? { type: "Invalid", status: "True", reason: "SpecInvalid", message: refused.sentences }
      : warnings.length === 0
      ? { type: "Invalid", status: "False", reason: "Understood", message: "" }
      : { type: "Invalid", status: "False", reason: "UnderstoodWithWarnings", message: warnings.join(" ") }

  const conditions = (sources: StatusSources, { status: { link } }: EdgeDevice) => {
    const linked = sources.connected()
    const unreachable = sources.brokerDown()
    const away = sources.reason()
    const broker = sources.brokerCondition()
    const drafts: ReadonlyArray<ConditionDraft> = [
      nameConflict === undefined
        ? { type: "NameConflict", status: "False", reason: "NoConflict", message: "" }
        : { type: "NameConflict", status: "True", reason: "NodeOfAnother", message: nameConflict },
      linked
        ? { type: "Connected", status: "True", reason: "Connected", message: "the device is connected" }
        : {
          type: "Connected",
          status: "False",
          reason: away,
          message: unreachable === undefined
            ? "the device is not connected"
            : `the device is not connected: ${unreachable}`
        },
      ...(broker === undefined ? [] : [broker]),
      linked && nameConflict === undefined
        ? { type: "Ready", status: "True", reason: "Ready", message: "" }
        : { type: "Ready", status: "False", reason: linked ? "NameConflict" : away, message: nameConflict ?? "" },
      ...(link?.publicKey === undefined && !linked ? [] : [
        { type: "Enrolled", status: "True", reason: "Enrolled", message: "the device's key is known" } as const
      ])
    ]
    return { drafts, withdrawn: broker === undefined ? ["BrokerConnected" as const] : [] }
  }

  const write = Effect.fnUntraced(function*(sources: StatusSources) {
    const { traffic } = sources
    const device = yield* SubscriptionRef.get(context.device)
    const { generation } = device
    const now = yield* Clock.currentTimeMillis
    const linked = sources.connected()
    // It has left just now where nobody has said yet that it did.
    const heard = linked || sources.absence.since() === undefined ? now : sources.absence.leftAt()
    const method = sources.method()
    const agentVersion = sources.agentVersion()
    const { drafts, withdrawn } = conditions(sources, device)
    const observedGeneration = refused?.generation ?? generation
    let wrote = false
    yield* registry.swapStatus({ key: context.key, uid: context.uid }, (before) => {
      const held = before.link?.holder === identity.holder
      if (!held && !claiming) {
        // Whoever has the device now counts on from what the status says, and cannot know what passed here until it was lost.
        const counted = traffic.rest(before.traffic)
        wrote = counted !== undefined
        return counted && { ...before, traffic: counted }
      }
      const { connectivity: _, ...rest } = before
      const counted = traffic.next(before.traffic)
      const after = {
        ...rest,
        ...(counted === undefined ? {} : { traffic: counted }),
        link: held ? before.link : taken(before.link),
        observedGeneration,
        conditions: withConditions(
          withConditions(before.conditions ?? [], drafts, { now, generation, withdrawn }),
          [understood(device)],
          { now, generation: observedGeneration }
        ),
        ...(identity.hostNode === "" ? {} : { hostNode: identity.hostNode }),
        ...(linked && method !== undefined ? { connectivity: { method } } : {}),
        // For people: written with the next change only. Another operator may have heard of the device since it left this one.
        ...(heard !== undefined && (linked || heard > (parseTimestamp(before.lastContact) ?? 0))
          ? { lastContact: timestamp(heard) }
          : {}),
        // The device says what it likes: a longer one would have the whole status refused.
        ...(agentVersion === undefined ? {} : { agentVersion: agentVersion.slice(0, longestVersion).toWellFormed() })
      }
      wrote = !saysTheSame(before, after) || traffic.due() || spent.length > 0
      if (!wrote) traffic.unwritten()
      return wrote ? after : undefined
    })
    if (wrote) traffic.written()
    claiming = false
    if (!sources.holds()) spent.length = 0
    for (const message of spent.splice(0)) {
      const about = registry.get(context.key)
      if (about !== undefined) {
        yield* events.record({ about: aboutDevice(about), type: "Warning", reason: "TrafficBudgetExhausted", message })
      }
    }
    yield* sources.settled
  })

  /** A device that has linked has a Node, one way or the other; nothing more is waited for. */
  const introduced = SubscriptionRef.changes(context.owned).pipe(
    Stream.filter((mine) => mine !== undefined),
    Stream.runHead,
    Effect.timeoutOption(firstStatus)
  )
  // What had a holder before is claimed at once: its Lease is to be renewed. So is what is met at a broker: only who holds it
  // listens there.
  const begin = first.status.link?.holder === undefined && first.spec.connectivity.mqtt === undefined
    ? introduced
    : Effect.void

  return {
    /** Something that the status tells of may have changed. */
    look,
    /** Who has the device, and since which takeover, as far as the watch has told. */
    heldBy: () => tell(registry.get(context.key)?.status?.link),
    /**
     * Takes the device from whoever had it so; whether it did. In one try: who has it may live, and be kept from writing by what keeps
     * this process from it.
     */
    claim: (from: string) => {
      let mine = false
      return registry.swapStatus({ key: context.key, uid: context.uid }, (before) => {
        mine = tell(before.link) === from
        return mine ? { ...before, link: taken(before.link) } : undefined
      }).pipe(
        Effect.map(() => mine),
        Effect.timeoutOrElse({
          duration: claimWithin,
          orElse: () =>
            Effect.fail(
              new KubeApiError({ reason: "Unavailable", status: 0, detail: `no takeover within ${claimWithin}` })
            )
        }),
        // The rest of the status follows.
        Effect.ensuring(Effect.sync(look))
      )
    },
    /** Whose the Node of this name is, where it is not this device's; undefined when it is. */
    conflict: (sentence: string | undefined) =>
      Effect.sync(() => {
        if (nameConflict === sentence) return
        nameConflict = sentence
        look()
      }),
    nameConflict: () => nameConflict,
    /** The spec of this generation cannot be understood. It is not written here and now: the status has one writer. */
    refuse: (generation: number, sentences: string) => {
      if (refused?.generation === generation && refused.sentences === sentences) return
      refused = { generation, sentences }
      look()
    },
    /** The spec is understood. */
    accept: () => {
      if (refused === undefined) return
      refused = undefined
      look()
    },
    /** A budget is used up; `sentence` is for the Event. */
    exhausted: (sentence: string) => {
      spent.push(sentence)
      look()
    },
    /** Writes until it is interrupted. */
    keep: (sources: StatusSources): Effect.Effect<never> => {
      const telling = tellRefusals(`status of EdgeDevice ${context.key}`)
      return Effect.andThen(
        begin,
        Effect.forever(Effect.gen(function*() {
          yield* write(sources).pipe(
            telling,
            Effect.retry({ schedule: again, while: (error) => error.reason !== "NotFound" }),
            // The object is gone: there is no status any more.
            Effect.catch(() => Effect.void)
          )
          yield* Effect.timeoutOption(Queue.take(bell), Duration.millis(lookMillis))
          yield* Effect.sleep(gathering)
        }))
      )
    }
  }
})

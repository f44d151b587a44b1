/** The arhat program: pods from the journal, a link for ever, and between them commands, streams and reports. */
import { Effect, Layer, Stream, SubscriptionRef } from "effect"
import type { Refused } from "../link/Hello.ts"
import { LinkClient, type LinkState } from "../link/LinkClient.ts"
import { PodRuntime } from "../pod/PodRuntime.ts"
import { reportDelta } from "../wire/ReportBases.ts"
import { measure } from "../wire/usage.ts"
import { AgentSettings } from "./AgentSettings.ts"
import { commands } from "./commands.ts"
import { EventRing } from "./EventRing.ts"
import { HostFacts } from "./HostFacts.ts"
import { keepLeash } from "./keepLeash.ts"
import { Outbox } from "./Outbox.ts"
import { podStreams } from "./podStreams.ts"
import { reporting } from "./reporting.ts"
import { makeRetirement } from "./retire.ts"

/** What lies between the link and the pods; `deviceMemory` needs the outbox too. */
export const mailLayer = Layer.mergeAll(Outbox.layer, EventRing.layer)

export interface AgentKeys {
  /** X25519, 32 bytes each. */
  readonly privateKey: Uint8Array
  readonly operatorKey: Uint8Array
  /** The one-time enrolment token; absent once the device is enrolled. */
  readonly enrolment: Uint8Array | undefined
}

/** A word for the log at each turn of the link, so that a person at the device knows where it stands. */
const tellState = (state: LinkState, device: string) => {
  switch (state.status) {
    case "Dialing":
      return Effect.logDebug(`dialing the operator by ${state.method}`)
    case "Connected":
      return Effect.logInfo(`connected to the operator as ${device} by ${state.connection}`)
    case "Waiting":
      return Effect.logWarning(
        `not connected: ${state.error.message}; next try in ${Math.ceil(state.retryMillis / 1000)} s`
      )
  }
}

const isDeleted = (state: LinkState): boolean =>
  state.status === "Waiting" && state.error._tag === "Refused" && (state.error as Refused).code === "Deleted"

/** Runs until interrupted. Pods go on running whether there is an operator or not. */
export const agent = Effect.fnUntraced(function*(keys: AgentKeys) {
  const settings = yield* AgentSettings
  const runtime = yield* PodRuntime
  const host = yield* HostFacts
  const outbox = yield* Outbox
  const ring = yield* EventRing
  const leash = yield* keepLeash
  const asked = yield* SubscriptionRef.make(0)
  const retirement = yield* makeRetirement
  const onRequest = yield* commands(leash, SubscriptionRef.update(asked, (times) => times + 1), retirement)
  const onOpen = yield* podStreams
  const report = yield* reporting(leash.resting, asked)

  yield* runtime.reports.pipe(Stream.runForEach(outbox.put), Effect.forkScoped)
  yield* runtime.events.pipe(
    // What happens at once is written to the disk at once.
    Stream.groupedWithin(64, "200 millis"),
    Stream.runForEach((events) => ring.add(events)),
    Effect.forkScoped
  )

  const link = yield* LinkClient.make({
    namespace: settings.namespace,
    device: settings.device,
    privateKey: keys.privateKey,
    operatorPublic: keys.operatorKey,
    psk: keys.enrolment,
    agentVersion: settings.version,
    machineEnds: host.ending,
    get capabilities() {
      return [reportDelta, measure, ...leash.capabilities()]
    },
    onSession: Effect.fnUntraced(function*(session, { capabilities, epoch }) {
      yield* runtime.beginSession
      yield* Effect.forkScoped(report(session, capabilities))
      // What an operator did here is told apart from what another one did.
      const fenced = Effect.annotateLogs("epoch", epoch)
      return {
        onRequest: (message) => fenced(onRequest(message)),
        onOpen: (message, channel) => fenced(onOpen(message, channel))
      }
    })
  })

  yield* Effect.forkScoped(leash.run(link))
  yield* SubscriptionRef.changes(link.state).pipe(
    Stream.runForEach((state) => tellState(state, `${settings.namespace}/${settings.device}`)),
    Effect.forkScoped
  )
  // An operator that proved its key says that the device was deleted: it is obeyed once per refusal, and finds nothing left.
  yield* SubscriptionRef.changes(link.state).pipe(
    Stream.filter(isDeleted),
    Stream.runForEach(() => retirement.run),
    Effect.forkScoped
  )
  return yield* link.run
}, Effect.scoped)

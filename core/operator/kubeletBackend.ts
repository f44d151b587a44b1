/** Answers the kubelet API from what the operator knows of pods, and from the devices themselves over their links. */
import { Effect, Layer, Option, Pull, Stream, SubscriptionRef } from "effect"
import type { Pod } from "../kube/Pod.ts"
import { KubeletBackend, type PodPlace } from "../kubelet/KubeletBackend.ts"
import type { LinkError, Priority, Session } from "../link/Session.ts"
import { isHostPod, isMirrorPod } from "../node/hostPod.ts"
import { type Duplex, RuntimeError } from "../pod/ContainerRuntime.ts"
import { PodStreamError } from "../pod/PodRuntime.ts"
import { inMessages } from "../wire/byteMessages.ts"
import {
  decodeLogFileFound,
  encodeStreamOpening,
  hostUid,
  streamErrorOf,
  type StreamOpening
} from "../wire/StreamOpening.ts"
import { Fleet } from "./Fleet.ts"
import { idleChannel } from "./idleChannel.ts"
import { nodePaths } from "./nodePaths.ts"
import { OperatorSettings } from "./OperatorSettings.ts"
import { PodIndex } from "./PodIndex.ts"
import { remoteProcess } from "./remoteProcess.ts"

const failed = (detail: string) => new PodStreamError({ reason: "Failed", detail })

/** A connection that broke is often back at once; who asks while a device is away for longer is told so instead of waiting. */
const backAtOnce = "3 seconds"

const isCarried = ({ connected }: Session) =>
  SubscriptionRef.changes(connected).pipe(
    Stream.filter((carried) => carried),
    Stream.runHead,
    Effect.timeoutOption(backAtOnce),
    Effect.map(Option.isSome)
  )

/** Commands are never sent twice: nobody knows what the first one did. */
const outcomeUnknown = (what: string) =>
  new PodStreamError({
    reason: "OutcomeUnknown",
    detail: `${what}: whether what was asked for came to its end is not known`
  })

/** What the user of kubectl reads when a stream ends or cannot be had; `what` is lost may be asked for again, or was a command. */
const streamError = (node: string, what: "again" | "once" = "again") => (error: LinkError): PodStreamError => {
  switch (error.reason) {
    case "Refused":
      return streamErrorOf(error.detail)
    case "SessionLost": {
      const lost = `the link to device ${node} was lost (${error.detail})`
      return what === "once" ? outcomeUnknown(lost) : failed(`${lost}: ask again`)
    }
    case "Overloaded":
      return failed(`the link to device ${node} has as many streams as it can hold: end one, or try again later`)
    case "OverBudget":
      // At the opening nothing was sent; from then on the device may have begun.
      return what === "once"
        ? outcomeUnknown(error.detail)
        : new PodStreamError({ reason: "Refused", detail: error.detail })
    case "Timeout":
    case "Closed":
      return what === "once"
        ? outcomeUnknown(`device ${node}: ${error.detail}`)
        : failed(`device ${node}: ${error.detail}`)
    case "TooLarge":
      return failed(`device ${node}: ${error.detail}`)
  }
}

/** A pod whose containers all wait or have ended runs nothing, whatever its phase; one that starts up may run its first. */
const hasRunningContainer = ({ status }: Pod) =>
  [...(status?.containerStatuses ?? []), ...(status?.initContainerStatuses ?? [])].some(({ state }) =>
    state?.running !== undefined
  )

export const kubeletBackend = Layer.effect(
  KubeletBackend,
  Effect.gen(function*() {
    const fleet = yield* Fleet
    const index = yield* PodIndex
    const paths = yield* nodePaths
    const { streamIdle = "4 hours" } = yield* OperatorSettings

    const open = Effect.fnUntraced(
      function*(node: string, opening: StreamOpening, priority: Priority) {
        const session = fleet.sessionOf(node)
        if (session === undefined || !(yield* isCarried(session))) {
          return yield* failed(`device ${node} is not connected: ask again when it is back`)
        }
        const message = yield* Effect.mapError(encodeStreamOpening(opening), (error) => failed(error.message))
        const channel = yield* Effect.mapError(session.open(message, { priority }), streamError(node))
        // As with a kubelet, whoever follows a log may wait for ever.
        return opening._tag === "Logs" ? channel : yield* idleChannel(channel, streamIdle)
      }
    )

    /** The host pod is the device itself, which knows of no such pod. */
    const uidThere = ({ node, uid }: PodPlace): string => {
      const namespace = fleet.namespaceOf(node)
      const pod = index.byUid(uid)
      return pod !== undefined && namespace !== undefined && isHostPod(pod, { namespace, name: node }) ? hostUid : uid
    }

    const process = Effect.fnUntraced(function*(node: string, opening: StreamOpening) {
      const channel = yield* open(node, opening, "interactive")
      return yield* remoteProcess(channel, streamError(node, "once"))
    })

    /** The device's first message is empty: its port has answered. */
    const dial = Effect.fnUntraced(function*(at: PodPlace, port: number) {
      const { node } = at
      const channel = yield* open(node, { _tag: "Forward", uid: uidThere(at), port }, "interactive")
      const broken = (error: LinkError) =>
        new RuntimeError({ reason: "Unavailable", detail: streamError(node)(error).message })
      const duplex: Duplex = {
        write: (bytes) => Effect.mapError(Effect.forEach(inMessages(bytes), channel.send, { discard: true }), broken),
        end: Effect.mapError(channel.end, broken),
        read: channel.messages.pipe(Stream.mapError(broken), Stream.filter((bytes) => bytes.length > 0))
      }
      return duplex
    })

    /** The device's first message says what it has found. */
    const logFile = Effect.fnUntraced(function*(node: string, path: string) {
      const channel = yield* open(node, { _tag: "LogFile", path }, "bulk")
      const pull = yield* Stream.toPull(Stream.mapError(channel.messages, streamError(node)))
      const [first, ...early] = yield* Pull.catchDone(
        pull,
        () => failed(`device ${node} said nothing of its log files`)
      )
      const { directory } = yield* Effect.mapError(
        decodeLogFileFound(first),
        (error) => failed(`device ${node}: ${error.message}`)
      )
      return { directory, bytes: Stream.concat(Stream.fromIterable(early), Stream.fromPull(Effect.succeed(pull))) }
    })

    return KubeletBackend.of({
      pod: (namespace, name) =>
        Effect.sync(() => {
          const pod = index.byName(namespace, name)
          const node = pod?.spec.nodeName ?? ""
          return pod === undefined || !fleet.serves(node) ? undefined : { node, pod }
        }),
      serves: (node) => Effect.sync(() => fleet.serves(node)),
      logs: (at, query) =>
        Stream.unwrap(Effect.map(
          open(at.node, { _tag: "Logs", uid: uidThere(at), query }, "bulk"),
          (channel) => Stream.mapError(channel.messages, streamError(at.node))
        )),
      exec: (at, container, spec) => process(at.node, { _tag: "Exec", uid: uidThere(at), container, spec }),
      attach: (at, container, spec) => process(at.node, { _tag: "Attach", uid: uidThere(at), container, spec }),
      dial,
      logFile,
      pods: (node) => Effect.sync(() => index.onNode(node)),
      runningPods: (node) =>
        Effect.sync(() => index.onNode(node).filter((pod) => hasRunningContainer(pod) && !isMirrorPod(pod))),
      ...paths
    })
  })
)

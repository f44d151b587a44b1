/** Answers the kubelet API from what the operator knows of pods, and from the devices themselves over their links. */
import { Effect, Layer, Option, Stream, SubscriptionRef } from "effect"
import { KubeletBackend } from "../kubelet/KubeletBackend.ts"
import type { LinkError, Session } from "../link/Session.ts"
import { PodStreamError } from "../pod/PodRuntime.ts"
import { encodeStreamOpening, streamErrorOf } from "../wire/StreamOpening.ts"
import { Fleet } from "./Fleet.ts"
import { PodIndex } from "./PodIndex.ts"

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

/** What the user of kubectl reads when a stream ends or cannot be had. */
const streamError = (node: string) => (error: LinkError): PodStreamError => {
  switch (error.reason) {
    case "Refused":
      return streamErrorOf(error.detail)
    case "SessionLost":
      return failed(`the link to device ${node} was lost (${error.detail}): ask again`)
    case "Overloaded":
      return failed(`the link to device ${node} has as many streams as it can hold: end one, or try again later`)
    case "OverBudget":
      return new PodStreamError({ reason: "Refused", detail: error.detail })
    case "Timeout":
    case "Closed":
    case "TooLarge":
      return failed(`device ${node}: ${error.detail}`)
  }
}

export const kubeletBackend = Layer.effect(
  KubeletBackend,
  Effect.gen(function*() {
    const fleet = yield* Fleet
    const index = yield* PodIndex

    return KubeletBackend.of({
      pod: (namespace, name) =>
        Effect.sync(() => {
          const pod = index.byName(namespace, name)
          const node = pod?.spec.nodeName ?? ""
          return pod === undefined || !fleet.serves(node) ? undefined : { node, pod }
        }),
      serves: (node) => Effect.sync(() => fleet.serves(node)),
      logs: ({ node, uid }, query) =>
        Stream.unwrap(Effect.gen(function*() {
          const session = fleet.sessionOf(node)
          if (session === undefined || !(yield* isCarried(session))) {
            return yield* failed(`device ${node} is not connected: its logs can be read when it is back`)
          }
          const message = yield* Effect.mapError(
            encodeStreamOpening({ _tag: "Logs", uid, query }),
            (error) => failed(error.message)
          )
          const channel = yield* Effect.mapError(session.open(message, { priority: "bulk" }), streamError(node))
          return Stream.mapError(channel.messages, streamError(node))
        })),
      pods: (node) => Effect.sync(() => index.onNode(node)),
      runningPods: (node) => Effect.sync(() => index.onNode(node).filter(({ status }) => status?.phase === "Running")),
      summary: () => Effect.undefined,
      resourceMetrics: () => Effect.undefined,
      configuration: () => Effect.undefined
    })
  })
)

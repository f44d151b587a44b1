/** What is done with what a device says: its Node, its pods' states, its pods' events. */
import { Effect, Option, Stream, SubscriptionRef } from "effect"
import { Cryptography } from "../link/Cryptography.ts"
import type { Handlers } from "../link/Session.ts"
import { decodeEvent, type Event, type NodeReport } from "../wire/Event.ts"
import { encodeReply, failureOf, type Reply } from "../wire/Reply.ts"
import { ReportBases, reportDelta } from "../wire/ReportBases.ts"
import type { DeviceContext } from "./DeviceContext.ts"
import type { devicePods } from "./devicePods.ts"

const ownershipWait = "10 seconds"

export const deviceHandlers = Effect.fnUntraced(function*(context: DeviceContext, parts: {
  readonly pods: Pick<Effect.Success<ReturnType<typeof devicePods>>, "take" | "takeEvents">
  readonly nameConflict: () => string | undefined
  /** The device says what it is. */
  readonly learn: (report: NodeReport) => Effect.Effect<void>
}) {
  const cryptography = yield* Cryptography

  /** Whether the device speaks of pods of its own Node; right after a start that takes a moment to know, and may take long. */
  const ours = SubscriptionRef.changes(context.owned).pipe(
    Stream.filter((mine) => mine !== undefined),
    Stream.runHead,
    Effect.timeoutOption(ownershipWait),
    Effect.map((known) => Option.getOrUndefined(Option.flatten(known)))
  )

  const notOurs = (): Reply => ({
    _tag: "Failure",
    code: "Unavailable",
    detail: parts.nameConflict() ?? `whose Node ${context.name} is cannot be found out`
  })

  const obey = Effect.fnUntraced(function*(event: Event): Effect.fn.Return<Reply> {
    switch (event._tag) {
      case "ReportDelta":
        return { _tag: "Failure", code: "Invalid", detail: "a delta within a delta" }
      case "NodeReport":
        yield* parts.learn(event.report)
        return { _tag: "Done" }
      case "PodReport":
        if ((yield* ours) !== true) return notOurs()
        return yield* parts.pods.take(event.report).pipe(
          Effect.as<Reply>({ _tag: "Done" }),
          Effect.catch((error) =>
            Effect.succeed<Reply>({
              _tag: "Failure",
              // What the API finds invalid will be invalid again; the rest is worth another try.
              code: error.reason === "Invalid" || error.reason === "BadRequest" ? "Invalid" : "Unavailable",
              detail: error.message
            })
          )
        )
      case "PodEvents": {
        const mine = yield* ours
        if (mine === undefined) return notOurs()
        if (!mine) return { _tag: "Done" }
        // What is answered `Done` the device forgets.
        return yield* parts.pods.takeEvents(event.events).pipe(
          Effect.as<Reply>({ _tag: "Done" }),
          Effect.catch(({ message }) =>
            Effect.succeed<Reply>({ _tag: "Failure", code: "Unavailable", detail: message })
          )
        )
      }
    }
  })

  /** Of one session: what its deltas build on goes with it. */
  return (capabilities: ReadonlyArray<string>): Handlers => {
    const bases = capabilities.includes(reportDelta) ? new ReportBases(cryptography) : undefined
    const take = Effect.fnUntraced(function*(said: Uint8Array) {
      const first = yield* decodeEvent(said)
      const { event, message } = first._tag === "ReportDelta" && bases !== undefined
        ? yield* bases.unpack(first)
        : { event: first, message: said }
      const reply = yield* obey(event)
      if (reply._tag === "Done" && event._tag === "PodReport") bases?.agree(event.report, message)
      return reply
    })
    return {
      onRequest: (message) =>
        take(message).pipe(
          Effect.catch((error) => Effect.succeed(failureOf(error))),
          Effect.flatMap((reply) => Effect.orDie(encodeReply(reply)))
        ),
      // A device opens no streams of its own.
      onOpen: (_, channel) => channel.fail("the operator serves no streams")
    }
  }
})

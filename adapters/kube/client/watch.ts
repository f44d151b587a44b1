/** One watch connection: from a resourceVersion until the server, the network or the clock ends it. */
import { Duration, Effect, Random, Result, Stream } from "effect"
import { KubeApiError, type Selection } from "../../../core/kube/KubeApi.ts"
import type { KubeResource } from "../../../core/kube/KubeResource.ts"
import type { KubeObject } from "../../../core/kube/ObjectMeta.ts"
import type { KubeClientLimits } from "./KubeClientLimits.ts"
import { LineTooLong, makeLines } from "./lines.ts"
import { collectionPath, isObject } from "./listing.ts"
import { broken, type Requests, unavailable } from "./Requests.ts"
import { errorOfEvent } from "./statusError.ts"

export type WatchEvent =
  | { readonly type: "ADDED" | "MODIFIED" | "DELETED"; readonly object: KubeObject; readonly version: string }
  | { readonly type: "BOOKMARK"; readonly version: string }

/** Why the state that was built up cannot be trusted any more: list again. */
export class WatchLost extends KubeApiError {}

/** What the server sent is no watch event; events may be missing. */
const garbage = (detail: string) =>
  new WatchLost({ reason: "Undecodable", status: 200, detail: `the watch sent ${detail}` })

const readEvent = (line: string): Result.Result<WatchEvent, KubeApiError> => {
  let json: unknown
  try {
    json = JSON.parse(line)
  } catch {
    return Result.fail(garbage("a line that is not JSON"))
  }
  if (typeof json !== "object" || json === null || !("type" in json) || !("object" in json)) {
    return Result.fail(garbage("a line that is no event"))
  }
  const { object, type } = json
  if (type === "ERROR") {
    const error = errorOfEvent(object)
    // A server that asks for patience has lost nothing: the watch goes on from where it was.
    if (error.status === 429) return Result.fail(error)
    return Result.fail(
      new WatchLost({
        reason: error.reason,
        status: error.status,
        detail: error.detail,
        ...(error.retryAfter === undefined ? {} : { retryAfter: error.retryAfter })
      })
    )
  }
  const version = typeof object === "object" && object !== null && "metadata" in object &&
      typeof object.metadata === "object" && object.metadata !== null && "resourceVersion" in object.metadata
    ? object.metadata.resourceVersion
    : undefined
  if (typeof version !== "string") return Result.fail(garbage("an event without a resourceVersion"))
  if (type === "BOOKMARK") return Result.succeed({ type, version })
  if (type !== "ADDED" && type !== "MODIFIED" && type !== "DELETED") {
    return Result.fail(garbage("an event of an unknown type"))
  }
  return isObject(object) ? Result.succeed({ type, object, version }) : Result.fail(garbage("an object without a name"))
}

/**
 * Events in order, in the groups the network brought. Ends when the server ends it or stays silent for longer than it was
 * asked to; fails with `WatchLost` when a list is needed before the next watch, with any other error when it is not.
 */
export const watch = <A extends KubeObject>(
  requests: Requests,
  limits: KubeClientLimits,
  resource: KubeResource<A>,
  selection: Selection,
  from: string
): Stream.Stream<ReadonlyArray<WatchEvent>, KubeApiError> =>
  Stream.unwrap(Effect.gen(function*() {
    const base = Duration.toSeconds(Duration.fromInputUnsafe(limits.watch))
    const seconds = Math.max(1, Math.round(base * (1 + (yield* Random.next) / 3)))
    const response = yield* requests.open({
      method: "GET",
      path: collectionPath(resource as unknown as KubeResource<never>, selection),
      query: {
        labelSelector: selection.labelSelector,
        fieldSelector: selection.fieldSelector,
        watch: "true",
        allowWatchBookmarks: "true",
        resourceVersion: from,
        timeoutSeconds: String(seconds)
      }
    })
    const silence = Duration.sum(Duration.seconds(seconds), Duration.fromInputUnsafe(limits.watchGrace))
    const lines = makeLines(limits.lineLimit)
    return response.stream.pipe(
      Stream.mapError(broken),
      Stream.timeoutOrElse({
        duration: silence,
        orElse: () => Stream.fail(unavailable(`the watch was silent for ${Duration.format(silence)}`))
      }),
      // One element per read: pieces of a batch must reach the consumer even if a later piece of it is broken.
      Stream.flatMap((chunk) => {
        let texts: ReadonlyArray<string>
        try {
          texts = lines(chunk)
        } catch (error) {
          return Stream.fail(error instanceof LineTooLong ? garbage(error.message) : broken(error))
        }
        const events: Array<WatchEvent> = []
        for (const text of texts) {
          const event = readEvent(text)
          if (Result.isFailure(event)) {
            return Stream.concat(
              events.length === 0 ? Stream.empty : Stream.succeed(events),
              Stream.fail(event.failure)
            )
          }
          events.push(event.success)
        }
        return events.length === 0 ? Stream.empty : Stream.succeed(events)
      })
    )
  }))

/** One watch connection: from a resourceVersion until the server, the network or the clock ends it. */
import { type Array as Arr, Duration, Effect, type Pull, Random, Result, Stream } from "effect"
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

interface Read {
  readonly events: ReadonlyArray<WatchEvent>
  /** What came after the events and is none. */
  readonly failure: KubeApiError | undefined
}

const readChunks = (lines: ReturnType<typeof makeLines>, chunks: ReadonlyArray<Uint8Array>): Read => {
  const events: Array<WatchEvent> = []
  try {
    for (const chunk of chunks) {
      for (const text of lines(chunk)) {
        const event = readEvent(text)
        if (Result.isFailure(event)) return { events, failure: event.failure }
        events.push(event.success)
      }
    }
  } catch (error) {
    return { events, failure: error instanceof LineTooLong ? garbage(error.message) : broken(error) }
  }
  return { events, failure: undefined }
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
    let failure: KubeApiError | undefined
    type Next = Pull.Pull<Arr.NonEmptyReadonlyArray<ReadonlyArray<WatchEvent>>, KubeApiError>
    // Stream's own operators for a time limit and for one element per read cost as much as all else that an event costs.
    return Stream.transformPull(Stream.mapError(response.stream, broken), (pull) => {
      const patient = Effect.timeoutOrElse(pull, {
        duration: silence,
        orElse: () => Effect.fail(unavailable(`the watch was silent for ${Duration.format(silence)}`))
      })
      // Pieces of a batch must reach the consumer even if a later piece of it is broken.
      const next: Next = Effect.suspend(() =>
        failure !== undefined ? Effect.fail(failure) : Effect.flatMap(patient, (chunks): Next => {
          const read = readChunks(lines, chunks)
          failure = read.failure
          return read.events.length === 0 ? next : Effect.succeed([read.events])
        })
      )
      return Effect.succeed(next)
    })
  }))

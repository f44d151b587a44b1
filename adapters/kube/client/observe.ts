/** The reflector: a list, then watches that go on from where the last one stopped, and a new list where that is impossible. */
import { Array as Arr, Clock, Duration, Effect, Option, type Pull, Random, Stream } from "effect"
import type { KubeApi, KubeApiError, Observation, Selection } from "../../../core/kube/KubeApi.ts"
import type { KubeResource } from "../../../core/kube/KubeResource.ts"
import type { KubeObject } from "../../../core/kube/ObjectMeta.ts"
import type { KubeClientLimits } from "./KubeClientLimits.ts"
import { headed, keyOf, type Listing, skipped } from "./listing.ts"
import { decode } from "./preserving.ts"
import type { Requests } from "./Requests.ts"
import { watch, type WatchEvent, WatchLost } from "./watch.ts"

/** A watch that ends sooner than this with nothing said is taken for a failure: some proxy refuses it politely. */
const SHORTEST_WATCH = Duration.seconds(1)

/** After these a watch cannot go on from where it was: the version is unknown, or the whole kind went away for a while. */
const LIST_AGAIN = new Set<KubeApiError["reason"]>(["Expired", "BadRequest", "NotFound"])

/** Even with the luckiest draw a failing server is left alone this long. */
const LEAST_PAUSE_MILLIS = 50

/**
 * What one reader of `observe` knows: the kept objects by name, nothing of the others.
 * Everything here happens in one fiber, pulled by the consumer, so that a slow one slows the connection down.
 */
const makeReflection = <A extends KubeObject>(
  requests: Requests,
  listing: Listing,
  limits: KubeClientLimits,
  resource: KubeResource<A>,
  selection: Selection,
  options: { readonly keep?: (raw: KubeObject) => boolean; readonly resync?: Duration.Input }
): Stream.Stream<Observation<A>> => {
  const known = new Map<string, A>()
  /** Where the next watch starts; undefined asks for a list. */
  let version: string | undefined
  let failures = 0
  /** An expired continue token: the next try at a list is for one piece. */
  let whole = false
  let listedAt = 0n
  let watchedSince = 0n
  const { resync } = options
  const watchLimits = resync === undefined ? limits : {
    ...limits,
    watch: Duration.min(Duration.fromInputUnsafe(limits.watch), Duration.fromInputUnsafe(resync))
  }

  /** What an object that exists now means for the reader; `again` tells it even if it is not news. */
  const set = (raw: KubeObject, again: boolean, unreadable: Array<string>): ReadonlyArray<Observation<A>> => {
    const key = keyOf(raw)
    const before = known.get(key)
    if (options.keep !== undefined && !options.keep(raw)) return forget(key)
    if (
      before !== undefined && !again && before.metadata.uid === raw.metadata.uid &&
      before.metadata.resourceVersion === raw.metadata.resourceVersion
    ) return []
    const result = decode(resource, headed(resource, light(raw)))
    if ("problem" in result) {
      unreadable.push(skipped(resource, raw, result.problem))
      return []
    }
    known.set(key, result.object)
    const now: Observation<A> = { _tag: "Set", object: result.object }
    // Deleted and made anew under the same name while nobody looked: two lives, told apart.
    return before !== undefined && before.metadata.uid !== raw.metadata.uid
      ? [{ _tag: "Deleted", object: before }, now]
      : [now]
  }

  const complain = (unreadable: ReadonlyArray<string>) =>
    Effect.forEach(unreadable, (what) => Effect.logWarning(what), { discard: true })

  const forget = (key: string, last?: A): ReadonlyArray<Observation<A>> => {
    const object = last ?? known.get(key)
    known.delete(key)
    return object === undefined ? [] : [{ _tag: "Deleted", object }]
  }

  const list = (again: boolean) =>
    Stream.suspend(() => {
      const seen = new Set<string>()
      return Stream.paginate<string | undefined, Observation<A>, KubeApiError>(
        undefined,
        Effect.fnUntraced(function*(after) {
          const page = yield* listing.page(resource, selection, { after, whole })
          const observations: Array<Observation<A>> = []
          const unreadable: Array<string> = []
          for (const raw of page.items) {
            // An object that cannot be read exists all the same: what was known of it stays.
            if (known.has(keyOf(raw)) || (options.keep?.(raw) ?? true)) seen.add(keyOf(raw))
            observations.push(...set(raw, again, unreadable))
          }
          yield* complain(unreadable)
          if (page.next !== undefined) return [observations, Option.some(page.next)] as const
          for (const key of known.keys()) if (!seen.has(key)) observations.push(...forget(key))
          observations.push({ _tag: "Synced" })
          version = page.resourceVersion
          whole = false
          listedAt = yield* Clock.monotonicTimeNanos
          return [observations, Option.none()] as const
        })
      )
    })

  const happened = (events: ReadonlyArray<WatchEvent>, unreadable: Array<string>): Array<Observation<A>> => {
    const observations: Array<Observation<A>> = []
    for (const event of events) {
      version = event.version
      failures = 0
      if (event.type === "BOOKMARK") continue
      if (event.type !== "DELETED") {
        observations.push(...set(event.object, false, unreadable))
        continue
      }
      const key = keyOf(event.object)
      if (!known.has(key) && options.keep?.(event.object) !== true) continue
      const result = decode(resource, headed(resource, light(event.object)))
      observations.push(...forget(key, "object" in result ? result.object : undefined))
    }
    return observations
  }

  const follow = (from: string) =>
    Stream.unwrap(Effect.gen(function*() {
      watchedSince = yield* Clock.monotonicTimeNanos
      let said = false
      type Next = Pull.Pull<Arr.NonEmptyReadonlyArray<Observation<A>>, KubeApiError>
      return Stream.transformPull(watch(requests, watchLimits, resource, selection, from), (pull) => {
        const next: Next = Effect.flatMap(pull, (batches): Next => {
          said = true
          const unreadable: Array<string> = []
          const observations = batches.flatMap((events) => happened(events, unreadable))
          const told: Next = Arr.isArrayNonEmpty(observations) ? Effect.succeed(observations) : next
          return unreadable.length === 0 ? told : Effect.andThen(complain(unreadable), told)
        })
        return Effect.succeed(next)
      }).pipe(
        Stream.concat(Stream.fromEffectDrain(Effect.gen(function*() {
          if (!said && Duration.isLessThan(yield* watched, SHORTEST_WATCH)) yield* pause(undefined)
          else failures = 0
        })))
      )
    }))

  const watched = Effect.map(Clock.monotonicTimeNanos, (now) => Duration.nanos(now - watchedSince))

  const pause = Effect.fnUntraced(function*(atLeastMillis: number | undefined) {
    const first = Duration.toMillis(Duration.fromInputUnsafe(limits.backoff.first))
    const most = Duration.toMillis(Duration.fromInputUnsafe(limits.backoff.most))
    const ceiling = Math.min(most, first * 2 ** Math.min(failures, 30))
    failures++
    const drawn = Math.max(LEAST_PAUSE_MILLIS, (yield* Random.next) * ceiling)
    yield* Effect.sleep(Duration.millis(Math.max(drawn, atLeastMillis ?? 0)))
  })

  const recover = Effect.fnUntraced(function*(error: KubeApiError) {
    const listing = version === undefined
    if (!listing && !Duration.isLessThan(yield* watched, Duration.fromInputUnsafe(limits.backoff.most))) failures = 0
    if (error instanceof WatchLost || LIST_AGAIN.has(error.reason)) version = undefined
    if (error.reason !== "Expired") {
      // One piece may be too long or too slow for ever; pieces only might expire again.
      whole = false
      yield* Effect.logWarning(`${resource.plural} cannot be ${listing ? "listed" : "watched"}: ${error.message}`)
      return yield* pause(error.retryAfter)
    }
    whole = listing
    yield* Effect.logDebug(`${resource.plural} are listed again: ${error.detail}`)
    // Ordinary after a quiet time or a long interruption: the list is due at once, unless it happens again and again.
    if (failures > 0) yield* pause(error.retryAfter)
    else failures = 1
  })

  const resyncDue = Effect.gen(function*() {
    if (resync === undefined || version === undefined) return false
    const age = Duration.nanos((yield* Clock.monotonicTimeNanos) - listedAt)
    return !Duration.isLessThan(age, Duration.fromInputUnsafe(resync))
  })

  return Stream.unwrap(Effect.gen(function*() {
    const due = yield* resyncDue
    return version === undefined || due ? list(due) : follow(version)
  })).pipe(
    Stream.catch((error) => Stream.fromEffectDrain(recover(error))),
    Stream.forever
  )
}

/** Who owns which field is of no use here and is often a third of an object. */
const light = (raw: KubeObject): KubeObject => {
  if (!("managedFields" in raw.metadata)) return raw
  const { managedFields: _, ...metadata } = raw.metadata as KubeObject["metadata"] & { readonly managedFields: unknown }
  return { ...raw, metadata }
}

export const makeObserve =
  (requests: Requests, listing: Listing, limits: KubeClientLimits): KubeApi["Service"]["observe"] =>
  (resource, selection, options) =>
    Stream.suspend(() => makeReflection(requests, listing, limits, resource, selection ?? {}, options ?? {}))

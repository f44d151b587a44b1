/** What an operator's requests to the API meet, and its watches: weather that faults make and that is drawn for each request. */
import { Deferred, Effect } from "effect"
import { type Fault as ApiFault, noFault, refuse } from "../../../adapters/kube/plane/memory/Faults.ts"
import type { ApiRequest } from "../../../adapters/kube/plane/request/ApiRequest.ts"
import type { Count } from "../coverage.ts"
import type { Dice } from "./Dice.ts"
import { overlapping } from "./overlapping.ts"

export interface ApiMood {
  /** Of each request to suffer. */
  readonly chance: number
  /** Which requests suffer, and from what. */
  readonly mood: "any" | "slow" | "stale" | "cut" | "away"
  /** Version that lists are as old as, where the mood is `stale`; a few versions unless told. */
  readonly asOf?: number
}

/** The faults of one operator's requests, changed while the storm goes on. */
export interface ApiWeather {
  mood: ApiMood
  /** Sprung by the request at which the count comes to nothing; that request is done, and nobody hears its answer. */
  trap: { readonly count: { left: number }; readonly spring: () => void } | undefined
  /** Ends the watches that are open now. */
  readonly endOpen: (how: "broken" | "in order") => Effect.Effect<void>
  /** While there is one, nothing comes by any watch; when it is done, all comes at once. */
  frozen: Deferred.Deferred<void> | undefined
  readonly draw: (request: ApiRequest) => Effect.Effect<ApiFault>
}

const fair: ApiMood = { mood: "any", chance: 0 }

/** Many objects of a kind, not one of them. */
const collection = /^\/(api\/v1|apis\/[^/]+\/[^/]+)(\/namespaces\/[^/]+)?\/[a-z]+$/

const told = (
  { answer, cutAbruptly, cutWatchAfter, delay, loseAnswer, refuseConnection, silence, staleBy }: ApiFault
) =>
  answer !== undefined
    ? String(answer.status)
    : cutWatchAfter !== undefined
    ? cutAbruptly === true ? "watch broken" : "watch cut"
    : refuseConnection === true
    ? "connection refused"
    : loseAnswer === true
    ? "answer lost"
    : silence === true
    ? "never answers"
    : staleBy !== undefined
    ? "stale read"
    : delay !== undefined
    ? "slow"
    : undefined

export const makeApiWeather = (
  { between, chance, pick }: Dice,
  version: () => number,
  count: Count
): ApiWeather => {
  let ending = Deferred.makeUnsafe<void, "broken">()
  const holdWatch = Effect.suspend(() => weather.frozen === undefined ? Effect.void : Deferred.await(weather.frozen))
  const weather: ApiWeather = {
    mood: fair,
    trap: undefined,
    frozen: undefined,
    endOpen: (how) =>
      Effect.sync(() => {
        const open = ending
        ending = Deferred.makeUnsafe()
        Deferred.doneUnsafe(open, how === "broken" ? Effect.fail(how) : Effect.void)
      }),
    draw: (request) =>
      Effect.sync(() => {
        const fault = drawn(request)
        const name = told(fault)
        if (name !== undefined) count(`api: ${name}`)
        return request.query.get("watch") === null
          ? fault
          : { ...fault, holdWatch, endWatchWhen: Deferred.await(ending) }
      })
  }
  const drawn = (request: ApiRequest): ApiFault => {
    const { asOf, mood } = weather.mood
    if (mood === "away") return { refuseConnection: true }
    if (weather.trap !== undefined && --weather.trap.count.left <= 0) {
      weather.trap.spring()
      weather.trap = undefined
      return { loseAnswer: true }
    }
    if (weather.mood.chance === 0 || chance() >= weather.mood.chance) return noFault
    const watches = request.query.get("watch") !== null
    switch (mood) {
      case "slow":
        return watches ? noFault : { delay: between(500, 12_000) }
      case "stale":
        // Only what a reflector begins with: others rely on the quorum from which an API server answers them.
        return !watches && request.method === "GET" && request.query.get("fieldSelector") === null &&
            collection.test(request.path)
          ? { staleBy: asOf === undefined ? between(1, 40) : Math.max(1, version() - asOf) }
          : noFault
      case "cut":
        return watches ? { cutWatchAfter: between(0, 3), cutAbruptly: chance() < 0.5 } : noFault
      case "any":
        break
    }
    if (watches) {
      return pick<() => ApiFault>([
        () => ({ cutWatchAfter: between(0, 5) }),
        () => ({ cutWatchAfter: between(0, 5), cutAbruptly: true }),
        () => ({ answer: refuse(410, "Expired", "too old resource version") }),
        () => ({ refuseConnection: true }),
        () => ({ answer: refuse(500, "InternalError", "etcd is slow") })
      ])()
    }
    return pick<() => ApiFault>([
      () => ({ answer: refuse(429, "TooManyRequests", "slow down", 1) }),
      () => ({ answer: refuse(500, "InternalError", "etcd is slow") }),
      () => ({ answer: refuse(503, "ServiceUnavailable", "no leader") }),
      () => ({ refuseConnection: true }),
      () => ({ loseAnswer: true }),
      () => ({ silence: true }),
      () => ({ delay: between(10, 5_000) }),
      () =>
        request.method === "PATCH" || request.method === "PUT"
          ? { answer: refuse(409, "Conflict", "the object has been modified") }
          : { loseAnswer: true }
    ])()
  }
  return weather
}

/** Of moods that go on at once the newest prevails. */
export const inMood = overlapping<ApiWeather, ApiMood>((api, going) =>
  Effect.sync(() => {
    api.mood = going.at(-1) ?? fair
  })
)

/** What the API tells comes late: nothing for a while, then all at once. */
export const whileFrozen = overlapping<ApiWeather, true>((api, going) =>
  Effect.sync(() => {
    if (going.length > 0) api.frozen ??= Deferred.makeUnsafe<void>()
    else if (api.frozen !== undefined) {
      Deferred.doneUnsafe(api.frozen, Effect.void)
      api.frozen = undefined
    }
  })
)

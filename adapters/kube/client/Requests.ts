/** Sends single requests to the API server: identity, limits, time limit, and one reading of every way to fail. */
import { Duration, Effect, type Scope, Semaphore, Stream } from "effect"
import { HttpClient, HttpClientRequest, type HttpClientResponse } from "effect/http"
import { KubeApiError } from "../../../core/kube/KubeApi.ts"
import { KubeClientConfig } from "./KubeClientConfig.ts"
import { KubeClientLimits } from "./KubeClientLimits.ts"
import { errorOfAnswer } from "./statusError.ts"

export interface KubeRequest {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE"
  readonly path: string
  readonly query?: Readonly<Record<string, string | undefined>>
  readonly body?: { readonly json: unknown; readonly contentType: string }
}

export interface Requests {
  /** The JSON of a successful answer. */
  readonly send: (request: KubeRequest) => Effect.Effect<unknown, KubeApiError>
  /** An answer that goes on: its headers came and say 200. Closing the scope hangs up. */
  readonly open: (
    request: KubeRequest
  ) => Effect.Effect<HttpClientResponse.HttpClientResponse, KubeApiError, Scope.Scope>
}

type Identity = Readonly<Record<string, string>>

export const unavailable = (detail: string): KubeApiError =>
  new KubeApiError({ reason: "Unavailable", status: 0, detail })

/** No answer, or one that broke off; the cause is named, never the headers. */
export const broken = (error: unknown): KubeApiError => {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
  const words = cause instanceof Error ? cause.message : "unknown cause"
  const code = typeof cause === "object" && cause !== null && "code" in cause ? ` (${String(cause.code)})` : ""
  return unavailable(`the connection failed: ${words === "" ? "no words about why" : words}${code}`)
}

export const makeRequests: Effect.Effect<Requests, never, HttpClient.HttpClient | KubeClientConfig> = Effect.gen(
  function*() {
    const http = yield* HttpClient.HttpClient
    const untraced = HttpClient.transformResponse(
      http,
      // A span for each request, told to the API server in its headers, would cost more than the rest of the sending.
      Effect.provideService(HttpClient.TracerDisabledWhen, () => true)
    )
    const client = HttpClient.withScope(untraced)
    const config = yield* KubeClientConfig
    const limits = yield* KubeClientLimits
    const turns = yield* Semaphore.make(limits.concurrency)
    const timeout = Duration.fromInputUnsafe(limits.requestTimeout)
    const late = (what: string) => unavailable(`${what} within ${Duration.format(timeout)}`)

    const message = (request: KubeRequest, identity: Identity) => {
      const query: Record<string, string> = {}
      for (const key in request.query) {
        const value = request.query[key]
        if (value !== undefined) query[key] = value
      }
      const bare = HttpClientRequest.make(request.method)(config.server + request.path, {
        headers: { accept: "application/json", "user-agent": "aranya", ...identity },
        urlParams: query
      })
      return request.body === undefined
        ? bare
        : HttpClientRequest.bodyText(bare, JSON.stringify(request.body.json), request.body.contentType)
    }

    const readInPieces = Effect.fnUntraced(function*(response: HttpClientResponse.HttpClientResponse) {
      const decoder = new TextDecoder()
      let length = 0
      let text = ""
      yield* response.stream.pipe(
        Stream.mapError(broken),
        Stream.runForEach((chunk) => {
          length += chunk.length
          if (length > limits.bodyLimit) {
            return Effect.fail(
              new KubeApiError({
                reason: "Undecodable",
                status: response.status,
                detail: `the answer is longer than ${limits.bodyLimit} bytes`
              })
            )
          }
          return Effect.sync(() => {
            text += decoder.decode(chunk, { stream: true })
          })
        })
      )
      return text + decoder.decode()
    })

    /** In one piece where the answer says that it is short enough: HTTP holds it to its word. */
    const read = (response: HttpClientResponse.HttpClientResponse) =>
      Number(response.headers["content-length"] ?? Infinity) <= limits.bodyLimit
        ? Effect.mapError(response.text, broken)
        : readInPieces(response)

    const refusal = Effect.fnUntraced(function*(response: HttpClientResponse.HttpClientResponse, identity: Identity) {
      const body = yield* Effect.orElseSucceed(read(response), () => "")
      if (response.status === 401) yield* config.identityRefused(identity)
      return errorOfAnswer({
        status: response.status,
        body,
        retryAfter: response.headers["retry-after"],
        date: response.headers["date"]
      })
    })

    const exchange = Effect.fnUntraced(
      function*(request: KubeRequest) {
        const identity = yield* config.identity
        const response = yield* Effect.mapError(untraced.execute(message(request, identity)), broken)
        if (response.status < 200 || response.status >= 300) return yield* yield* refusal(response, identity)
        const text = yield* read(response)
        return yield* Effect.try({
          try: (): unknown => JSON.parse(text),
          catch: () =>
            new KubeApiError({ reason: "Undecodable", status: response.status, detail: "the answer is not JSON" })
        })
      },
      Effect.timeoutOrElse({ duration: timeout, orElse: () => Effect.fail(late("no answer")) })
    )

    const send = (request: KubeRequest) => {
      let refusals = 0
      const attempt: Effect.Effect<unknown, KubeApiError> = turns.withPermit(exchange(request)).pipe(
        Effect.catchIf(
          // 429 is said before the request had any effect, so that repeating even a POST is safe.
          (error) => error.status === 429 && error.retryAfter !== undefined && refusals++ < limits.throttledRetries,
          (error) =>
            Effect.delay(
              attempt,
              Duration.min(Duration.millis(Math.max(error.retryAfter ?? 0, 100)), timeout)
            )
        )
      )
      return attempt
    }

    const open = (request: KubeRequest) =>
      Effect.gen(function*() {
        const identity = yield* config.identity
        const response = yield* Effect.mapError(client.execute(message(request, identity)), broken)
        return response.status === 200 ? response : yield* yield* refusal(response, identity)
      }).pipe(Effect.timeoutOrElse({ duration: timeout, orElse: () => Effect.fail(late("no answer to a watch")) }))

    return { send, open }
  }
)

/** Calls to the Engine API: version negotiation, limits on time and size, and one reading of every way to fail. */
import { NodeHttpClient } from "@effect/platform-node"
import { Duration, Effect, Layer, Ref, Schema, type Scope, Stream } from "effect"
import { HttpClient, HttpClientRequest, type HttpClientResponse } from "effect/http"
import { RuntimeError } from "../../core/pod/ContainerRuntime.ts"
import type { DockerOptions } from "./DockerOptions.ts"

/** The newest Engine API this code was written for, and the oldest it can live with (Docker 20.10). */
const NEWEST = "1.47"
const OLDEST = "1.41"
const MOST_ANSWER_BYTES = 16 * 1024 * 1024

export interface DockerCall {
  readonly method: "GET" | "POST" | "DELETE"
  readonly path: string
  readonly query?: Readonly<Record<string, string>>
  readonly json?: unknown
  readonly headers?: Readonly<Record<string, string>>
  /** Instead of the usual time limit. */
  readonly timeout?: Duration.Duration
}

export interface DockerAnswer {
  readonly status: number
  /** The engine's own words for a refusal, else empty. */
  readonly words: string
  readonly json: unknown
}

export interface DockerClient {
  readonly version: Effect.Effect<EngineVersion, RuntimeError>
  /** Whatever the status; read to the end. */
  readonly call: (call: DockerCall) => Effect.Effect<DockerAnswer, RuntimeError>
  /** The answer of a call that must succeed. */
  readonly get: <S extends Schema.Codec<unknown, unknown>>(
    call: DockerCall,
    schema: S
  ) => Effect.Effect<S["Type"], RuntimeError>
  /** An answer that goes on; only its head is limited in time. Closing the scope hangs up. */
  readonly open: (
    call: DockerCall & { readonly upgrade?: boolean }
  ) => Effect.Effect<HttpClientResponse.HttpClientResponse, RuntimeError, Scope.Scope>
  /** The engine's words in a refusal that came by `open`. */
  readonly refusal: (response: HttpClientResponse.HttpClientResponse) => Effect.Effect<RuntimeError>
}

export const EngineVersion = Schema.Struct({
  Version: Schema.String,
  ApiVersion: Schema.String,
  MinAPIVersion: Schema.optionalKey(Schema.String)
})
export type EngineVersion = typeof EngineVersion.Type

export const unavailable = (detail: string): RuntimeError => new RuntimeError({ reason: "Unavailable", detail })

/** `1.9` is older than `1.41`. */
const older = (one: string, other: string): boolean => {
  const [major = 0, minor = 0] = one.split(".").map(Number)
  const [otherMajor = 0, otherMinor = 0] = other.split(".").map(Number)
  return major < otherMajor || (major === otherMajor && minor < otherMinor)
}

export const negotiate = ({ ApiVersion, MinAPIVersion = "1.12", Version }: EngineVersion) => {
  const chosen = older(ApiVersion, NEWEST) ? ApiVersion : NEWEST
  return older(ApiVersion, OLDEST) || older(chosen, MinAPIVersion)
    ? Effect.fail(
      unavailable(`docker ${Version} speaks API ${MinAPIVersion} to ${ApiVersion}, arhat ${OLDEST} to ${NEWEST}`)
    )
    : Effect.succeed(chosen)
}

/** The usual reading of a refusal; callers that know better look at the status themselves. */
export const refused = (call: DockerCall, status: number, words: string): RuntimeError => {
  const detail = words === "" ? `docker answered ${status} to ${call.method} ${call.path}` : words
  const reason = status === 404 ? "NotFound" : status === 400 || status === 409 ? "Invalid" : "Unavailable"
  return new RuntimeError({ reason, detail })
}

const wordsOf = (text: string): string => {
  try {
    const json: unknown = JSON.parse(text)
    if (typeof json === "object" && json !== null && "message" in json && typeof json.message === "string") {
      return json.message
    }
  } catch {
    // Not every refusal is JSON; the text itself is then what the engine has to say.
  }
  return text.slice(0, 1000).trim()
}

/** A pool of connections of its own: layers of undici clients are shared by reference otherwise. */
export const layerHttp = (socketPath: string): Layer.Layer<HttpClient.HttpClient> =>
  Layer.fresh(NodeHttpClient.layerUndiciOptions({ connect: { socketPath }, headersTimeout: 0, bodyTimeout: 0 }))

export const makeDockerClient = Effect.fnUntraced(function*(
  options: DockerOptions
): Effect.fn.Return<DockerClient, never, HttpClient.HttpClient> {
  const client = HttpClient.withScope(yield* HttpClient.HttpClient)
  const negotiated = yield* Ref.make<string | undefined>(undefined)

  const broken = (error: unknown): RuntimeError => {
    const inner = error instanceof Error && error.cause instanceof Error ? error.cause : error
    const cause = inner instanceof Error && inner.cause instanceof Error ? inner.cause : inner
    const words = cause instanceof Error ? cause.message : "no words about why"
    return unavailable(`docker does not answer at ${options.socketPath}: ${words}`)
  }

  const execute = (prefix: string, call: DockerCall & { readonly upgrade?: boolean }) => {
    let request = HttpClientRequest.make(call.method)(`http://docker${prefix}${call.path}`, {
      urlParams: call.query ?? {},
      headers: call.headers ?? {}
    })
    if (call.json !== undefined) {
      request = HttpClientRequest.bodyText(request, JSON.stringify(call.json), "application/json")
    }
    if (call.upgrade === true) request = HttpClientRequest.upgrade(request, "tcp")
    return client.execute(request).pipe(
      Effect.mapError(broken),
      // The engine may come back as another version.
      Effect.tapError(() => Ref.set(negotiated, undefined))
    )
  }

  const read = Effect.fnUntraced(function*(response: HttpClientResponse.HttpClientResponse) {
    let length = 0
    const chunks: Array<Uint8Array> = []
    yield* response.stream.pipe(
      Stream.mapError(broken),
      Stream.runForEach((chunk) => {
        length += chunk.length
        chunks.push(chunk)
        return length > MOST_ANSWER_BYTES
          ? Effect.fail(unavailable(`docker's answer is longer than ${MOST_ANSWER_BYTES} bytes`))
          : Effect.void
      })
    )
    return Buffer.concat(chunks).toString()
  })

  const limited = <A, R>(call: DockerCall, effect: Effect.Effect<A, RuntimeError, R>) => {
    const duration = call.timeout ?? options.requestTimeout
    return Effect.timeoutOrElse(effect, {
      duration,
      orElse: () =>
        Effect.fail(unavailable(`docker gave no answer to ${call.method} ${call.path} in ${Duration.format(duration)}`))
    })
  }

  const exchange = Effect.fnUntraced(function*(prefix: string, call: DockerCall) {
    const response = yield* execute(prefix, call)
    const text = yield* read(response)
    if (response.status >= 400) return { status: response.status, words: wordsOf(text), json: undefined }
    const json = yield* Effect.try({
      try: (): unknown => text.trim() === "" ? undefined : JSON.parse(text),
      catch: () => unavailable(`docker's answer to ${call.method} ${call.path} is not JSON`)
    })
    return { status: response.status, words: "", json }
  }, Effect.scoped)

  const decoded = <S extends Schema.Codec<unknown, unknown>>(call: DockerCall, answer: DockerAnswer, schema: S) =>
    answer.status >= 400
      ? Effect.fail(refused(call, answer.status, answer.words))
      : Effect.mapError(
        Schema.decodeUnknownEffect(schema)(answer.json),
        (error) => unavailable(`docker's answer to ${call.method} ${call.path} is not understood: ${error.message}`)
      )

  const versionCall: DockerCall = { method: "GET", path: "/version" }
  const version = Effect.flatMap(
    limited(versionCall, exchange("", versionCall)),
    (answer) => decoded(versionCall, answer, EngineVersion)
  )

  const prefix = Effect.gen(function*() {
    const known = yield* Ref.get(negotiated)
    if (known !== undefined) return `/v${known}`
    const chosen = yield* negotiate(yield* version)
    yield* Ref.set(negotiated, chosen)
    return `/v${chosen}`
  })

  const call = (request: DockerCall) => Effect.flatMap(prefix, (before) => limited(request, exchange(before, request)))

  return {
    version,
    call,
    get: (request, schema) => Effect.flatMap(call(request), (answer) => decoded(request, answer, schema)),
    open: (request) => Effect.flatMap(prefix, (before) => limited(request, execute(before, request))),
    refusal: (response) =>
      Effect.map(
        Effect.orElseSucceed(Effect.timeout(read(response), options.requestTimeout), () => ""),
        (text) => refused({ method: "GET", path: response.request.url }, response.status, wordsOf(text))
      )
  }
})

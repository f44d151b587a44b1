/** An API server that says exactly what a test wrote down, in virtual time, and keeps a diary of what it was asked. */
import { Clock, Context, Effect, Layer, Stream } from "effect"
import { HttpClient, HttpClientError, type HttpClientRequest, HttpClientResponse } from "effect/http"
import { KubeClientConfig } from "../../../../adapters/kube/client/KubeClientConfig.ts"

export interface Answer {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  /** Text is sent as it is, a stream as it comes. */
  readonly body?: string | Stream.Stream<Uint8Array, unknown>
}

export interface Asked {
  readonly method: string
  readonly path: string
  readonly query: Readonly<Record<string, string>>
  readonly headers: Readonly<Record<string, string>>
  readonly body: unknown
}

export type Script = (asked: Asked) => Effect.Effect<Answer, "refused">

export const bytes = (text: string) => new TextEncoder().encode(text)
export const json = (value: unknown, status = 200): Answer => ({ status, body: JSON.stringify(value) })
export const status = (code: number, reason: string, more: object = {}): Answer =>
  json({ kind: "Status", apiVersion: "v1", status: "Failure", code, reason, message: `${reason} it is`, ...more }, code)

/** A watch that says these lines and then goes on without a word. */
export const open = (...lines: ReadonlyArray<string>): Answer => ({
  body: Stream.concat(Stream.fromIterable(lines.map(bytes)), Stream.never)
})
/** The same, then the server ends it. */
export const ended = (...lines: ReadonlyArray<string>): Answer => ({ body: Stream.fromIterable(lines.map(bytes)) })
/** The same, then the connection breaks. */
export const cut = (...lines: ReadonlyArray<string>): Answer => ({
  body: Stream.concat(Stream.fromIterable(lines.map(bytes)), Stream.fail("reset by peer"))
})
export const line = (type: string, object: unknown): string => `${JSON.stringify({ type, object })}\n`

export class ScriptedServer extends Context.Service<ScriptedServer, {
  /** What it answers from now on. */
  readonly behave: (script: Script) => Effect.Effect<void>
  /** One line per request, with virtual seconds; long answers that were hung up on leave a line as well. */
  readonly diary: Effect.Effect<ReadonlyArray<string>>
  readonly asked: Effect.Effect<ReadonlyArray<Asked>>
  readonly mostAtOnce: Effect.Effect<number>
}>()("test/ScriptedServer") {}

const readBody = (request: HttpClientRequest.HttpClientRequest): unknown =>
  request.body._tag === "Uint8Array" ? JSON.parse(new TextDecoder().decode(request.body.body)) : undefined

export const layerServer: Layer.Layer<ScriptedServer | HttpClient.HttpClient> = Layer.effectContext(
  Effect.gen(function*() {
    const diary: Array<string> = []
    const asked: Array<Asked> = []
    let script: Script = () => Effect.succeed(status(404, "NotFound"))
    let atOnce = 0
    let most = 0
    const note = (words: string) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        diary.push(`${Math.round(now / 10) / 100}s ${words}`)
      })

    const client = HttpClient.make((request, url) =>
      Effect.gen(function*() {
        const query = Object.fromEntries(url.searchParams)
        const what = {
          method: request.method,
          path: url.pathname,
          query,
          headers: { ...request.headers },
          body: readBody(request)
        }
        asked.push(what)
        const { timeoutSeconds: _, ...shown } = query
        const words = `${request.method} ${url.pathname}${
          Object.keys(shown).length === 0 ? "" : `?${new URLSearchParams(shown)}`
        }`
        yield* note(words)
        most = Math.max(most, ++atOnce)
        const answer = yield* script(what).pipe(
          Effect.mapError((cause) =>
            new HttpClientError.HttpClientError({
              reason: new HttpClientError.TransportError({ request, cause: new Error(cause) })
            })
          ),
          Effect.ensuring(Effect.sync(() => atOnce--))
        )
        const response = HttpClientResponse.fromWeb(
          request,
          new Response(null, { status: answer.status ?? 200, headers: { ...answer.headers } })
        )
        const body = typeof answer.body === "string" ? Stream.succeed(bytes(answer.body)) : answer.body ?? Stream.empty
        let over = false
        const ends = Effect.sync(() => {
          over = true
        })
        const stream = body.pipe(
          Stream.concat(Stream.fromEffectDrain(ends)),
          Stream.tapError(() => ends),
          Stream.mapError((cause) =>
            new HttpClientError.HttpClientError({
              reason: new HttpClientError.DecodeError({ request, response, cause: new Error(String(cause)) })
            })
          ),
          Stream.onExit(() => over ? Effect.void : note(`hung up on ${url.pathname}`))
        )
        Object.defineProperty(response, "stream", { value: stream })
        return response
      })
    )

    return Context.make(HttpClient.HttpClient, client).pipe(Context.add(
      ScriptedServer,
      ScriptedServer.of({
        behave: (next) =>
          Effect.sync(() => {
            script = next
          }),
        diary: Effect.sync(() => diary.slice()),
        asked: Effect.sync(() => asked.slice()),
        mostAtOnce: Effect.sync(() => most)
      })
    ))
  })
)

export const layerConfig = Layer.succeed(
  KubeClientConfig,
  KubeClientConfig.of({
    server: "https://api.test:6443",
    identity: Effect.succeed({ authorization: "Bearer sesame" }),
    identityRefused: () => Effect.void
  })
)

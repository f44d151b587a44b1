/** A Docker Engine as the end-to-end tests see it: its socket and plain calls of its API, independent of the product's adapter. */
import { NodeHttpClient } from "@effect/platform-node"
import { Effect, Schema } from "effect"
import { HttpBody, HttpClient, HttpClientRequest } from "effect/http"

export class EngineRefused extends Schema.TaggedError<EngineRefused>()("EngineRefused", {
  call: Schema.String,
  /** Zero when there was no answer at all. */
  status: Schema.Number,
  reason: Schema.String
}) {
  override get message() {
    return `the docker engine refused ${this.call}: ${this.status === 0 ? "" : `${this.status} `}${this.reason}`
  }
}

export interface EngineCall {
  readonly query?: Readonly<Record<string, string>>
  readonly headers?: Readonly<Record<string, string>>
  /** Sent as JSON, or as it is when it is bytes (a tar). */
  readonly body?: unknown
  /** 2 minutes unless told. */
  readonly timeoutSeconds?: number
}

export interface Engine {
  /** One call of the Engine API, e.g. `call("POST", "/containers/create", { body })`; the answer's bytes, fails outside 2xx and 304. */
  readonly call: (
    method: "GET" | "POST" | "DELETE" | "PUT" | "HEAD",
    path: string,
    options?: EngineCall
  ) => Effect.Effect<Uint8Array, EngineRefused>
  /** The same, the answer parsed as JSON (`undefined` when it is empty). */
  readonly json: (...args: Parameters<Engine["call"]>) => Effect.Effect<unknown, EngineRefused>
}

/** A client for the Engine behind a unix socket; its connections close with the scope. */
export const engineAt = Effect.fnUntraced(function*(socketPath: string) {
  const dispatcher = yield* NodeHttpClient.makeDispatcherOptions({ connect: { socketPath } })
  const client = yield* NodeHttpClient.makeUndici.pipe(Effect.provideService(NodeHttpClient.Dispatcher, dispatcher))

  const call: Engine["call"] = (method, path, options = {}) => {
    const named = `${method} ${path}`
    const body = options.body === undefined
      ? HttpBody.empty
      : options.body instanceof Uint8Array
      ? HttpBody.uint8Array(options.body, "application/x-tar")
      : HttpBody.text(JSON.stringify(options.body), "application/json")
    const request = HttpClientRequest.make(method)(`http://docker${path}`, {
      urlParams: options.query,
      headers: options.headers,
      body
    })
    return HttpClient.withScope(client).execute(request).pipe(
      Effect.flatMap((response) =>
        Effect.map(response.arrayBuffer, (bytes) => ({ status: response.status, bytes: new Uint8Array(bytes) }))
      ),
      Effect.scoped,
      Effect.timeout(`${options.timeoutSeconds ?? 120} seconds`),
      Effect.mapError((error) => new EngineRefused({ call: named, status: 0, reason: error.message })),
      Effect.flatMap(({ bytes, status }) =>
        status < 300 || status === 304
          ? Effect.succeed(bytes)
          : Effect.fail(new EngineRefused({ call: named, status, reason: textOf(bytes).trim().slice(0, 2000) }))
      )
    )
  }

  const json: Engine["json"] = (...args) =>
    Effect.flatMap(call(...args), (bytes) =>
      Effect.try({
        try: (): unknown => bytes.length === 0 ? undefined : JSON.parse(textOf(bytes)),
        catch: () => new EngineRefused({ call: args[1], status: 0, reason: `not JSON: ${textOf(bytes).slice(0, 200)}` })
      }))

  return { call, json } satisfies Engine
})

export const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

/** Splits the bytes of a log or an attach without a TTY: frames of stream (1 stdout, 2 stderr), three zero bytes and a 32-bit length. */
export const demultiplex = (bytes: Uint8Array): { readonly stdout: string; readonly stderr: string } => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let stdout = ""
  let stderr = ""
  for (let at = 0; at + 8 <= bytes.length;) {
    const length = view.getUint32(at + 4)
    const text = textOf(bytes.subarray(at + 8, at + 8 + length))
    if (bytes[at] === 2) stderr += text
    else stdout += text
    at += 8 + length
  }
  return { stdout, stderr }
}

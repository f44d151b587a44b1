/** An HttpClientResponse over an answer that never was on a wire: no web streams, so nothing escapes virtual time. */
import { Effect, Inspectable, Option, Pipeable, type Schema, Stream } from "effect"
import {
  Cookies,
  Headers,
  HttpClientError,
  type HttpClientRequest,
  HttpClientResponse,
  HttpIncomingMessage,
  UrlParams
} from "effect/http"
import type { ApiResponse } from "../request/ApiRequest.ts"

const encoder = new TextEncoder()
const decoder = new TextDecoder()

export const makeResponse = (
  request: HttpClientRequest.HttpClientRequest,
  url: string,
  answer: ApiResponse
): HttpClientResponse.HttpClientResponse => new MemoryResponse(request, url, answer)

/** As a server says it whose answer is not a stream. */
const withLength = ({ body, headers }: ApiResponse) =>
  typeof body === "string"
    ? { ...headers, "content-length": String(Buffer.byteLength(body)) }
    : body instanceof Uint8Array
    ? { ...headers, "content-length": String(body.length) }
    : headers

class MemoryResponse extends Inspectable.Class {
  readonly [HttpIncomingMessage.TypeId]: typeof HttpIncomingMessage.TypeId = HttpIncomingMessage.TypeId
  readonly [HttpClientResponse.TypeId]: typeof HttpClientResponse.TypeId = HttpClientResponse.TypeId
  readonly request: HttpClientRequest.HttpClientRequest
  readonly url: string
  readonly status: number
  readonly headers: Headers.Headers
  readonly cookies = Cookies.empty
  readonly remoteAddress = Option.none<string>()
  readonly #body: ApiResponse["body"]

  constructor(request: HttpClientRequest.HttpClientRequest, url: string, answer: ApiResponse) {
    super()
    this.request = request
    this.url = url
    this.status = answer.status
    this.headers = Headers.fromInput(withLength(answer))
    this.#body = answer.body
  }

  toJSON(): unknown {
    return { _id: "HttpClientResponse", status: this.status, url: this.url }
  }

  #decodeError(cause: unknown) {
    return new HttpClientError.HttpClientError({
      reason: new HttpClientError.DecodeError({ request: this.request, response: this.#self, cause })
    })
  }

  get #self(): HttpClientResponse.HttpClientResponse {
    return this as unknown as HttpClientResponse.HttpClientResponse
  }

  get stream(): Stream.Stream<Uint8Array, HttpClientError.HttpClientError> {
    const body = this.#body
    if (typeof body === "string") return body === "" ? Stream.empty : Stream.succeed(encoder.encode(body))
    if (body instanceof Uint8Array) return Stream.succeed(body)
    return Stream.mapError(body, (cause) => this.#decodeError(cause))
  }

  get text(): Effect.Effect<string, HttpClientError.HttpClientError> {
    const body = this.#body
    if (typeof body === "string") return Effect.succeed(body)
    if (body instanceof Uint8Array) return Effect.succeed(decoder.decode(body))
    return this.stream.pipe(Stream.decodeText(), Stream.mkString)
  }

  get json(): Effect.Effect<Schema.Json, HttpClientError.HttpClientError> {
    return Effect.flatMap(this.text, (text) =>
      Effect.try({
        try: (): Schema.Json => text === "" ? null : JSON.parse(text),
        catch: (cause) => this.#decodeError(cause)
      }))
  }

  get arrayBuffer(): Effect.Effect<ArrayBuffer, HttpClientError.HttpClientError> {
    return Effect.map(this.text, (text) => encoder.encode(text).buffer)
  }

  get urlParamsBody(): Effect.Effect<UrlParams.UrlParams, HttpClientError.HttpClientError> {
    return Effect.map(this.text, (text) => UrlParams.fromInput(new URLSearchParams(text)))
  }

  get formData(): Effect.Effect<FormData, HttpClientError.HttpClientError> {
    return Effect.fail(this.#decodeError("no API answer is a form"))
  }

  get upgrade(): HttpClientResponse.HttpClientResponse["upgrade"] {
    return Effect.fail(
      new HttpClientError.HttpClientError({
        reason: new HttpClientError.StatusCodeError({
          request: this.request,
          response: this.#self,
          description: "the in-memory API server hands over no connections"
        })
      })
    )
  }

  // As Pipeable has it, arguments and all.
  readonly pipe: HttpClientResponse.HttpClientResponse["pipe"] = Pipeable.Prototype.pipe
}

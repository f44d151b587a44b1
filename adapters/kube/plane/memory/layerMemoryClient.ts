/** The first door: an HttpClient whose every request the control plane answers in the same process and the same virtual time. */
import { Effect, Layer, Stream } from "effect"
import { HttpClient, HttpClientError, type HttpClientRequest } from "effect/http"
import { ControlPlane } from "../ControlPlane.ts"
import { type ApiRequest, type ApiResponse, KubeletUnreachable } from "../request/ApiRequest.ts"
import { StaleReads } from "../request/StaleReads.ts"
import type { Caller } from "../request/World.ts"
import { type Fault, Faults } from "./Faults.ts"
import { makeResponse } from "./MemoryResponse.ts"

const encoder = new TextEncoder()

const transportError = (request: HttpClientRequest.HttpClientRequest, cause: unknown) =>
  new HttpClientError.HttpClientError({ reason: new HttpClientError.TransportError({ request, cause }) })

const none = new Uint8Array()

const bodyOf = (
  { body }: HttpClientRequest.HttpClientRequest
): Uint8Array | Effect.Effect<Uint8Array, unknown> => {
  switch (body._tag) {
    case "Empty":
      return none
    case "Uint8Array":
      return body.body
    case "Raw":
      return typeof body.body === "string" ? encoder.encode(body.body) : none
    case "Stream":
      return Effect.map(Stream.runCollect(body.stream), (chunks) => {
        const bytes = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0))
        let offset = 0
        for (const chunk of chunks) {
          bytes.set(chunk, offset)
          offset += chunk.length
        }
        return bytes
      })
    default:
      return Effect.die(new Error("the Kubernetes API takes no forms"))
  }
}

const reset = () => new KubeletUnreachable({ node: "", cause: new Error("the connection was reset") })

const cut = (answer: ApiResponse, { cutAbruptly, cutWatchAfter, endWatchWhen, holdWatch }: Fault): ApiResponse => {
  if (typeof answer.body === "string" || answer.body instanceof Uint8Array) return answer
  let body = answer.body
  if (holdWatch !== undefined) body = Stream.tap(body, () => holdWatch)
  if (endWatchWhen !== undefined) body = Stream.interruptWhen(body, Effect.mapError(endWatchWhen, reset))
  if (cutWatchAfter === undefined) return { ...answer, body }
  const taken = Stream.take(body, cutWatchAfter)
  return { ...answer, body: cutAbruptly === true ? Stream.concat(taken, Stream.fail(reset())) : taken }
}

/**
 * An HttpClient onto the control plane. `user` is who every request without a bearer token comes from;
 * without one such requests are anonymous.
 */
export const layerMemoryClient = (user?: Caller): Layer.Layer<HttpClient.HttpClient, never, ControlPlane> =>
  Layer.effect(
    HttpClient.HttpClient,
    Effect.gen(function*() {
      const plane = yield* ControlPlane
      const faults = yield* Faults
      return HttpClient.make((request, url) =>
        Effect.gen(function*() {
          const named = request.headers["authorization"] === undefined && user !== undefined ? { user } : {}
          const body = bodyOf(request)
          const asked: ApiRequest = {
            method: request.method,
            path: url.pathname,
            query: url.searchParams,
            headers: { ...request.headers, ...contentType(request) },
            body: body instanceof Uint8Array
              ? body
              : yield* Effect.mapError(body, (cause) => transportError(request, cause)),
            ...named
          }
          const fault = yield* faults(asked)
          if (fault.delay !== undefined) yield* Effect.sleep(fault.delay)
          if (fault.silence === true) return yield* Effect.never
          if (fault.refuseConnection === true) return yield* transportError(request, new Error("connection refused"))
          const answer = fault.answer ??
            (yield* Effect.provideService(plane.handle(asked), StaleReads, fault.staleBy ?? 0))
          if (fault.loseAnswer === true) {
            return yield* transportError(request, new Error("the connection was lost before the answer came"))
          }
          return makeResponse(request, url.href, cut(answer, fault))
        })
      )
    })
  )

const contentType = (request: HttpClientRequest.HttpClientRequest): Readonly<Record<string, string>> =>
  request.headers["content-type"] === undefined && "contentType" in request.body &&
    typeof request.body.contentType === "string"
    ? { "content-type": request.body.contentType }
    : {}

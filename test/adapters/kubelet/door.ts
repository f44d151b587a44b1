/** The real kubelet API on loopback, with TLS and an authority for its clients, in front of virtual nodes in memory. */
import { type Context, Effect, Layer, Stream } from "effect"
import { type ClientRequest, type IncomingMessage } from "node:http"
import { request as httpsRequest, type RequestOptions } from "node:https"
import type { TLSSocket } from "node:tls"
import * as KubeletServer from "../../../adapters/kubelet/KubeletServer.ts"
import { Authenticator } from "../../../core/kubelet/Authenticator.ts"
import { Authorizer } from "../../../core/kubelet/Authorizer.ts"
import { KubeletApi } from "../../../core/kubelet/KubeletApi.ts"
import { FakeKubeletBackend } from "../../fakes/FakeKubeletBackend.ts"
import { FakeReviews } from "../../fakes/FakeReviews.ts"
import { makeAuthority, type Pair } from "../kube/client/certificates.ts"

export const servers = makeAuthority("kubelet servers")
export const clients = makeAuthority("clients")
export const serving = servers.issue("/O=system:nodes/CN=system:node:edge-1", "serverAuth")
/** What an API server shows. */
export const apiserver = clients.issue("/O=masters/CN=kube-apiserver", "clientAuth")

export const asServing = ({ cert, key }: Pair) => ({ certificate: cert, privateKey: key })

/** A value that does not change. */
export const kept = <A>(value: A): Stream.Stream<A> => Stream.concat(Stream.succeed(value), Stream.never)

export const door = (
  options: Partial<KubeletServer.KubeletServerOptions> = {},
  limits: Partial<Context.Service.Shape<typeof KubeletServer.KubeletServerLimits>> = {},
  /** In front of the program of core. */
  before: Layer.Layer<KubeletApi, never, KubeletApi> = Layer.effect(KubeletApi, KubeletApi)
) =>
  KubeletServer.layer({
    host: "127.0.0.1",
    port: 0,
    certificates: kept(asServing(serving)),
    clientAuthorities: kept(clients.cert),
    ...options
  }).pipe(
    Layer.provide(Layer.succeed(KubeletServer.KubeletServerLimits, {
      ...KubeletServer.KubeletServerLimits.defaultValue(),
      ...limits
    })),
    Layer.provideMerge(before),
    Layer.provide(KubeletApi.layer),
    Layer.provide([Authenticator.layer, Authorizer.layer]),
    Layer.provideMerge(Layer.merge(FakeReviews.layer, FakeKubeletBackend.layer))
  )

export interface Opened {
  readonly response: IncomingMessage
  readonly request: ClientRequest
}

export interface Asking extends RequestOptions {
  readonly body?: string
}

/** Asks as the API server unless told; the request goes with the scope of whoever waits for its answer. */
export const open = (path: string, { body, ...more }: Asking = {}) =>
  Effect.flatMap(KubeletServer.KubeletServer, ({ port }) =>
    Effect.callback<Opened, Error>((resume) => {
      const request = httpsRequest({
        host: "127.0.0.1",
        port,
        path,
        ca: servers.cert,
        agent: false,
        ...apiserver,
        ...more
      })
      const opened = (response: IncomingMessage) => resume(Effect.succeed({ response, request }))
      request.on("response", opened)
      request.on("upgrade", (response, socket) => {
        opened(response)
        socket.destroy()
      })
      request.on("error", (error) => resume(Effect.fail(error)))
      request.end(body)
      return Effect.sync(() => request.destroy())
    }))

export const bodyOf = (response: IncomingMessage) =>
  Effect.callback<string, Error>((resume) => {
    let text = ""
    response.setEncoding("utf8")
    response.on("data", (chunk: string) => {
      text += chunk
    })
    response.on("end", () => resume(Effect.succeed(text)))
    response.on("error", (error) => resume(Effect.fail(error)))
  })

/** Status and body; an upgrade is its status alone. */
export const said = (path: string, more?: Asking) =>
  Effect.gen(function*() {
    const { response } = yield* open(path, more)
    return response.statusCode === 101 ? "101" : `${response.statusCode} ${yield* bodyOf(response)}`
  })

/** Brings no certificate. */
export const anonymous = { cert: undefined, key: undefined }

/** The name in the certificate that a new connection is shown. */
export const nameShown = Effect.map(open("/healthz"), ({ response }) => {
  response.resume()
  return (response.socket as TLSSocket).getPeerCertificate().subject.CN
})

/** What has come of an answer so far. */
export const collected = (response: IncomingMessage): () => string => {
  let received = ""
  response.on("data", (chunk: Buffer) => {
    received += chunk.toString()
  })
  return () => received
}

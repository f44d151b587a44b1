/** The HTTPS listener of the kubelet API: certificates in, requests to the program of core, bytes out as they come. */
import { NodeHttpServer, NodeHttpServerRequest } from "@effect/platform-node"
import {
  ByteSize,
  Clock,
  Context,
  Deferred,
  Duration,
  Effect,
  Layer,
  Option,
  Result,
  Schema,
  Scope,
  Stream
} from "effect"
import { HttpServer, HttpServerRequest, HttpServerResponse } from "effect/http"
import { constants, X509Certificate } from "node:crypto"
import { createServer, type Server } from "node:https"
import { createSecureContext, type TLSSocket } from "node:tls"
import type { KubeApi } from "../../core/kube/KubeApi.ts"
import { type Asked, KubeletApi } from "../../core/kubelet/KubeletApi.ts"
import type { Query } from "../../core/kubelet/KubeletRequest.ts"
import type { ServingCertificate } from "../../core/kubelet/ServingCertificate.ts"
import { tokensCanBeChecked } from "../../core/kubelet/tokensCanBeChecked.ts"
import { type Believed, believedBy } from "./believed.ts"
import { certificateSubject } from "./certificateSubject.ts"
import { endUpgrades, endWithin } from "./endUpgrades.ts"
import { limitHeaders } from "./limitHeaders.ts"
import { chooseSubprotocol, mostMessageBytes, upgrade } from "./upgrade.ts"
import { WebSocketWithoutEmpties } from "./webSocket/WebSocketWithoutEmpties.ts"

/** Why there is no kubelet API: better none than one that lets anybody in. */
export class KubeletServerRefused extends Schema.TaggedError<KubeletServerRefused>()("KubeletServerRefused", {
  detail: Schema.String
}) {
  override get message() {
    return `the kubelet API is not served: ${this.detail}`
  }
}

export interface KubeletServerOptions {
  readonly host: string
  /** 0 takes any free port. */
  readonly port: number
  /** Set where this listener is for one node alone. */
  readonly node?: string | undefined
  /** Each one replaces the one before for new connections; open streams go on. */
  readonly certificates: Stream.Stream<ServingCertificate>
  /** PEM of the authorities that may vouch for clients; undefined while there are none. Tokens alone are enough. */
  readonly clientAuthorities: Stream.Stream<string | undefined>
}

/** Limits of the listener; the streaming ones are a kubelet's. */
export const KubeletServerLimits = Context.Reference<{
  /** All headers of a request with its line, in which is the command of an exec, bytes: as a kubelet. */
  readonly headers: number
  /** The same for who has shown no certificate, such as a scraper: a token fits. */
  readonly strangersHeaders: number
  readonly headersTimeout: Duration.Input
  readonly handshakeTimeout: Duration.Input
  readonly keepAlive: Duration.Input
  /** Connections at a time: each of them may be a `kubectl logs -f`. */
  readonly connections: number
  /** How long a client may take to hang up once an upgrade was refused or is over. */
  readonly goodbye: Duration.Input
  /** How long the first certificate may take. */
  readonly start: Duration.Input
  /** How long open streams may go on when the listener is closed. */
  readonly shutdown: Duration.Input
}>("aranya/kubelet/KubeletServerLimits", {
  defaultValue: () => ({
    headers: 1024 * 1024,
    strangersHeaders: 64 * 1024,
    headersTimeout: "30 seconds",
    handshakeTimeout: "30 seconds",
    keepAlive: "90 seconds",
    connections: 4096,
    goodbye: "5 seconds",
    start: "2 minutes",
    shutdown: "1 second"
  })
})

export class KubeletServer extends Context.Service<KubeletServer, {
  readonly port: number
}>()("aranya/kubelet/KubeletServer") {}

/** The first value of a stream that can be used, and the rest of it in the background, for as long as the scope lives. */
const following = Effect.fnUntraced(function*<A>(
  values: Stream.Stream<A>,
  taken: (value: A) => Effect.Effect<boolean>
) {
  const first = yield* Deferred.make<A>()
  yield* values.pipe(
    Stream.runForEach((value) =>
      Effect.flatMap(taken(value), (usable) => usable ? Deferred.succeed(first, value) : Effect.void)
    ),
    Effect.forkScoped
  )
  return Deferred.await(first)
})

/** What OpenSSL says of a pair, in words; it never quotes the key. */
const reasonOf = (cause: unknown): string => {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : ""
  switch (code) {
    case "ERR_OSSL_X509_KEY_VALUES_MISMATCH":
      return "the key is not that of the certificate; put the two that belong together there"
    case "ERR_OSSL_PEM_NO_START_LINE":
      return "it is not PEM; put PEM there, beginning with -----BEGIN"
    default:
      return `${
        cause instanceof Error ? cause.message : String(cause)
      }; put a certificate and its own key there, in PEM`
  }
}

/** Why material cannot be used of which OpenSSL would not complain: the empty is to it what was not given. */
const lacking = (certificate: ServingCertificate | undefined, authorities: string | undefined) =>
  Effect.gen(function*() {
    if (certificate?.certificate === "" || certificate?.privateKey === "") {
      return yield* Effect.fail("the certificate or its key is empty; put both there, in PEM")
    }
    if (authorities === undefined) return
    yield* Effect.try({
      try: () => new X509Certificate(authorities),
      catch: () => "no certificate can be read there; put PEM there, beginning with -----BEGIN CERTIFICATE"
    })
  })

const millis = (input: Duration.Input) => Duration.toMillis(Duration.fromInputUnsafe(input))

/**
 * Listens once there is a certificate and a way to know who asks, for as long as the scope lives; fails with
 * `KubeletServerRefused` otherwise. One listener serves all nodes; more of them, each for one `node`, may run beside it.
 */
export const make = Effect.fnUntraced(function*(options: KubeletServerOptions) {
  const api = yield* KubeletApi
  const limits = yield* KubeletServerLimits

  let certificate: ServingCertificate | undefined
  let authorities: string | undefined
  let server: Server | undefined
  let believed: Believed | undefined
  let inUse = ""
  let authoritiesInUse: string | undefined

  const tls = () => ({
    cert: certificate?.certificate,
    key: certificate?.privateKey,
    // Without this Node would believe every public authority of the web.
    ca: authorities || [],
    minVersion: "TLSv1.2" as const,
    // A resumed session would keep an identity that its authority has since lost.
    secureOptions: constants.SSL_OP_NO_TICKET
  })

  /** New material is tried before it is used: a wrong file must not stop what works. */
  const accept = <A>(what: string, put: (value: A) => () => void, sourceOf: (value: A) => string | undefined) =>
    Effect.fnUntraced(function*(value: A) {
      const undo = put(value)
      const tried = yield* Effect.result(Effect.andThen(
        lacking(certificate, authorities),
        Effect.try({ try: () => createSecureContext(tls()), catch: reasonOf })
      ))
      if (Result.isFailure(tried)) {
        undo()
        const source = sourceOf(value)
        yield* Effect.logWarning(
          `the kubelet API keeps the ${what} it has, if any: the new one${
            source === undefined ? "" : `, ${source},`
          } ` +
            `cannot be used: ${tried.failure}`
        )
        return false
      }
      const shown = JSON.stringify([certificate, authorities])
      if (shown === inUse) return true
      inUse = shown
      if (server === undefined) return true
      server.setSecureContext(tls())
      if (authorities !== authoritiesInUse) believed?.authoritiesChanged()
      authoritiesInUse = authorities
      yield* Effect.logInfo(`the kubelet API has taken a new ${what}`)
      return true
    })

  const haveCertificate = yield* following(
    options.certificates,
    accept<ServingCertificate>("serving certificate", (value) => {
      const before = certificate
      certificate = value
      return () => {
        certificate = before
      }
    }, ({ source }) => source)
  )
  const haveAuthorities = yield* following(
    options.clientAuthorities,
    accept<string | undefined>("client authority", (value) => {
      const before = authorities
      // An authority that is withdrawn leaves nobody; one that could not be read for a while is not withdrawn.
      authorities = value ?? before
      return () => {
        authorities = before
      }
    }, () => undefined)
  )
  const ready = yield* Effect.all([haveAuthorities, haveCertificate], { concurrency: 2 }).pipe(
    Effect.timeoutOption(limits.start)
  )
  if (Option.isNone(ready) || certificate === undefined) {
    return yield* new KubeletServerRefused({
      detail: certificate === undefined
        ? `there is no usable serving certificate after ${Duration.format(Duration.fromInputUnsafe(limits.start))}`
        : "it is not known who may vouch for its clients"
    })
  }
  const tokens = yield* Effect.result(tokensCanBeChecked)
  if (authorities === undefined && tokens._tag === "Failure") {
    return yield* new KubeletServerRefused({
      detail:
        `nobody could prove who they are: there is no client CA, and tokens cannot be checked: ${tokens.failure.message}`
    })
  }
  if (tokens._tag === "Failure") yield* Effect.logWarning(`bearer tokens are refused: ${tokens.failure.message}`)

  // Of its own: the end of its WebSockets would otherwise come, and be waited for, before the end of those who use them.
  const listening = yield* Scope.fork(yield* Effect.scope)
  const http = yield* NodeHttpServer.make(
    () => {
      const made = createServer({
        ...tls(),
        requestCert: true,
        // Whoever brings none may bring a token.
        rejectUnauthorized: false,
        handshakeTimeout: millis(limits.handshakeTimeout),
        headersTimeout: millis(limits.headersTimeout),
        keepAliveTimeout: millis(limits.keepAlive),
        keepAlive: true,
        keepAliveInitialDelay: 30_000
      })
      made.maxConnections = limits.connections
      limitHeaders(made, { known: limits.headers, strangers: limits.strangersHeaders })
      endUpgrades(made, millis(limits.goodbye))
      server = made
      believed = believedBy(made)
      authoritiesInUse = authorities
      return made
    },
    {
      host: options.host,
      port: options.port,
      gracefulShutdownTimeout: limits.shutdown,
      websocket: {
        maxPayload: mostMessageBytes,
        handleProtocols: chooseSubprotocol,
        WebSocket: WebSocketWithoutEmpties
      }
    }
  ).pipe(
    Scope.provide(listening),
    Effect.mapError((error) =>
      new KubeletServerRefused({ detail: `${options.host}:${options.port}: ${String(error.cause)}` })
    )
  )
  // Streams that outlive the grace are ended, or closing would wait for the last reader of a log.
  yield* Effect.addFinalizer(() => Effect.sync(() => server?.closeAllConnections()))

  const served = Effect.gen(function*() {
    const request = yield* HttpServerRequest.HttpServerRequest
    const socket = NodeHttpServerRequest.toIncomingMessage(request).socket as TLSSocket
    const certificate = believed?.isOfToday(socket) === true
      ? certificateSubject(socket, yield* Clock.currentTimeMillis)
      : undefined
    const answer = yield* api.answer(asked(request, certificate, options.node))
    switch (answer._tag) {
      case "Text":
        return HttpServerResponse.text(answer.text, {
          status: answer.status,
          contentType: answer.contentType,
          // A stranger could keep as many connections as there are, with a request now and then.
          headers: answer.status === 401 ? { connection: "close" } : {}
        })
      case "Bytes":
        return HttpServerResponse.stream(answer.bytes, {
          contentType: "text/plain",
          headers: { "x-content-type-options": "nosniff" }
        })
      case "Process":
      case "Forward":
        return yield* Effect.ensuring(
          upgrade(request, answer),
          // A client that reads nothing would hold its connection, and the end of the listener with it.
          Effect.sync(() => endWithin(NodeHttpServerRequest.toIncomingMessage(request).socket, millis(limits.goodbye)))
        )
    }
  })
  // The HTTP server runs its handlers where nothing interrupts them: neither a caller who leaves nor the listener's end.
  yield* HttpServer.serveEffect(Effect.interruptible(served)).pipe(Effect.provideService(HttpServer.HttpServer, http))

  const address = server?.address()
  return KubeletServer.of({ port: typeof address === "object" && address !== null ? address.port : options.port })
})

/** A command and its words. */
const mostFormBytes = ByteSize.kibibytes(64)

class NoForm extends Schema.TaggedError<NoForm>()("NoForm", { detail: Schema.String }) {
  override get message() {
    return this.detail
  }
}

/** Empty where the body is something else; a body without an end is given up with the request. */
const formOf = (request: HttpServerRequest.HttpServerRequest): Effect.Effect<Query, NoForm> =>
  /^application\/x-www-form-urlencoded\b/iu.test(request.headers["content-type"] ?? "")
    ? request.text.pipe(
      Effect.provideService(HttpServerRequest.MaxBodySize, mostFormBytes),
      Effect.map((text) => [...new URLSearchParams(text)]),
      Effect.mapError(() =>
        new NoForm({ detail: `the form cannot be read: at most ${ByteSize.format(mostFormBytes)}` })
      )
    )
    : Effect.succeed([])

const asked = (
  request: HttpServerRequest.HttpServerRequest,
  certificate: Asked["credentials"]["certificate"],
  listenerNode: string | undefined
): Asked => {
  const question = request.url.indexOf("?")
  const path = question === -1 ? request.url : request.url.slice(0, question)
  return {
    method: request.method,
    path,
    query: question === -1 ? [] : [...new URLSearchParams(request.url.slice(question))],
    credentials: {
      certificate,
      authorization: request.headers["authorization"]
    },
    upgrade: request.headers["upgrade"] !== undefined,
    forwardedUri: request.headers["x-forwarded-uri"],
    form: formOf(request),
    listenerNode
  }
}

export const layer = (
  options: KubeletServerOptions
): Layer.Layer<KubeletServer, KubeletServerRefused, KubeletApi | KubeApi> => Layer.effect(KubeletServer, make(options))

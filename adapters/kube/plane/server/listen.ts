/** The second door: HTTPS on node:https. Client certificates and bearer tokens say who asks; watches are flushed at once. */
import { Effect, FiberSet, Schema, type Scope, Stream } from "effect"
import type { IncomingMessage, ServerResponse } from "node:http"
import { createServer, type Server } from "node:https"
import type { AddressInfo } from "node:net"
import type { TLSSocket } from "node:tls"
import type { KeyPair } from "../../../x509/certificate.ts"
import type { ControlPlane } from "../ControlPlane.ts"
import { badRequest, tooLarge } from "../object/ApiFailure.ts"
import type { ApiRequest, ApiResponse } from "../request/ApiRequest.ts"
import { bodyLimit } from "../request/bodies.ts"
import { failure } from "../request/respond.ts"
import type { Caller } from "../request/World.ts"
import type { KubeletTrust } from "./kubelets.ts"
import { tunnel } from "./tunnel.ts"

export class CannotListen extends Schema.TaggedError<CannotListen>()("CannotListen", {
  host: Schema.String,
  port: Schema.Number,
  cause: Schema.Defect()
}) {
  override get message() {
    const why = this.cause instanceof Error ? this.cause.message : String(this.cause)
    return `the embedded control plane cannot listen on ${this.host}:${this.port}: ${why}; choose another port`
  }
}

export interface Listening {
  readonly plane: ControlPlane["Service"]
  readonly host: string
  readonly port: number
  readonly serving: KeyPair
  readonly clientCa: string
  readonly trust: KubeletTrust
}

const listed = (value: string | Array<string> | undefined): ReadonlyArray<string> =>
  value === undefined ? [] : Array.isArray(value) ? value : [value]

const known = new WeakMap<TLSSocket, Caller | undefined>()

/** Reading the certificate costs more than many a request, and a connection never changes it. */
const certificateUser = (socket: TLSSocket): Caller | undefined => {
  if (!known.has(socket)) known.set(socket, readUser(socket))
  return known.get(socket)
}

/** Whom a verified client certificate names: CN is the user, every O a group. */
const readUser = (socket: TLSSocket): Caller | undefined => {
  if (!socket.authorized) return undefined
  const subject: Record<string, string | Array<string> | undefined> | undefined = socket.getPeerCertificate()
    .subject as never
  const username = listed(subject?.["CN"])[0]
  return username === undefined ? undefined : { username, groups: listed(subject?.["O"]) }
}

const apiRequest = (incoming: IncomingMessage, body: Uint8Array): ApiRequest => {
  const target = incoming.url ?? "/"
  const mark = target.indexOf("?")
  const headers: Record<string, string> = {}
  for (const [name, value] of Object.entries(incoming.headers)) {
    if (value !== undefined) headers[name] = Array.isArray(value) ? value.join(", ") : value
  }
  const user = certificateUser(incoming.socket as TLSSocket)
  return {
    method: incoming.method ?? "GET",
    path: mark < 0 ? target : target.slice(0, mark),
    query: new URLSearchParams(mark < 0 ? "" : target.slice(mark + 1)),
    headers,
    body,
    ...(user === undefined ? {} : { user })
  }
}

const readBody = (incoming: IncomingMessage): Effect.Effect<Uint8Array | undefined> =>
  Effect.callback<Uint8Array | undefined>((resume) => {
    const chunks: Array<Buffer> = []
    let size = 0
    incoming.on("data", (chunk: Buffer) => {
      size += chunk.length
      if (size <= bodyLimit) chunks.push(chunk)
    })
    incoming.on("end", () => resume(Effect.succeed(size > bodyLimit ? undefined : Buffer.concat(chunks))))
    // The client left in the middle; nobody is there to be answered.
    incoming.on("error", () => resume(Effect.interrupt))
  })

const drained = (response: ServerResponse): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    const done = () => {
      response.off("drain", done)
      response.off("close", done)
      resume(Effect.void)
    }
    response.on("drain", done)
    response.on("close", done)
    return Effect.sync(done)
  })

const write = Effect.fnUntraced(function*(response: ServerResponse, { status, headers, body }: ApiResponse) {
  if (typeof body === "string" || body instanceof Uint8Array) {
    response.writeHead(status, { ...headers, "content-length": Buffer.byteLength(body) })
    response.end(body)
    return
  }
  response.writeHead(status, headers)
  // kubectl waits for the head of a watch before it starts its own clock.
  response.flushHeaders()
  yield* body.pipe(
    Stream.runForEachArray((chunks) =>
      response.write(chunks.length === 1 ? chunks[0] : Buffer.concat(chunks)) ? Effect.void : drained(response)
    ),
    // A kubelet that breaks off in the middle of a log: so does the answer.
    Effect.catchTag("KubeletUnreachable", () => Effect.sync(() => response.destroy()))
  )
  response.end()
})

const close = (server: Server): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    server.close(() => resume(Effect.void))
    server.closeAllConnections()
  })

/** Listens until the scope closes; the port is the one asked for, or a free one for 0. */
export const listen = Effect.fnUntraced(
  function*(options: Listening): Effect.fn.Return<number, CannotListen, Scope.Scope> {
    const { plane, host, port, serving, clientCa, trust } = options
    const server = yield* Effect.acquireRelease(
      Effect.sync(() =>
        createServer({
          key: serving.key,
          cert: serving.certificate,
          ca: clientCa,
          requestCert: true,
          // A token may come instead; whoever has neither is anonymous.
          rejectUnauthorized: false,
          keepAliveTimeout: 90_000,
          requestTimeout: 0,
          maxHeaderSize: 1024 * 1024
        })
      ),
      close
    )
    const run = yield* FiberSet.makeRuntime<never>()

    const serve = (incoming: IncomingMessage, response: ServerResponse) =>
      Effect.gen(function*() {
        const body = yield* readBody(incoming)
        const answer = body === undefined
          ? failure(tooLarge(`limit is ${bodyLimit} bytes`))
          : yield* plane.handle(apiRequest(incoming, body))
        yield* write(response, answer)
      })

    server.on("request", (incoming, response) => {
      const fiber = run(serve(incoming, response))
      response.on("close", () => fiber.interruptUnsafe())
      response.on("error", () => fiber.interruptUnsafe())
    })
    server.on("upgrade", (incoming, socket, first) => {
      socket.on("error", () => socket.destroy())
      run(tunnel(plane, trust, incoming, apiRequest(incoming, new Uint8Array()), socket, first))
    })
    server.on("clientError", (_, socket) => {
      const answer = JSON.stringify(badRequest("the request is not HTTP").status)
      if (socket.writable) {
        socket.end(`HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: ${answer.length}\r\n\r\n${answer}`)
      }
    })
    server.on("tlsClientError", (_, socket) => socket.destroy())

    return yield* Effect.callback<number, CannotListen>((resume) => {
      server.once("error", (cause) => resume(Effect.fail(new CannotListen({ host, port, cause }))))
      server.listen(port, host, () => resume(Effect.succeed((server.address() as AddressInfo).port)))
    })
  }
)

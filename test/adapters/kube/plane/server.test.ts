/** The HTTPS door below kubectl: tunnels, identities, limits, restarts. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { mkdtempSync, rmSync, statSync } from "node:fs"
import { request } from "node:https"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { connect, createServer, type TLSSocket } from "node:tls"
import { ControlPlane } from "../../../../adapters/kube/plane/ControlPlane.ts"
import { type Embedded, startEmbedded } from "../../../../adapters/kube/plane/server/startEmbedded.ts"
import { createAuthority, createLeaf } from "../../../../adapters/x509/certificate.ts"
import { ask, node, pod } from "./asking.ts"

interface Wish {
  readonly method?: string
  readonly token?: string
  readonly certificate?: { readonly certificate: string; readonly key: string }
  readonly body?: string
}

const fetched = (embedded: Embedded, path: string, { method = "GET", token, certificate, body }: Wish = {}) =>
  Effect.callback<{ readonly status: number; readonly text: string }, Error>((resume) => {
    const outgoing = request(`${embedded.url}${path}`, {
      agent: false,
      method,
      ca: embedded.caPem,
      ...(certificate === undefined ? {} : { cert: certificate.certificate, key: certificate.key }),
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` }
    }, (incoming) => {
      let text = ""
      incoming.on("data", (chunk: Buffer) => text += chunk.toString())
      incoming.on("end", () => resume(Effect.succeed({ status: incoming.statusCode ?? 0, text })))
    })
    outgoing.on("error", (error) => resume(Effect.fail(error)))
    outgoing.end(body)
  })

/** A kubelet that switches protocols, then echoes in upper case; it keeps the heads it was sent. */
const echoing = Effect.gen(function*() {
  const heads: Array<string> = []
  const start = new Date(Date.now() - 60_000)
  const end = new Date(Date.now() + 3_600_000)
  const leaf = createLeaf(createAuthority("kubelets", start, end), {
    subject: { commonName: "kubelet" },
    purposes: ["server auth"],
    notBefore: start,
    notAfter: end
  })
  const sockets = new Set<TLSSocket>()
  const server = createServer(
    { cert: leaf.certificate, key: leaf.key, requestCert: true, rejectUnauthorized: false },
    (socket) => {
      sockets.add(socket)
      let head = ""
      let switched = false
      socket.on("error", () => socket.destroy())
      socket.on("data", (chunk: Buffer) => {
        if (switched) return void socket.write(chunk.toString().toUpperCase())
        head += chunk.toString()
        if (!head.includes("\r\n\r\n")) return
        heads.push(head)
        switched = true
        socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\nfirst bytes ")
      })
    }
  )
  yield* Effect.acquireRelease(
    Effect.callback<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void))),
    () =>
      Effect.callback<void>((resume) => {
        for (const socket of sockets) socket.destroy()
        server.close(() => resume(Effect.void))
      })
  )
  return { heads, port: (server.address() as AddressInfo).port }
})

/** Sends a head by hand, then says something once the answer is there; returns all that came until the other side ends or `until`. */
const raw = (embedded: Embedded, head: ReadonlyArray<string>, say: string, until: string) =>
  Effect.callback<string, Error>((resume) => {
    const socket = connect({
      host: "127.0.0.1",
      port: embedded.port,
      ca: embedded.caPem,
      cert: embedded.admin.certificate,
      key: embedded.admin.key
    })
    let text = ""
    let said = false
    socket.on("secureConnect", () => socket.write(`${head.join("\r\n")}\r\nHost: plane\r\n\r\n`))
    socket.on("data", (chunk: Buffer) => {
      text += chunk.toString()
      if (!said && text.includes("\r\n\r\n")) {
        said = true
        socket.write(say)
      }
      if (text.includes(until)) socket.destroy()
    })
    socket.on("close", () => resume(Effect.succeed(text)))
    socket.on("error", (error) => resume(Effect.fail(error)))
    return Effect.sync(() => void socket.destroy())
  }).pipe(Effect.timeout("10 seconds"))

const withPod = Effect.gen(function*() {
  const embedded = yield* startEmbedded()
  const kubelet = yield* echoing
  const status = {
    addresses: [{ type: "InternalIP", address: "127.0.0.1" }],
    daemonEndpoints: { kubeletEndpoint: { Port: kubelet.port } }
  }
  yield* Effect.gen(function*() {
    yield* ask("POST", "/api/v1/nodes", { body: node("n", { status }) })
    yield* ask("POST", "/api/v1/namespaces/default/pods", { body: pod("p", { spec: { nodeName: "n" } }) })
  }).pipe(Effect.provide(Layer.succeed(ControlPlane, embedded.plane)))
  return { embedded, ...kubelet }
})

const exec = "/api/v1/namespaces/default/pods/p/exec?command=cat&stdin=true&stdout=true"
const spdy = ["Connection: Upgrade", "Upgrade: SPDY/3.1", "X-Stream-Protocol-Version: v4.channel.k8s.io"]

describe("an upgrade through the HTTPS door", () => {
  it.live("is a byte tunnel to the kubelet, without the caller's credentials", () =>
    Effect.gen(function*() {
      const { embedded, heads } = yield* withPod
      const text = yield* raw(embedded, [`POST ${exec} HTTP/1.1`, ...spdy, "Cookie: secret"], "hello", "HELLO")
      assert.match(text, /^HTTP\/1\.1 101 [\s\S]*first bytes HELLO$/)
      assert.match(heads[0] ?? "", /^POST \/exec\/default\/p\/c\?command=cat&input=1&output=1 HTTP\/1\.1\r\n/)
      assert.match(heads[0] ?? "", /X-Stream-Protocol-Version: v4\.channel\.k8s\.io/)
      assert.notMatch(heads[0] ?? "", /secret/)
    }).pipe(Effect.scoped))

  it.live("passes WebSocket v4 through and sends v5 back to SPDY", () =>
    Effect.gen(function*() {
      const { embedded, heads } = yield* withPod
      const socket = (
        protocol: string
      ) => ["Connection: Upgrade", "Upgrade: websocket", `Sec-WebSocket-Protocol: ${protocol}`]
      const v4 = yield* raw(embedded, [`GET ${exec} HTTP/1.1`, ...socket("v4.channel.k8s.io")], "hello", "HELLO")
      assert.match(v4, /^HTTP\/1\.1 101 /)
      assert.match(heads[0] ?? "", /^GET \/exec\//)
      const v5 = yield* raw(embedded, [`GET ${exec} HTTP/1.1`, ...socket("v5.channel.k8s.io")], "", "never")
      assert.match(v5, /^HTTP\/1\.1 400 /)
      assert.strictEqual(heads.length, 1)
    }).pipe(Effect.scoped))

  it.live("is refused for a pod that is not there, in the API's own words", () =>
    Effect.gen(function*() {
      const { embedded } = yield* withPod
      const text = yield* raw(embedded, [`POST ${exec.replace("/p/", "/q/")} HTTP/1.1`, ...spdy], "", "never")
      assert.match(text, /^HTTP\/1\.1 404 [\s\S]*pods \\"q\\" not found/)
    }).pipe(Effect.scoped))
})

describe("the HTTPS door", () => {
  it.live("knows certificates, tokens and strangers apart", () =>
    Effect.gen(function*() {
      const embedded = yield* startEmbedded()
      const pods = "/api/v1/namespaces/default/pods"
      assert.strictEqual((yield* fetched(embedded, pods, { certificate: embedded.admin })).status, 200)
      assert.strictEqual((yield* fetched(embedded, pods)).status, 403)
      assert.strictEqual((yield* fetched(embedded, "/healthz")).status, 200)
      assert.strictEqual((yield* fetched(embedded, pods, { token: "made.up.token" })).status, 401)
      const token = yield* embedded.serviceAccountToken("default", "default")
      assert.strictEqual((yield* fetched(embedded, pods, { token })).status, 403)
      const stranger = createAuthority("strangers", new Date(0), new Date(Date.now() + 3_600_000))
      const forged = createLeaf(stranger, {
        subject: { commonName: "kubernetes-admin", organizations: ["system:masters"] },
        purposes: ["client auth"],
        notBefore: new Date(0),
        notAfter: new Date(Date.now() + 3_600_000)
      })
      assert.strictEqual((yield* fetched(embedded, pods, { certificate: forged })).status, 403)
    }).pipe(Effect.scoped))

  it.live("refuses bodies beyond 3 MiB and bodies that are no JSON", () =>
    Effect.gen(function*() {
      const embedded = yield* startEmbedded()
      const post = (body: string) =>
        fetched(embedded, "/api/v1/namespaces/default/pods", { method: "POST", certificate: embedded.admin, body })
      assert.strictEqual((yield* post("x".repeat(3 * 1024 * 1024 + 1))).status, 413)
      assert.strictEqual((yield* post("{")).status, 400)
      assert.strictEqual((yield* post("[]")).status, 400)
    }).pipe(Effect.scoped))

  it.live("keeps its CA across restarts, for its owner's eyes only, and says when a port is taken", () =>
    Effect.gen(function*() {
      const dataDir = yield* Effect.acquireRelease(
        Effect.sync(() => join(mkdtempSync(join(tmpdir(), "plane-")), "data")),
        (directory) => Effect.sync(() => rmSync(join(directory, ".."), { recursive: true, force: true }))
      )
      const first = yield* Effect.scoped(
        Effect.map(startEmbedded({ dataDir }), ({ caPem, admin }) => ({ caPem, admin }))
      )
      const second = yield* startEmbedded({ dataDir })
      assert.strictEqual(second.caPem, first.caPem)
      assert.strictEqual((yield* fetched(second, "/api/v1/nodes", { certificate: first.admin })).status, 200)
      assert.strictEqual(statSync(join(dataDir, "ca.key")).mode & 0o777, 0o600)
      const taken = yield* Effect.flip(startEmbedded({ port: second.port }))
      assert.match(taken.message, /cannot listen on 127\.0\.0\.1:\d+: .*EADDRINUSE/)
    }).pipe(Effect.scoped))
})

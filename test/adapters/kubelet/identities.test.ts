/** Who may do what at the kubelet API: every path, by every kind of caller, against the real listener. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { Agent } from "node:https"
import { FakeKubeletBackend, podWith } from "../../fakes/FakeKubeletBackend.ts"
import { FakeReviews } from "../../fakes/FakeReviews.ts"
import { makeAuthority } from "../kube/client/certificates.ts"
import { anonymous, type Asking, clients, door, open, said } from "./door.ts"

const strangers = makeAuthority("clients")

const spdy = { connection: "Upgrade", upgrade: "SPDY/3.1", "x-stream-protocol-version": "v4.channel.k8s.io" }
const forward = { ...spdy, "x-stream-protocol-version": "portforward.k8s.io" }
const webSocket = {
  connection: "Upgrade",
  upgrade: "websocket",
  "sec-websocket-version": "13",
  "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
  "sec-websocket-protocol": "v4.channel.k8s.io"
}

const node = "/metrics/nodes/edge-1"
const exec = "/exec/shop/web/main?command=ls&output=1"
const attach = "/attach/shop/web/main?output=1"

/** What is asked, which single rights on nodes/edge-1 open it, and what it answers then. Every other right is worth nothing. */
const table: ReadonlyArray<
  readonly [
    method: "GET" | "POST" | "PUT" | "DELETE",
    path: string,
    opens: ReadonlyArray<string>,
    answer: number,
    headers?: object
  ]
> = [
  // Whoever may read must not run: a WebSocket begins with GET.
  ["POST", exec, ["create proxy"], 101, spdy],
  ["GET", exec, ["create proxy"], 101, webSocket],
  ["GET", exec, ["create proxy"], 400],
  ["PUT", exec, ["create proxy"], 400],
  ["POST", "/exec/shop/web/uid-web/main?command=ls&output=1", ["create proxy"], 101, spdy],
  ["POST", attach, ["create proxy"], 101, spdy],
  ["GET", attach, ["create proxy"], 101, webSocket],
  ["POST", "/portForward/shop/web", ["create proxy"], 101, forward],
  ["GET", "/portForward/shop/web?port=80", ["create proxy"], 101, webSocket],
  ["POST", "/run/shop/web/main?cmd=ls", ["create proxy"], 500],
  ["GET", "/run/shop/web/main?cmd=ls", ["create proxy"], 405],
  ["GET", "/containerLogs/shop/web/main", ["get proxy"], 200],
  ["POST", "/containerLogs/shop/web/main", ["create proxy"], 405],
  ["POST", "/checkpoint/shop/web/main", ["create checkpoint"], 400],
  ["GET", `${node}/pods`, ["get pods", "get proxy"], 200],
  ["DELETE", `${node}/pods`, ["delete pods", "delete proxy"], 405],
  ["GET", `${node}/runningpods/`, ["get pods", "get proxy"], 404],
  ["GET", `${node}/healthz`, ["get healthz", "get proxy"], 200],
  ["GET", `${node}/healthz/syncloop`, ["get healthz", "get proxy"], 200],
  ["GET", `${node}/configz`, ["get configz", "get proxy"], 404],
  ["GET", `${node}/stats/summary`, ["get stats"], 200],
  ["POST", `${node}/stats/summary`, ["create stats"], 200],
  ["GET", `${node}/metrics/resource`, ["get metrics"], 200],
  ["GET", `${node}/metrics/unknown`, ["get metrics"], 404],
  ["GET", `${node}/logs/`, ["get log"], 200],
  ["GET", `${node}/logs/pods/syslog`, ["get log"], 200],
  ["POST", `${node}/logs/`, ["create log"], 405],
  ["GET", `${node}/statusz`, ["get statusz"], 404],
  ["GET", `${node}/flagz`, ["get configz"], 404],
  ["GET", `${node}/spec`, ["get proxy"], 404],
  ["GET", `${node}/debug/pprof/heap`, ["get proxy"], 404]
]

const subresources = [
  "proxy",
  "stats",
  "metrics",
  "log",
  "checkpoint",
  "pods",
  "healthz",
  "configz",
  "statusz",
  "spec"
]
const rights = [
  ...["get", "create"].flatMap((verb) => subresources.map((subresource) => `${verb} ${subresource}`)),
  "update proxy",
  "delete proxy",
  "delete pods"
]

const tokenFor = (right: string, where: string) => `${right} on ${where}`.replaceAll(" ", "-")
const bearer = (token: string) => ({ ...anonymous, authorization: `Bearer ${token}` })

/** Two nodes with a pod each; every single right has a bearer for one node, and one for all of them. */
const prepared = Effect.gen(function*() {
  const reviews = yield* FakeReviews
  const backend = yield* FakeKubeletBackend
  yield* backend.add("edge-1", podWith("web", { running: {} }))
  yield* backend.add("edge-2", podWith("other", { running: {} }))
  yield* backend.logFile((_, path) => Effect.succeed({ directory: path === "", bytes: Stream.empty }))
  for (const right of rights) {
    yield* reviews.allow(`kube-apiserver ${right}`)
    for (const where of ["edge-1", "edge-2", ""]) {
      const token = tokenFor(right, where)
      yield* reviews.enroll(token, token)
      yield* reviews.allow(`${token} ${right}${where === "" ? "" : ` ${where}`}`)
    }
  }
  return backend
})

/** A handshake for each question would take most of the time. */
const agent = new Agent({ keepAlive: true })

const statusOf = (method: string, path: string, { authorization, headers, ...who }: {
  readonly headers?: object | undefined
  readonly authorization?: string
  readonly cert?: string | undefined
  readonly key?: string | undefined
}) =>
  Effect.map(
    open(
      path,
      {
        method,
        ...who,
        ...(headers === undefined && who.cert === undefined && "cert" in who ? { agent } : {}),
        headers: { ...headers, ...authorization === undefined ? {} : { authorization } }
      } as Asking
    ),
    ({ response }) => {
      response.resume()
      return response.statusCode
    }
  )

const impostor = strangers.issue("/O=masters/CN=kube-apiserver", "clientAuth")
const misused = clients.issue("/O=masters/CN=kube-apiserver", "serverAuth")
const nameless = clients.issue("/O=masters", "clientAuth")

describe("who may do what at the kubelet API", () => {
  it.live.each(table)(
    "%s %s is opened by %s alone",
    ([method, path, opens, answer, headers]) =>
      Effect.gen(function*() {
        const backend = yield* prepared
        const nobodies = {
          anonymous: anonymous,
          "a certificate of another CA of the same name": { cert: impostor.cert, key: impostor.key },
          "a certificate that is not for clients": { cert: misused.cert, key: misused.key },
          "a certificate without a name": { cert: nameless.cert, key: nameless.key },
          "an unknown token": bearer("guess"),
          "a password": { ...anonymous, authorization: "Basic cm9vdDpyb290" }
        }
        for (const [who, identity] of Object.entries(nobodies)) {
          assert.strictEqual(yield* statusOf(method, path, { headers, ...identity }), 401, who)
        }
        for (const right of rights.filter((each) => !opens.includes(each))) {
          const asked = statusOf(method, path, { headers, ...bearer(tokenFor(right, "")) })
          assert.strictEqual(yield* asked, 403, `${right} on all nodes`)
        }
        for (const right of opens) {
          const asked = (where: string) => statusOf(method, path, { headers, ...bearer(tokenFor(right, where)) })
          assert.strictEqual(yield* asked("edge-2"), 403, `${right} on another node`)
          assert.deepStrictEqual(yield* backend.diary, [], "nothing reaches a device before that")
        }
        for (const right of opens) {
          const asked = (where: string) => statusOf(method, path, { headers, ...bearer(tokenFor(right, where)) })
          assert.strictEqual(yield* asked("edge-1"), answer, `${right} on this node`)
          assert.strictEqual(yield* asked(""), answer, `${right} on all nodes`)
        }
        assert.strictEqual(yield* statusOf(method, path, { headers }), answer, "the API server")
      }).pipe(Effect.provide(door()))
  )

  it.live("tells who is refused which right they lack, and nothing else", () =>
    Effect.gen(function*() {
      yield* prepared
      const reader = { headers: { ...webSocket, ...{ authorization: "Bearer get-proxy-on-edge-1" } }, ...anonymous }
      assert.strictEqual(
        yield* said(exec, reader),
        "403 Forbidden (user=get-proxy-on-edge-1, verb=create, resource=nodes, subresource(s)=[proxy])"
      )
      assert.strictEqual(yield* said(exec, { ...reader, headers: webSocket }), "401 Unauthorized")
      // A pod that is not here: whoever has rights on one node learns nothing of the others.
      const gone = exec.replace("web", "gone")
      assert.match(
        yield* said(gone, { ...reader, headers: { ...spdy, authorization: "Bearer create-proxy-on-edge-1" } }),
        /^403/
      )
      assert.match(yield* said(gone, { headers: spdy }), /^404 pod "gone" does not exist/)
    }).pipe(Effect.provide(door())))

  it.live("counts who shows a certificate among all that are known, besides its organizations", () =>
    Effect.gen(function*() {
      const reviews = yield* FakeReviews
      yield* prepared
      const healthz = (subject: string) => {
        const { cert, key } = clients.issue(subject, "clientAuth")
        return statusOf("GET", "/healthz", { cert, key })
      }
      assert.strictEqual(yield* healthz("/O=guards/CN=guest"), 403)
      yield* reviews.allow("guards get healthz")
      assert.strictEqual(yield* healthz("/O=guards/CN=guard"), 200)
      yield* reviews.allow("system:authenticated get healthz")
      assert.strictEqual(yield* healthz("/CN=visitor"), 200)
      assert.strictEqual(yield* statusOf("GET", "/healthz", anonymous), 401)
    }).pipe(Effect.provide(door())))

  it.live("what names no node needs the right on all of them", () =>
    Effect.gen(function*() {
      yield* prepared
      const asked = (path: string, token: string) => statusOf("GET", path, bearer(token))
      assert.strictEqual(yield* asked("/healthz", "get-healthz-on-edge-1"), 403)
      assert.strictEqual(yield* asked("/healthz", "get-healthz-on-"), 200)
      assert.strictEqual(yield* asked("/metrics/resource", "get-metrics-on-edge-1"), 403)
      assert.strictEqual(yield* asked("/metrics/resource", "get-metrics-on-"), 404)
    }).pipe(Effect.provide(door())))
})

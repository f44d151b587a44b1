/** HTTP: requests to the kubelet API, spoiled, at the parser's door of the real listener: behind TLS, which is not ours. */
import { Context, Effect, Layer, type Scope, Stream } from "effect"
import { subscribe, unsubscribe } from "node:diagnostics_channel"
import type { Server } from "node:https"
import { KubeletApi } from "../../core/kubelet/KubeletApi.ts"
import { door } from "../adapters/kubelet/door.ts"
import { FakeKubeletBackend, podWith } from "../fakes/FakeKubeletBackend.ts"
import { FakeReviews } from "../fakes/FakeReviews.ts"
import type { Dice } from "./Dice.ts"
import { echoPort, echoProcess } from "./echo.ts"
import { finding, type FuzzedLayer, makeEnds, mostWait } from "./FuzzedLayer.ts"
import { cut, mutate } from "./mutate.ts"
import { makeWire } from "./wire.ts"

const spdy = [
  "Connection: Upgrade",
  "Upgrade: SPDY/3.1",
  "X-Stream-Protocol-Version: v4.channel.k8s.io, v3.channel.k8s.io"
]
const webSocket = [
  "Connection: Upgrade",
  "Upgrade: websocket",
  "Sec-WebSocket-Version: 13",
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
  "Sec-WebSocket-Protocol: v4.channel.k8s.io"
]
const form = "Content-Type: application/x-www-form-urlencoded"
const node = "/metrics/nodes/edge-1"

const requests: ReadonlyArray<readonly [line: string, headers?: ReadonlyArray<string>, body?: string]> = [
  ["GET /healthz"],
  ["HEAD /healthz/ping"],
  ["GET /containerLogs/shop/web/main?follow=true&tailLines=10&sinceSeconds=5&timestamps=true&limitBytes=100"],
  ["GET /containerLogs/shop/web/main?sinceTime=2026-11-21T00%3A00%3A00Z&previous=false&tail=all"],
  ["GET /containerLogs/shop/gone/main"],
  ["POST /exec/shop/web/main?command=sh&command=-c&command=echo%20x&input=1&output=1&error=1&tty=0", spdy],
  ["GET /exec/shop/web/uid-web/main?command=ls&stdout=true", webSocket],
  ["POST /attach/shop/web/main?input=1&output=1&tty=1", spdy],
  ["POST /portForward/shop/web", [
    "Connection: Upgrade",
    "Upgrade: SPDY/3.1",
    "X-Stream-Protocol-Version: portforward.k8s.io"
  ]],
  ["GET /portForward/shop/web?port=80%2C81&port=65535", webSocket],
  ["POST /run/shop/web/main?cmd=ls+-l"],
  ["POST /run/shop/web/main", [form, "Content-Length: 12"], "cmd=uname+-a"],
  [
    "POST /run/shop/web/main",
    [form, "Transfer-Encoding: chunked"],
    "7\r\ncmd=ls \r\n2;x=y\r\n-l\r\n0\r\nTrailer: x\r\n\r\n"
  ],
  ["POST /run/shop/web/main", [form, "Content-Length: 4", "Expect: 100-continue"], "cmd="],
  ["POST /checkpoint/shop/web/main?timeout=3"],
  [`GET ${node}/pods`],
  [`GET ${node}/runningpods/`],
  [`GET ${node}/configz`],
  [`POST ${node}/stats/summary?only_cpu_and_memory=true`, ["Content-Length: 0"]],
  [`GET ${node}/metrics/resource`, ["Accept: text/plain;version=0.0.4", "Accept-Encoding: gzip"]],
  ["GET /metrics/resource", ["X-Forwarded-Uri: /api/v1/nodes/edge-1/proxy/metrics/resource"]],
  ["GET /logs/?query=kubelet", [
    "X-Forwarded-Uri: https://10.0.0.1:6443/api/v1/nodes/https:edge-1:10250/proxy/logs/?query=kubelet"
  ]],
  ["GET /logs/../../etc/passwd"],
  ["GET /pods", ["Authorization: Bearer good"]],
  ["GET https://10.0.0.1:10250/pods", ["Authorization: Basic cm9vdDpyb290"]],
  ["OPTIONS *"],
  ["CONNECT 10.0.0.1:80"],
  ["PUT /pods", ["Content-Length: 5"], "hello"]
]

const request = (dice: Dice): Buffer => {
  const [line, headers = [], body = ""] = dice.oneOf(requests)
  const more: Array<string> = ["Host: 10.0.0.1:10250", ...headers]
  if (dice.chance(0.05)) more.push(`X-Long: ${"x".repeat(dice.oneOf([100, 8_000, 70_000]))}`)
  if (dice.chance(0.05)) more.push(...Array.from({ length: dice.oneOf([20, 3_000]) }, (_, at) => `X-${at}: y`))
  if (dice.chance(0.05)) {
    more.push(dice.oneOf(["Content-Length: 99999999999999999999", "Content-Length: -1", "Transfer-Encoding: gzip"]))
  }
  return Buffer.from([`${line} HTTP/1.${dice.chance(0.95) ? 1 : 0}`, ...more, "", body].join("\r\n"), "latin1")
}

/** One to three, sent without waiting. */
const requestsOf = (dice: Dice) =>
  mutate(
    dice,
    Buffer.concat(Array.from({ length: dice.oneOf([1, 1, 1, 2, 3]) }, () => request(dice))),
    () => request(dice)
  )

/** How many answers are on their way, by their scopes. */
const counted = (inFlight: { count: number }) =>
  Layer.effect(
    KubeletApi,
    Effect.map(KubeletApi, ({ answer }) =>
      KubeletApi.of({
        answer: (asked) =>
          Effect.acquireRelease(
            Effect.sync(() => void inFlight.count++),
            () => Effect.sync(() => void inFlight.count--)
          ).pipe(Effect.andThen(answer(asked)))
      }))
  )

/** The server that listens within this scope. */
const listening = Effect.acquireRelease(
  Effect.sync(() => {
    const found: { server?: Server } = {}
    const note = (message: unknown) => {
      found.server ??= (message as { readonly server: Server }).server
    }
    subscribe("tracing:net.server.listen:asyncEnd", note)
    return { found, note }
  }),
  ({ note }) => Effect.sync(() => unsubscribe("tracing:net.server.listen:asyncEnd", note))
)

const text = (dice: Dice, template: string) =>
  mutate(dice, Buffer.from(template), () => dice.bytes(20)).toString("latin1")

export const httpLayer: Effect.Effect<FuzzedLayer, unknown, Scope.Scope> = Effect.gen(function*() {
  const { count, ends } = makeEnds()
  const inFlight = { count: 0 }
  const { found } = yield* listening
  const context = yield* Layer.build(door({}, { shutdown: "100 millis", goodbye: "50 millis" }, counted(inFlight)))
  const { server } = found
  if (server === undefined) return yield* Effect.die("nothing listens")
  const reviews = Context.get(context, FakeReviews)
  const backend = Context.get(context, FakeKubeletBackend)
  const api = Context.get(context, KubeletApi)
  for (const verb of ["get", "create", "update"]) {
    for (const subresource of ["proxy", "stats", "metrics", "log", "checkpoint", "pods", "healthz", "configz"]) {
      yield* reviews.allow(`kube-apiserver ${verb} ${subresource}`)
    }
  }
  yield* reviews.enroll("good", "kube-apiserver")
  yield* backend.add("edge-1", podWith("web", { running: {} }))
  yield* backend.log(() => Stream.make(new TextEncoder().encode("one\n"), new TextEncoder().encode("two\n")))
  yield* backend.exec((_, __, { stdin }) =>
    Effect.map(echoProcess, (process) => stdin ? process : { ...process, output: Stream.empty })
  )
  yield* backend.dial(() => echoPort)

  const caller = { certificate: { commonName: "kube-apiserver", organizations: ["masters"] }, authorization: undefined }

  /** Past the parser: what its own words of path, query, form and headers lead to. */
  const glance = (dice: Dice) =>
    Effect.gen(function*() {
      const [line, headers = [], body = ""] = dice.oneOf(requests)
      const [method = "", target = ""] = line.split(" ")
      const asked = text(dice, target)
      const question = asked.indexOf("?")
      const header = (name: string) => headers.find((each) => each.startsWith(`${name}: `))?.slice(name.length + 2)
      const forwardedUri = header("X-Forwarded-Uri")
      const authorization = header("Authorization")
      const input = Buffer.from(`${method} ${asked}`)
      const answer = yield* api.answer({
        method: dice.chance(0.9) ? method : text(dice, method),
        path: question === -1 ? asked : asked.slice(0, question),
        query: question === -1 ? [] : [...new URLSearchParams(asked.slice(question))],
        credentials: dice.chance(0.9)
          ? caller
          : { certificate: undefined, authorization: text(dice, authorization ?? "Bearer good") },
        upgrade: header("Upgrade") !== undefined,
        forwardedUri: forwardedUri === undefined ? undefined : text(dice, forwardedUri),
        form: Effect.succeed([...new URLSearchParams(text(dice, body))]),
        listenerNode: dice.chance(0.1) ? "edge-1" : undefined
      })
      if (answer._tag === "Bytes") yield* Effect.ignore(Stream.runDrain(answer.bytes))
      return answer._tag === "Text" && answer.text.length > 16 * 1024 + 4 * input.length
        ? yield* finding(`an answer of ${answer.text.length} characters`, input)
        : input
    }).pipe(
      Effect.scoped,
      Effect.catchDefect((defect) => Effect.fail(finding(`it crashed: ${String(defect)}`, Buffer.alloc(0))))
    )

  const attempt = Effect.fnUntraced(function*(dice: Dice) {
    const input = requestsOf(dice)
    const wire = makeWire()
    // What certificateSubject asks a TLS socket for.
    const known = dice.chance(0.9)
    Object.assign(wire.far, {
      encrypted: true,
      authorized: known,
      getPeerCertificate: () => (known
        ? { subject: { CN: "kube-apiserver", O: "masters" }, valid_to: "Jan  1 00:00:00 2100 GMT" }
        : {}),
      setTimeout: () => wire.far,
      setKeepAlive: () => wire.far,
      setNoDelay: () => wire.far,
      remoteAddress: "127.0.0.1"
    })
    server.emit("secureConnection", wire.far)
    yield* wire.say(cut(dice, input))
    yield* wire.hangUp(dice.chance(0.7))
    const over = Effect.suspend(() => Effect.succeed(inFlight.count === 0 && wire.far.destroyed))
    // Most are over at once; waiting for the others turn by turn would leave more garbage than they do.
    let turns = 0
    const wait = Effect.suspend(() => ++turns < 200 ? wire.turn : Effect.sleep("2 millis"))
    yield* Effect.repeat(Effect.andThen(wait, over), { until: (yes) => yes }).pipe(
      Effect.timeoutOrElse({
        duration: mostWait,
        orElse: () =>
          Effect.fail(
            finding(
              `${inFlight.count} answers go on ${mostWait} after their client had hung up${
                wire.far.destroyed ? "" : ", and its connection is kept"
              }`,
              input
            )
          )
      }),
      Effect.ensuring(Effect.sync(() => wire.far.destroy()))
    )
    const heard = wire.heard().toString("latin1")
    const statuses = [...heard.matchAll(/HTTP\/1\.1 (\d{3}) /gu)].map(([, status]) => status)
    // A fault that nobody put into words.
    if (/HTTP\/1\.1 500 [^]*?content-length: 0\r\n/iu.test(heard)) return yield* finding("a 500 without words", input)
    if (heard !== "" && statuses.length === 0) return yield* finding(`it answered ${heard.slice(0, 100)}`, input)
    count(statuses.length === 0 ? "no answer" : statuses.join(" "))
    return input
  })
  return { name: "http" as const, ends, glance, attempt }
})

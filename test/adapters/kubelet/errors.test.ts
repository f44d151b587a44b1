/** What a person reads when a verb cannot be had: the same sentence whichever way it fails, with a status that kubectl shows. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { WebSocket } from "ws"
import * as KubeletServer from "../../../adapters/kubelet/KubeletServer.ts"
import { type ProcessStreams, RuntimeError } from "../../../core/pod/ContainerRuntime.ts"
import { PodStreamError } from "../../../core/pod/PodRuntime.ts"
import { FakeKubeletBackend, podWith } from "../../fakes/FakeKubeletBackend.ts"
import { FakeReviews } from "../../fakes/FakeReviews.ts"
import { apiserver, bodyOf, door, open, servers } from "./door.ts"

type Failure = PodStreamError | RuntimeError

const bytes = (text: string) => new TextEncoder().encode(text)

/** What the API server hands to kubectl: the words of a refusal, or those that come on the streams before these end. */
const overWebSocket = (path: string) =>
  Effect.flatMap(KubeletServer.KubeletServer, ({ port }) =>
    Effect.callback<string>((resume) => {
      const socket = new WebSocket(`wss://127.0.0.1:${port}${path}`, ["v4.channel.k8s.io"], {
        ca: servers.cert,
        ...apiserver,
        checkServerIdentity: () => false
      })
      let said = ""
      socket.on("message", (message: Buffer) => {
        // Port-forwards begin with the port's number, a process with an empty message.
        if (message.length > 3 || (message[0] ?? 0) > 1) said += message.subarray(1).toString("utf8")
      })
      socket.on("unexpected-response", (_, response) => {
        response.setEncoding("utf8")
        response.on("data", (text: string) => {
          said += `${response.statusCode} ${text}`
        })
        response.on("end", () => resume(Effect.succeed(said)))
      })
      socket.on("close", () => resume(Effect.succeed(said)))
      socket.on("error", () => {})
      return Effect.sync(() => socket.terminate())
    }))

const plainly = (method: string) => (path: string) =>
  Effect.gen(function*() {
    const { response } = yield* open(path, { method })
    let said = ""
    response.on("data", (piece: Buffer) => {
      said += piece.toString()
    })
    yield* Effect.ignore(bodyOf(response))
    return `${response.statusCode} ${said}`
  })

/** Each verb's request for a container of a pod, and how its answer is read. */
const verbs = {
  logs: [(pod: string, container: string) => `/containerLogs/shop/${pod}/${container}`, plainly("GET")],
  exec: [
    (pod: string, container: string) => `/exec/shop/${pod}/${container}?command=ls&output=1&error=1`,
    overWebSocket
  ],
  attach: [(pod: string, container: string) => `/attach/shop/${pod}/${container}?output=1`, overWebSocket],
  "port-forward": [(pod: string) => `/portForward/shop/${pod}?port=80`, overWebSocket],
  run: [(pod: string, container: string) => `/run/shop/${pod}/${container}?cmd=ls`, plainly("POST")]
} as const

const streams = (output: ProcessStreams["output"]): ProcessStreams => ({
  stdin: () => Effect.void,
  endStdin: Effect.void,
  resize: () => Effect.void,
  output,
  exitCode: Effect.never
})

const prepared = Effect.gen(function*() {
  const reviews = yield* FakeReviews
  for (const verb of ["get", "create"]) yield* reviews.allow(`kube-apiserver ${verb} proxy`)
  const backend = yield* FakeKubeletBackend
  yield* backend.add("edge-1", podWith("web", { running: {} }))
  yield* backend.add("edge-1", podWith("new", { waiting: { reason: "ContainerCreating" } }))
  const fails = (error: Failure) =>
    Effect.all([
      backend.log(() => Stream.fail(error)),
      backend.exec(() => Effect.fail(error)),
      backend.dial(() => Effect.fail(error))
    ])
  const breaksOff = (error: Failure) => {
    const cut = <A>(first: A) => Stream.concat(Stream.succeed(first), Stream.fail(error))
    const lost = new RuntimeError({ reason: "Unavailable", detail: error.message })
    const stdout = { stream: "stdout" as const, bytes: bytes("half") }
    return Effect.all([
      backend.log(() => cut(bytes("half"))),
      backend.exec(() => Effect.succeed(streams(Stream.concat(Stream.succeed(stdout), Stream.fail(lost))))),
      backend.dial(() =>
        Effect.succeed({
          write: () => Effect.void,
          end: Effect.void,
          read: Stream.concat(Stream.succeed(bytes("half")), Stream.fail(lost))
        })
      )
    ])
  }
  return { fails, breaksOff }
})

const offline = new PodStreamError({
  reason: "Failed",
  detail: "device edge-1 is not connected: ask again when it is back"
})
const switchedOff = new PodStreamError({
  reason: "Refused",
  detail: "this is switched off on the device: arhat.host.allowExec allows it"
})
const gone = new PodStreamError({ reason: "NotFound", detail: `container not found ("main")` })
const lost = new PodStreamError({
  reason: "Failed",
  detail: "the link to device edge-1 was lost (timeout): whether what was asked for came to its end is not known"
})

/** Of these `kubectl` shows the words, whatever the verb. */
const shown = /^(400|500) /

describe("the words of a refusal reach the user of kubectl", () => {
  for (const [verb, [path, ask]] of Object.entries(verbs)) {
    it.live.each<readonly [what: string, error: Failure]>([
      ["a device that is away", offline],
      ["an ability that is off", switchedOff],
      ["a container that is gone", gone]
    ])(`${verb}: %s`, ([, error]) =>
      Effect.gen(function*() {
        const { fails } = yield* prepared
        yield* fails(error)
        const said = yield* ask(path("web", "main"))
        assert.include(said.replaceAll("\\\"", "\""), error.message)
        if (/^\d{3} /.test(said)) assert.match(said, shown)
      }).pipe(Effect.provide(door())))

    it.live(`${verb}: a link that is lost in the middle, after what came before`, () =>
      Effect.gen(function*() {
        const { breaksOff } = yield* prepared
        yield* breaksOff(lost)
        const said = yield* ask(path("web", "main"))
        assert.include(said, lost.message)
        // What a command wrote is not worth telling where nobody knows how it went on.
        if (verb !== "run") assert.include(said, "half")
      }).pipe(Effect.provide(door())))

    if (verb !== "port-forward") {
      it.live(`${verb}: a container that there is not`, () =>
        Effect.gen(function*() {
          yield* prepared
          const said = yield* ask(path("web", "none"))
          assert.include(said, `container "none" not found in pod "web"`)
          // Who upgrades is shown the words of any status.
          assert.match(said, verb === "logs" ? shown : /^4\d\d /)
        }).pipe(Effect.provide(door())))
    }
  }

  it.live("logs: a container that waits", () =>
    Effect.gen(function*() {
      yield* prepared
      const [path, ask] = verbs.logs
      assert.strictEqual(
        yield* ask(path("new", "main")),
        `400 container "main" in pod "new" is waiting to start: ContainerCreating`
      )
    }).pipe(Effect.provide(door())))
})

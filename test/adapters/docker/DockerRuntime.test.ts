import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Stream } from "effect"
import * as DockerRuntime from "../../../adapters/docker/DockerRuntime.ts"
import { ContainerRuntime } from "../../../core/pod/ContainerRuntime.ts"
import { containerSpec, type ContractWorld, sandboxSpec } from "../../contracts/runtimeWorld.ts"
import { scriptedEngine } from "./scriptedEngine.ts"

const zero = "0001-01-01T00:00:00Z"
const inspected = (state: Record<string, unknown>) =>
  JSON.stringify({
    Id: "c1",
    Created: "2026-11-21T02:47:01.5Z",
    Image: "sha256:1",
    State: { Status: "created", Running: false, ExitCode: 0, StartedAt: zero, FinishedAt: zero, ...state },
    Config: { Labels: {} }
  })

const using = <A, E>(
  engine: Effect.Success<ReturnType<typeof scriptedEngine>>,
  body: (runtime: ContainerRuntime["Service"]) => Effect.Effect<A, E>,
  timeouts: Partial<Record<"requestTimeout" | "pullIdleTimeout", Duration.Duration>> = {}
) =>
  Effect.flatMap(ContainerRuntime, body).pipe(
    Effect.provide(DockerRuntime.layer({ socketPath: engine.socketPath, ...timeouts }), { local: true })
  )

describe("the docker runtime against an engine that misbehaves", () => {
  it.live("never starts a container that was started, whatever became of it", () =>
    Effect.gen(function*() {
      const engine = yield* scriptedEngine((_call, response) =>
        response.end(inspected({ Status: "exited", StartedAt: "2026-11-21T02:47:02Z" }))
      )
      const error = yield* Effect.flip(using(engine, (runtime) => runtime.start("c1")))
      assert.strictEqual(error.reason, "Invalid")
      assert.notInclude(engine.asked.join("\n"), "POST")
    }))

  it.live("takes a container that is gone for gone, and one whose sandbox is gone for one that cannot be started", () =>
    Effect.gen(function*() {
      for (const [missing, reason] of [["c1", "NotFound"], ["s1", "StartFailed"]] as const) {
        let removed = false
        const engine = yield* scriptedEngine((call, response) => {
          if (call.startsWith("POST")) removed = missing === "c1"
          if (call.startsWith("POST") || removed) {
            response.writeHead(404).end(JSON.stringify({ message: `No such container: ${missing}` }))
          } else response.end(inspected({}))
        })
        const error = yield* Effect.flip(using(engine, (runtime) => runtime.start("c1")))
        assert.strictEqual(error.reason, reason)
        assert.include(error.message, missing)
      }
    }))

  it.live.each(
    [
      ["2026-11-21T02:47:02Z", "exited", 3],
      [zero, "created", undefined]
    ] as const
  )(
    "takes what is being removed for what it was: started at %s, %s",
    ([StartedAt, state, exitCode]) =>
      Effect.gen(function*() {
        const engine = yield* scriptedEngine((_call, response) =>
          response.end(inspected({ Status: "removing", ExitCode: exitCode ?? 0, StartedAt, FinishedAt: StartedAt }))
        )
        const found = yield* using(engine, (runtime) => runtime.inspect("c1"))
        assert.strictEqual(found.state, state)
        assert.strictEqual(found.exitCode, exitCode)
      })
  )

  it.live("takes a failed start for never having been started", () =>
    Effect.gen(function*() {
      const engine = yield* scriptedEngine((_call, response) =>
        response.end(inspected({ Status: "created", ExitCode: 127, Error: "executable file not found" }))
      )
      const found = yield* using(engine, (runtime) => runtime.inspect("c1"))
      assert.strictEqual(found.state, "created")
      assert.strictEqual(found.detail, "executable file not found")
      assert.isUndefined(found.exitCode)
    }))

  it.live("tells what an engine that cannot make a sandbox or a container says about it", () =>
    Effect.gen(function*() {
      const world: Pick<ContractWorld, "uid" | "image" | "program"> = {
        uid: "u1",
        image: "busybox",
        program: () => ({ command: [], args: [] })
      }
      const container = containerSpec(world as ContractWorld, "s1", { _tag: "Forever" })
      const words = (id: string) => `failed to create rwlayer: mkdir /overlay2/${id}-init: no space left on device`
      let tries = 0
      const engine = yield* scriptedEngine((call, response) => {
        if (!call.startsWith("POST /containers/create")) return void response.end(inspected({}))
        response.writeHead(500).end(JSON.stringify({ message: words(`${tries++}`.repeat(64)) }))
      })
      const made = using(engine, (runtime) => Effect.flip(runtime.create(container)))
      const sandbox = using(engine, (runtime) => Effect.flip(runtime.ensureSandbox(sandboxSpec(world))))
      for (const error of [yield* made, yield* sandbox]) {
        assert.deepStrictEqual([error.reason, error.message], ["CreateFailed", words("…")], "the same at each try")
      }
    }))

  it.live("gives up on an engine that does not answer", () =>
    Effect.gen(function*() {
      const engine = yield* scriptedEngine(() => {})
      const error = yield* Effect.flip(
        using(engine, (runtime) => runtime.inspect("c1"), { requestTimeout: Duration.millis(200) })
      )
      assert.strictEqual(error.reason, "Unavailable")
      assert.include(error.message, "no answer")
    }))

  it.live("does not say that a command has failed of which no answer came once it was sent", () =>
    Effect.gen(function*() {
      const ends = (call: string) =>
        Effect.gen(function*() {
          const engine = yield* scriptedEngine((asked, response, request) => {
            if (asked.startsWith(call)) request.socket.destroy()
            else response.writeHead(201).end(JSON.stringify({ Id: "e1" }))
          })
          const command = { command: ["true"], stdin: false, stdout: true, stderr: true, tty: false }
          const error = yield* using(engine, (runtime) => Effect.flip(Effect.scoped(runtime.exec("c1", command))))
          return error.reason
        })
      assert.strictEqual(yield* ends("POST /containers/c1/exec"), "Unavailable")
      assert.strictEqual(yield* ends("POST /exec/e1/start"), "OutcomeUnknown")
    }))

  it.live("leaves Ctrl-P to what runs at a terminal, which docker would take for the first of its own keys", () =>
    Effect.gen(function*() {
      const bodies: Array<string> = []
      const engine = yield* scriptedEngine((call, response, request) => {
        request.on("data", (piece) => bodies.push(String(piece)))
        if (call.startsWith("GET")) response.end(inspected({ Running: true }))
        else response.writeHead(409).end("{}")
      })
      const at = { stdin: true, stdout: true, stderr: false, tty: true }
      yield* using(engine, ({ attach, exec }) =>
        Effect.andThen(
          Effect.flip(Effect.scoped(exec("c1", { ...at, command: ["vi"] }))),
          Effect.flip(Effect.scoped(attach("c1", at)))
        ))
      const keys = "ctrl-^,ctrl-_,ctrl-^,ctrl-_,ctrl-@"
      assert.strictEqual(JSON.parse(bodies.join("")).DetachKeys, keys)
      const attached = engine.asked.find((call) => call.startsWith("POST /containers/c1/attach?")) ?? ""
      assert.strictEqual(new URLSearchParams(attached.split("?")[1]).get("detachKeys"), keys)
    }))

  it.live("says what it does not understand", () =>
    Effect.gen(function*() {
      for (const nonsense of ["not json", "{}", "[1]", JSON.stringify({ Id: 7 })]) {
        const engine = yield* scriptedEngine((_call, response) => response.end(nonsense))
        assert.strictEqual(
          (yield* Effect.flip(using(engine, (runtime) => runtime.inspect("c1")))).reason,
          "Unavailable"
        )
      }
    }))

  it.live("speaks a version both know, or says that there is none", () =>
    Effect.gen(function*() {
      const newer = yield* scriptedEngine((_call, response) => response.end(inspected({})), {
        ApiVersion: "1.99",
        MinAPIVersion: "1.44"
      })
      yield* using(newer, (runtime) => runtime.inspect("c1"))
      for (const [ApiVersion, MinAPIVersion] of [["1.99", "1.90"], ["1.24", "1.12"]] as const) {
        const strange = yield* scriptedEngine((_call, response) => response.end(inspected({})), {
          ApiVersion,
          MinAPIVersion
        })
        const error = yield* Effect.flip(using(strange, (runtime) => runtime.inspect("c1")))
        assert.include(error.message, MinAPIVersion)
      }
    }))

  it.live("tries credentials in order, then none, and tells the first refusal", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const engine = yield* scriptedEngine((_call, response, request) => {
        const header = request.headers["x-registry-auth"]
        seen.push(
          typeof header === "string" ? JSON.parse(Buffer.from(header, "base64url").toString()).username : "none"
        )
        response.end(`{"status":"Pulling"}\n${JSON.stringify({ error: `unauthorized: ${seen.length}` })}\n`)
      })
      const credential = (username: string) => ({ registry: "registry.test", username, password: "s3cret" })
      const error = yield* Effect.flip(
        using(engine, (runtime) => runtime.pull("registry.test/a", [credential("first"), credential("second")]))
      )
      assert.strictEqual(error.reason, "ImageDenied")
      assert.include(error.message, "unauthorized: 1")
      assert.notInclude(error.message, "s3cret")
      assert.deepStrictEqual(seen, ["first", "second", "none"])
      assert.include(engine.asked.join("\n"), "POST /images/create?fromImage=registry.test/a:latest")
    }))

  it.live.each([0, 1, 2])(
    "encodes credentials as docker decodes them, a password longer by %i too",
    (more) =>
      Effect.gen(function*() {
        const headers: Array<unknown> = []
        const engine = yield* scriptedEngine((_call, response, request) => {
          headers.push(request.headers["x-registry-auth"])
          response.end(`{"error":"unauthorized"}\n`)
        })
        // In plain base64 it has both characters that URLs cannot carry.
        const credential = { registry: "registry.test", username: "edge", password: `??>>~~\u00ff${"x".repeat(more)}` }
        yield* Effect.flip(using(engine, (runtime) => runtime.pull("registry.test/a", [credential])))
        const header = String(headers[0])
        // Node decodes without padding too; docker does not.
        assert.match(header, /^(?:[\w-]{4})*(?:[\w-]{4}|[\w-]{3}=|[\w-]{2}==)$/)
        assert.deepStrictEqual(JSON.parse(Buffer.from(header, "base64url").toString()), {
          username: credential.username,
          password: credential.password,
          serveraddress: credential.registry
        })
      })
  )

  it.live("gives up a pull that stops moving", () =>
    Effect.gen(function*() {
      const engine = yield* scriptedEngine((_call, response) => response.write("{\"status\":\"Downloading\"}\n"))
      const error = yield* Effect.flip(
        using(engine, (runtime) => runtime.pull("a:1", []), { pullIdleTimeout: Duration.millis(300) })
      )
      assert.strictEqual(error.reason, "ImageUnavailable")
      assert.include(error.message, "no progress")
    }))

  it.live.each(
    [
      ["1", { total_inactive_file: 4096, inactive_file: 1, total_rss: 20_480, rss: 1 }, 20_480],
      ["2", { inactive_file: 4096, anon: 12_288 }, 12_288]
    ] as const
  )(
    "reads memory by the names of control groups version %s, and the network of sandboxes",
    ([, stats, rss]) =>
      Effect.gen(function*() {
        const engine = yield* scriptedEngine((call, response) => {
          if (call.startsWith("GET /containers/json")) {
            const labels = { "io.kubernetes.container.name": "POD" }
            response.end(JSON.stringify([
              { Id: "c1", State: "running", Labels: null },
              { Id: "gone", State: "running", Labels: null },
              { Id: "ended", State: "exited", Labels: null },
              { Id: "s1", State: "running", Labels: labels }
            ]))
          } else if (call.startsWith("GET /containers/gone/")) {
            response.writeHead(404).end("{\"message\":\"no such\"}")
          } else {response.end(JSON.stringify({
              cpu_stats: { cpu_usage: { total_usage: 123_456_789 } },
              memory_stats: { usage: 65_536, stats },
              ...(call.startsWith("GET /containers/s1/")
                ? { networks: { eth0: { rx_bytes: 10, tx_bytes: 20 }, eth1: { rx_bytes: 1, tx_bytes: 2 } } }
                : {})
            }))}
        })
        const usages = yield* using(engine, (runtime) => runtime.usage)
        const plain = {
          cpuNanoseconds: 123_456_789,
          memoryUsedBytes: 65_536,
          memoryWorkingSetBytes: 61_440,
          memoryRssBytes: rss
        }
        assert.deepStrictEqual(usages.map(({ at: _, ...each }) => each), [
          { containerId: "c1", ...plain },
          { containerId: "s1", ...plain, network: { receivedBytes: 11, sentBytes: 22 } }
        ])
        assert.include(engine.asked.join("\n"), "GET /containers/c1/stats?stream=0&one-shot=1")
      })
  )

  it.live("subscribes to events again when the engine hangs up or talks nonsense", () =>
    Effect.gen(function*() {
      let turn = 0
      const event = (id: string) =>
        `${JSON.stringify({ Action: "die", Actor: { ID: id, Attributes: { "io.kubernetes.pod.uid": "u" } } })}\n`
      const engine = yield* scriptedEngine((_call, response) => {
        turn += 1
        if (turn === 1) response.end(`garbage\n{}\n${event("one")}`)
        else if (turn === 2) response.destroy()
        else if (turn === 3) response.writeHead(500).end("{\"message\":\"starting\"}")
        else response.write(event("two"))
      })
      const seen = yield* using(engine, (runtime) => Stream.runCollect(Stream.take(runtime.events, 2)))
      assert.deepStrictEqual(seen, [
        { uid: "u", containerId: "one", kind: "exited" },
        { uid: "u", containerId: "two", kind: "exited" }
      ])
    }).pipe(Effect.timeout("20 seconds")))
})

import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Option, Schema, Scope } from "effect"
import { existsSync } from "node:fs"
import { networkInterfaces } from "node:os"
import { dirname } from "node:path"
import { startDocker, whyNoDocker } from "./dockerd.ts"
import { demultiplex, type Engine, textOf } from "./engine.ts"
import { processesNaming } from "./program.ts"
import { startRegistry, whyNoRegistry } from "./registry.ts"

const reason = await Effect.runPromise(whyNoDocker)
const noRegistry = whyNoRegistry()
if (Option.isSome(reason)) console.warn(`skipped: the docker tests, because ${reason.value}`)
else if (Option.isSome(noRegistry)) console.warn(`skipped: the registry test, because ${noRegistry.value}`)

const Created = Schema.Struct({ Id: Schema.String })
const Waited = Schema.Struct({ StatusCode: Schema.Number })

/** Runs a container to its end and removes it. */
const run = Effect.fnUntraced(function*(engine: Engine, body: Readonly<Record<string, unknown>>) {
  const { Id } = yield* Schema.decodeUnknownEffect(Created)(
    yield* engine.json("POST", "/containers/create", { body })
  )
  yield* engine.call("POST", `/containers/${Id}/start`)
  const waited = yield* Schema.decodeUnknownEffect(Waited)(yield* engine.json("POST", `/containers/${Id}/wait`))
  const log = yield* engine.call("GET", `/containers/${Id}/logs`, { query: { stdout: "1", stderr: "1" } })
  yield* engine.call("DELETE", `/containers/${Id}`)
  return { ...demultiplex(log), exitCode: waited.StatusCode }
})

const Network = Schema.Struct({ Options: Schema.Record(Schema.String, Schema.String) })

/** Whether the host has this bridge; addresses make one visible here. */
const hasBridge = (name: string) => Object.hasOwn(networkInterfaces(), name)

describe.skipIf(Option.isSome(reason))("the docker engine of the tests", () => {
  it.live("runs a busybox container and keeps what it wrote to both streams, and its exit code", () =>
    Effect.gen(function*() {
      const { engine } = yield* startDocker()
      const outcome = yield* run(engine, {
        Image: "aranya.test/busybox:latest",
        Cmd: ["sh", "-c", "echo $GREETING; id -u >&2; exit 7"],
        Env: ["GREETING=hello"],
        User: "1000",
        HostConfig: { Memory: 32 * 1024 * 1024, NanoCpus: 500_000_000 }
      })
      assert.deepStrictEqual(outcome, { stdout: "hello\n", stderr: "1000\n", exitCode: 7 })
    }))

  it.live("ends the pause container at once on SIGTERM", () =>
    Effect.gen(function*() {
      const { engine } = yield* startDocker()
      const { Id } = yield* Schema.decodeUnknownEffect(Created)(
        yield* engine.json("POST", "/containers/create", { body: { Image: "aranya.test/pause:1" } })
      )
      yield* engine.call("POST", `/containers/${Id}/start`)
      yield* engine.call("POST", `/containers/${Id}/stop`, { query: { t: "30" } }).pipe(Effect.timeout("10 seconds"))
      const waited = yield* engine.json("POST", `/containers/${Id}/wait`)
      assert.strictEqual((yield* Schema.decodeUnknownEffect(Waited)(waited)).StatusCode, 0)
      yield* engine.call("DELETE", `/containers/${Id}`)
    }))

  it.live.skipIf(Option.isSome(noRegistry))(
    "pushes to and pulls from a registry with credentials, and not without",
    () =>
      Effect.gen(function*() {
        const { engine } = yield* startDocker()
        const registry = yield* startRegistry
        const repository = `${registry.address}/private/busybox`
        const credentials = { "X-Registry-Auth": registry.engineAuth }
        const none = { "X-Registry-Auth": Buffer.from("{}").toString("base64url") }

        yield* engine.call("POST", "/images/busybox:1.36/tag", { query: { repo: repository, tag: "1" } })
        const pushed = yield* engine.call("POST", `/images/${repository}/push`, {
          query: { tag: "1" },
          headers: credentials
        })
        assert.notInclude(textOf(pushed), "\"error\"")
        yield* engine.call("DELETE", `/images/${repository}:1`)

        const pull = (headers: Readonly<Record<string, string>>) =>
          engine.call("POST", "/images/create", { query: { fromImage: repository, tag: "1" }, headers })
        const refused = yield* Effect.result(pull(none))
        assert.match(refused._tag === "Failure" ? refused.failure.message : textOf(refused.success), /auth/i)
        assert.notInclude(textOf(yield* pull(credentials)), "\"error\"")

        const outcome = yield* run(engine, { Image: `${repository}:1`, Cmd: ["echo", "pulled"] })
        assert.strictEqual(outcome.stdout, "pulled\n")
        yield* engine.call("DELETE", `/images/${repository}:1`)
      })
  )

  it.live.skipIf(process.getuid?.() !== 0)(
    "leaves no process, folder or bridge of its own engine behind",
    () =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const docker = yield* startDocker({ reuse: false }).pipe(Scope.provide(scope))
        const folder = dirname(docker.socketPath)
        assert.isTrue(docker.ours)
        const server = { Image: "busybox:1.36", Cmd: ["sleep", "1000"] }
        const { Id } = yield* Schema.decodeUnknownEffect(Created)(
          yield* docker.engine.json("POST", "/containers/create", { body: server })
        )
        yield* docker.engine.call("POST", `/containers/${Id}/start`)
        assert.isAtLeast(processesNaming(folder).length, 3, "dockerd, containerd and a shim should run")
        const network = yield* docker.engine.json("GET", "/networks/bridge")
        const { Options } = yield* Schema.decodeUnknownEffect(Network)(network)
        const bridge = Options["com.docker.network.bridge.name"] ?? ""
        assert.isTrue(hasBridge(bridge), bridge)

        yield* Scope.close(scope, Exit.void)
        assert.deepStrictEqual(processesNaming(folder), [])
        assert.isFalse(existsSync(folder))
        assert.isFalse(hasBridge(bridge), bridge)
      })
  )
})

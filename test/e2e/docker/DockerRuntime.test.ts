import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Option, Schedule, Schema, Scope, Stream } from "effect"
import { randomBytes, randomUUID } from "node:crypto"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, beforeAll } from "vitest"
import * as DockerRuntime from "../../../adapters/docker/DockerRuntime.ts"
import { ContainerRuntime } from "../../../core/pod/ContainerRuntime.ts"
import { containerRuntimeContract } from "../../contracts/containerRuntime.ts"
import {
  containerSpec,
  type ContractWorld,
  ensured,
  executed,
  launch,
  printed,
  sandboxSpec,
  security,
  textOf,
  untilExited
} from "../../contracts/runtimeWorld.ts"
import { shellComplaint, shellProgram } from "../../contracts/shellPrograms.ts"
import { startDocker, whyNoDocker } from "../dockerd.ts"
import { engineAt } from "../engine.ts"
import { freePorts } from "../freePorts.ts"

const given = process.env["ARANYA_TEST_DOCKER_SOCKET"]
const reason = given === undefined ? await Effect.runPromise(whyNoDocker) : Option.none()
if (Option.isSome(reason)) console.warn(`skipped: docker as a ContainerRuntime, because ${reason.value}`)

const scope = Scope.makeUnsafe()
let socketPath = given ?? ""
beforeAll(async () => {
  if (given !== undefined || Option.isSome(reason)) return
  socketPath = (await Effect.runPromise(Scope.provide(startDocker(), scope))).socketPath
})
afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

const temporary = Effect.acquireRelease(
  Effect.promise(() => mkdtemp(join(tmpdir(), "aranya-docker-runtime-"))),
  (path) => Effect.promise(() => rm(path, { recursive: true }))
)

const dialProgram = [process.execPath, fileURLToPath(new URL("dialProgram.ts", import.meta.url))]

const layer = (device = "contract", more: { readonly dialProgram?: ReadonlyArray<string> } = { dialProgram }) =>
  DockerRuntime.layer({
    ...more,
    socketPath,
    device,
    pauseImage: "aranya.test/pause:1",
    requestTimeout: Duration.seconds(20)
  })

const open: Effect.Effect<ContractWorld, never, Scope.Scope> = Effect.gen(function*() {
  const directory = yield* temporary
  yield* Effect.promise(() => writeFile(join(directory, "greeting"), "hello\n"))
  return {
    runtime: layer(),
    image: "busybox:1.36",
    missingImage: "127.0.0.1:9/none:1",
    program: (program) =>
      program._tag === "Greets"
        ? {
          command: ["sh", "-c", "echo listening; while :; do echo hello | nc -l -p \"$1\"; done", "sh"],
          args: [`${program.port}`]
        }
        : shellProgram(program),
    complains: shellComplaint,
    terminals: true,
    directory,
    port: 8080,
    uid: randomUUID()
  }
})

const inspectRaw = Effect.fnUntraced(function*(id: string) {
  const engine = yield* engineAt(socketPath)
  const answer = yield* engine.json("GET", `/containers/${id}/json`)
  return yield* Schema.decodeUnknownEffect(Schema.Struct({
    Name: Schema.String,
    Config: Schema.Struct({
      User: Schema.String,
      Env: Schema.Array(Schema.String),
      Labels: Schema.Record(Schema.String, Schema.String)
    }),
    HostConfig: Schema.Record(Schema.String, Schema.Unknown)
  }))(answer)
})

const test = (
  sentence: string,
  body: (world: ContractWorld) => Effect.Effect<void, unknown, ContainerRuntime | Scope.Scope>
) =>
  it.live(sentence, () =>
    Effect.gen(function*() {
      const world = yield* open
      yield* Effect.scoped(body(world)).pipe(Effect.provide(world.runtime, { local: true }))
    }).pipe(Effect.scoped))

describe.skipIf(Option.isSome(reason))("with a docker engine", () => {
  containerRuntimeContract("docker", open)

  test("names and labels containers as a kubelet does", (world) =>
    Effect.gen(function*() {
      const { id } = yield* launch(world, { _tag: "Forever" }, { attempt: 3 })
      const { Config, Name } = yield* inspectRaw(id)
      assert.strictEqual(Name, `/arhat_${world.uid}_app_3`)
      assert.deepInclude(Config.Labels, {
        "io.kubernetes.pod.name": "web",
        "io.kubernetes.pod.namespace": "default",
        "io.kubernetes.pod.uid": world.uid,
        "io.kubernetes.container.name": "app",
        "arhat.dev/attempt": "3",
        "arhat.dev/spec-hash": "5f3a"
      })
    }))

  describe("a server on the pod's localhost alone", () => {
    /** Says back what is posted to it. */
    const greetsItself = (world: ContractWorld, address: string) =>
      Effect.gen(function*() {
        const runtime = yield* ContainerRuntime
        const sandbox = yield* ensured(world)
        const id = yield* runtime.create({
          ...containerSpec(world, sandbox.id, { _tag: "Forever" }),
          command: [
            "sh",
            "-c",
            "mkdir -p /www/cgi-bin && printf '#!/bin/sh\\nprintf \"Content-Type: a/b\\\\r\\n\\\\r\\n\"; exec cat\\n' > /www/cgi-bin/echo"
            + ` && chmod 755 /www/cgi-bin/echo && echo listening && exec httpd -f -p ${address}:${world.port} -h /www`
          ],
          args: []
        })
        yield* runtime.start(id)
        yield* printed(id, "listening")
        return sandbox.id
      })
    const posted = (body: Buffer) =>
      Buffer.concat([Buffer.from(`POST /cgi-bin/echo HTTP/1.0\r\nContent-Length: ${body.length}\r\n\r\n`), body])
    const answer = (sandboxId: string, port: number, asked = new Uint8Array()) =>
      Effect.scoped(Effect.gen(function*() {
        const runtime = yield* ContainerRuntime
        const connection = yield* runtime.dial(sandboxId, port)
        yield* Effect.forkScoped(Effect.andThen(connection.write(asked), connection.end))
        return Buffer.concat(yield* Stream.runCollect(connection.read))
      }))
    const again = { schedule: Schedule.spaced("100 millis"), times: 50 }

    test("is reached as by a kubelet, all its bytes both ways, many at a time", (world) =>
      Effect.gen(function*() {
        if (process.getuid?.() !== 0) return console.warn("SKIPPED ports of a pod's localhost: this is not root")
        const sandboxId = yield* greetsItself(world, "127.0.0.1")
        const echoed = (sent: Buffer) =>
          Effect.map(
            Effect.retry(answer(sandboxId, world.port, posted(sent)), again),
            (said) => said.subarray(said.indexOf("\r\n\r\n") + 4).equals(sent)
          )
        assert.isTrue(yield* echoed(randomBytes(3_000_000)), "all that was sent comes back")
        const small = yield* Effect.forEach(
          Array.from({ length: 30 }, (_, number) => Buffer.from(`number ${number}`)),
          echoed,
          { concurrency: 10 }
        )
        assert.isTrue(small.every((same) => same))
        const runtime = yield* ContainerRuntime
        const nobody = yield* Effect.flip(Effect.scoped(runtime.dial(sandboxId, world.port + 1)))
        assert.match(nobody.message, /nobody answers at port 8081 of the pod's localhost: .*ECONNREFUSED/)
      }))

    it.live("is told of where arhat has no way into the pod's network", () =>
      Effect.gen(function*() {
        const world = { ...(yield* open), runtime: layer("contract", { dialProgram: ["/no/such/program"] }) }
        yield* Effect.gen(function*() {
          const sandboxId = yield* greetsItself(world, "127.0.0.1")
          const refused = yield* Effect.flip(answer(sandboxId, world.port))
          assert.strictEqual(refused._tag === "RuntimeError" ? refused.reason : "", "Unavailable")
          assert.match(refused.message, /^nobody answers at port 8080: .*ECONNREFUSED.*; .*the pod's localhost/)
        }).pipe(Effect.scoped, Effect.provide(world.runtime, { local: true }))
      }).pipe(Effect.scoped))
  })

  test("hands resources and the security context to the engine", (world) =>
    Effect.gen(function*() {
      const { id, sandboxId } = yield* launch(world, { _tag: "Forever" }, {
        resources: { cpuRequest: 250, cpuLimit: 500, memoryRequest: 0, memoryLimit: 64 * 1024 * 1024 },
        security: {
          ...security,
          runAsUser: 1000,
          runAsGroup: 3000,
          supplementalGroups: [4000],
          readOnlyRootFilesystem: true,
          addCapabilities: ["NET_ADMIN"],
          dropCapabilities: ["ALL"]
        }
      })
      const { Config, HostConfig } = yield* inspectRaw(id)
      assert.strictEqual(Config.User, "1000:3000")
      assert.deepInclude(HostConfig, {
        CpuShares: 256,
        CpuPeriod: 100_000,
        CpuQuota: 50_000,
        Memory: 64 * 1024 * 1024,
        OomScoreAdj: 1000,
        ReadonlyRootfs: true,
        SecurityOpt: ["no-new-privileges"],
        GroupAdd: ["4000"],
        NetworkMode: `container:${sandboxId}`,
        IpcMode: `container:${sandboxId}`,
        RestartPolicy: { Name: "no", MaximumRetryCount: 0 },
        LogConfig: { Type: "json-file", Config: { "max-file": "5", "max-size": "10485760" } }
      })
      const ids = yield* executed(id, ["id"])
      assert.match(ids.stdout, /uid=1000.* gid=3000.*groups=.*4000/)
    }))

  test("tells a container that was killed for its memory", (world) =>
    Effect.gen(function*() {
      const sandbox = yield* ensured(world)
      const runtime = yield* ContainerRuntime
      const id = yield* runtime.create({
        ...containerSpec(world, sandbox.id, { _tag: "Forever" }),
        command: ["sh", "-c", "x=$(head -c 200000000 /dev/zero | tr '\\0' x); echo ${#x}"],
        args: [],
        resources: { cpuRequest: 0, cpuLimit: 0, memoryRequest: 0, memoryLimit: 16 * 1024 * 1024 }
      })
      yield* runtime.start(id)
      const exited = yield* untilExited(id)
      assert.isTrue(exited.oomKilled)
    }))

  test("shares a pod's network and hostname between its containers, and its processes where asked", (world) =>
    Effect.gen(function*() {
      const runtime = yield* ContainerRuntime
      yield* ensured(world)
      const shared = { ...sandboxSpec(world, 1), shareProcessNamespace: true, hostname: "shared" }
      const sandbox = yield* runtime.ensureSandbox(shared)
      const id = yield* runtime.create(containerSpec(world, sandbox.id, { _tag: "Forever" }))
      yield* runtime.start(id)
      assert.strictEqual((yield* executed(id, ["hostname"])).stdout, "shared\n")
      assert.include((yield* executed(id, ["ps"])).stdout, "sleep 2147483647")
      assert.include((yield* executed(id, ["ip", "addr"])).stdout, sandbox.ips[0]!)
    }))

  test("publishes host ports of the sandbox", (world) =>
    Effect.gen(function*() {
      const runtime = yield* ContainerRuntime
      yield* ensured(world)
      const [hostPort = 0] = yield* freePorts(1)
      const sandbox = yield* runtime.ensureSandbox({
        ...sandboxSpec(world, 1),
        ports: [{ containerPort: 8080, hostPort, hostIP: "127.0.0.1", protocol: "TCP" }]
      })
      const { HostConfig } = yield* inspectRaw(sandbox.id)
      assert.deepStrictEqual(HostConfig["PortBindings"], {
        "8080/tcp": [{ HostIp: "127.0.0.1", HostPort: `${hostPort}` }]
      })
    }))

  test("hands out a sandbox that died as not ready, and makes a new one under the next attempt", (world) =>
    Effect.gen(function*() {
      const runtime = yield* ContainerRuntime
      const sandbox = yield* ensured(world)
      yield* runtime.stop(sandbox.id, 0)
      const dead = yield* runtime.ensureSandbox(sandboxSpec(world))
      assert.deepStrictEqual([dead.id, dead.ready, dead.ips], [sandbox.id, false, []])
      const fresh = yield* runtime.ensureSandbox(sandboxSpec(world, 1))
      assert.isTrue(fresh.ready)
      assert.notStrictEqual(fresh.id, sandbox.id)
    }))

  test("keeps the devices that share an engine apart", (world) =>
    Effect.gen(function*() {
      const { id } = yield* launch(world, { _tag: "Forever" })
      const seen = yield* Effect.gen(function*() {
        return yield* (yield* ContainerRuntime).containers()
      }).pipe(Effect.provide(layer("another"), { local: true }))
      assert.isFalse(seen.some((container) => container.id === id))
    }))

  test("ends a command when its caller goes", (world) =>
    Effect.gen(function*() {
      const runtime = yield* ContainerRuntime
      const { id } = yield* launch(world, { _tag: "Forever" })
      yield* Effect.scoped(Effect.gen(function*() {
        yield* runtime.exec(id, { command: ["sleep", "4321"], stdin: true, stdout: true, stderr: true, tty: false })
        yield* Effect.sleep("500 millis") // the engine answers before the process is there
      }))
      assert.notInclude((yield* executed(id, ["ps"])).stdout, "sleep 4321")
    }))

  test("gives a command a terminal of the asked size", (world) =>
    Effect.gen(function*() {
      const runtime = yield* ContainerRuntime
      const { id } = yield* launch(world, { _tag: "Forever" })
      const shown = yield* Effect.scoped(Effect.gen(function*() {
        const command = yield* runtime.exec(id, {
          command: ["sh", "-c", "read go; stty size"],
          stdin: true,
          stdout: true,
          stderr: false,
          tty: true
        })
        yield* command.resize({ width: 101, height: 37 })
        yield* command.stdin(new TextEncoder().encode("\n"))
        return textOf(yield* Stream.runCollect(command.output))
      }))
      assert.include(shown, "37 101")
    }))

  test("gives a terminal Ctrl-P at once, and not only with the key after it", (world) =>
    Effect.gen(function*() {
      const runtime = yield* ContainerRuntime
      const at = { stdin: true, stdout: true, stderr: false, tty: true }
      const command = ["sh", "-c", "stty raw -echo; echo ready; dd bs=1 count=1 2>/dev/null | od -An -tx1"]
      const press = Uint8Array.of(0x10)
      const sandbox = yield* ensured(world)
      const spec = containerSpec(world, sandbox.id, { _tag: "Forever" }, { stdin: true, tty: true })
      const id = yield* runtime.create({ ...spec, command, args: [] })
      yield* runtime.start(id)
      yield* printed(id, "ready")
      const attached = yield* runtime.attach(id, at)
      yield* attached.stdin(press)
      const heard = textOf(yield* Effect.timeout(Stream.runCollect(attached.output), "20 seconds"))
      assert.strictEqual(heard.trim(), "10")

      const other = yield* runtime.create({ ...spec, attempt: 1, command: ["sleep", "1000"], args: [] })
      yield* runtime.start(other)
      const { output, stdin } = yield* runtime.exec(other, { ...at, command })
      const shown = yield* output.pipe(
        Stream.scan(() => "", (before, piece) => before + textOf([piece])),
        Stream.tap((text) => text === "ready\n" ? stdin(press) : Effect.void),
        Stream.runLast,
        Effect.timeout("20 seconds")
      )
      assert.match(Option.getOrElse(shown, () => ""), /^ready\n +10\r?\n$/)
    }))

  test("reads the log of a container with a terminal", (world) =>
    Effect.gen(function*() {
      const runtime = yield* ContainerRuntime
      const { id } = yield* launch(world, { _tag: "Prints", lines: ["one", "x".repeat(40_000), "two"] }, { tty: true })
      yield* untilExited(id)
      const log = textOf(yield* Stream.runCollect(runtime.logs(id, { follow: false })))
      assert.strictEqual(log, `one\r\n${"x".repeat(40_000)}\r\ntwo\r\n`)
    }))

  test("reads long lines and bytes that are no text as they were written", (world) =>
    Effect.gen(function*() {
      const runtime = yield* ContainerRuntime
      const { id } = yield* launch(world, { _tag: "Prints", lines: ["x".repeat(100_000), "é\u{1F600}"] })
      yield* untilExited(id)
      const log = textOf(yield* Stream.runCollect(runtime.logs(id, { follow: false })))
      assert.strictEqual(log, `${"x".repeat(100_000)}\né\u{1F600}\n`)
    }))

  test("reads lines that docker cuts within a character, and what is no text", (world) =>
    Effect.gen(function*() {
      const runtime = yield* ContainerRuntime
      const sandbox = yield* ensured(world)
      const script = "head -c 16383 /dev/zero | tr '\\0' x; echo é; " +
        "head -c 20000 /dev/zero | tr '\\0' '\\377'; echo; echo end"
      for (const [attempt, tty] of [false, true].entries()) {
        const spec = containerSpec(world, sandbox.id, { _tag: "Forever" })
        const id = yield* runtime.create({ ...spec, attempt, tty, command: ["sh", "-c", script], args: [] })
        yield* runtime.start(id)
        yield* untilExited(id)
        const log = textOf(yield* Stream.runCollect(runtime.logs(id, { follow: false })))
        const end = tty ? "\r\n" : "\n"
        // Docker has lost the character.
        assert.strictEqual(
          log,
          `${"x".repeat(16_383)}\ufffd\ufffd${end}${"\ufffd".repeat(20_000)}${end}end${end}`
        )
      }
    }))

  test("stops a pull when its caller goes, and says so when the engine is not there", (world) =>
    Effect.gen(function*() {
      const runtime = yield* ContainerRuntime
      const silent = yield* silentRegistry
      const [took, outcome] = yield* Effect.timed(
        Effect.timeoutOption(runtime.pull(`127.0.0.1:${silent}/slow:1`, []), "1 second")
      )
      assert.isTrue(Option.isNone(outcome))
      assert.isBelow(Duration.toMillis(took), 3000)
      const gone = yield* Effect.gen(function*() {
        return yield* Effect.flip((yield* ContainerRuntime).containers(world.uid))
      }).pipe(Effect.provide(DockerRuntime.layer({ socketPath: "/nonexistent/docker.sock" }), { local: true }))
      assert.strictEqual(gone.reason, "Unavailable")
      assert.include(gone.message, "/nonexistent/docker.sock")
    }))

  test("leaves a running container alone when docker is asked to start it behind our back", (world) =>
    Effect.gen(function*() {
      const runtime = yield* ContainerRuntime
      const { id } = yield* launch(world, { _tag: "Counts" })
      yield* printed(id, "1")
      const before = yield* runtime.inspect(id)
      assert.strictEqual((yield* Effect.flip(runtime.start(id))).reason, "Invalid")
      assert.deepStrictEqual(yield* runtime.inspect(id), before)
    }))
})

/** Takes connections and never says a word. */
const silentRegistry = Effect.acquireRelease(
  Effect.callback<{ readonly port: number; readonly close: () => void }>((resume) => {
    const sockets = new Set<import("node:net").Socket>()
    const server = createServer((socket) => {
      sockets.add(socket)
      socket.on("error", () => sockets.delete(socket))
    })
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      const port = typeof address === "object" && address !== null ? address.port : 0
      resume(Effect.succeed({
        port,
        close: () => {
          for (const socket of sockets) socket.destroy()
          server.close()
        }
      }))
    })
  }),
  ({ close }) => Effect.sync(close)
).pipe(Effect.map(({ port }) => port))

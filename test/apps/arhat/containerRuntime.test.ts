/** Which runtime a device has, and that it stays so when docker is late. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, Schedule } from "effect"
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  unlinkSync
} from "node:fs"
import { tmpdir } from "node:os"
import { stringify } from "yaml"
import { HOST_EXEC } from "../../../adapters/process/images.ts"
import { ArhatConfig } from "../../../apps/arhat/ArhatConfig.ts"
import { containerRuntime } from "../../../apps/arhat/containerRuntime.ts"
import { decodeConfig } from "../../../core/config/decodeConfig.ts"
import { ContainerRuntime } from "../../../core/pod/ContainerRuntime.ts"
import { scriptedEngine } from "../../adapters/docker/scriptedEngine.ts"
import { containerSpec, sandboxSpec } from "../../contracts/runtimeWorld.ts"
import { says } from "../../e2e/badInput/sentences.ts"

/** A device whose docker comes and goes. */
const device = Effect.gen(function*() {
  const folder = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(`${tmpdir()}/aranya-runtime-`)),
    (path) => Effect.sync(() => rmSync(path, { recursive: true }))
  )
  const engine = yield* scriptedEngine((_call, response) => response.end("[]"))
  const socket = `${folder}/docker.sock`
  return {
    begin: Effect.sync(() => symlinkSync(engine.socketPath, socket)),
    end: Effect.sync(() => unlinkSync(socket)),
    containers: `${folder}/processes/containers`,
    sandboxes: `${folder}/processes/sandboxes`,
    noted: () => readFileSync(`${folder}/runtime`, "utf8"),
    /** One life of the agent, and what it logs. */
    life: <A, E>(
      runtime: { readonly docker?: object; readonly process?: object; readonly hostexec?: object },
      body: (runtime: ContainerRuntime["Service"], log: ReadonlyArray<string>) => Effect.Effect<A, E>
    ) =>
      Effect.gen(function*() {
        const log: Array<string> = []
        const config = yield* decodeConfig(ArhatConfig)(
          "arhat.yaml",
          stringify({
            arhat: { device: "edge-1", dataDir: folder },
            connectivity: {
              operatorKey: Buffer.alloc(32, 9).toString("base64"),
              methods: [{ name: "grpc", config: { endpoint: "aranya.example.com:8443" } }]
            },
            runtime: { ...runtime, docker: { socket, ...runtime.docker } }
          }),
          () => undefined
        )
        return yield* Effect.flatMap(ContainerRuntime, (made) => body(made, log)).pipe(
          Effect.provide(
            containerRuntime(config).pipe(
              Layer.provideMerge(Logger.layer([Logger.make(({ message }) => void log.push(String(message)))]))
            ),
            { local: true }
          )
        )
      })
  }
})

/** What docker says of its containers, or why it does not. */
const asked = (runtime: ContainerRuntime["Service"]) =>
  Effect.match(runtime.containers(), {
    onFailure: ({ message }) => message,
    onSuccess: (containers) => containers.length
  })

/** A command of hostexec that runs for as long as it is let, or a minute where a test fails. */
const launch = Effect.fnUntraced(function*(
  runtime: ContainerRuntime["Service"],
  uid: string,
  containers: string
) {
  const sandbox = yield* runtime.ensureSandbox({ ...sandboxSpec({ uid }), hostExec: true })
  const world = { uid, image: HOST_EXEC, program: () => ({ command: ["sleep"], args: ["60"] }) }
  yield* runtime.start(yield* runtime.create(containerSpec(world, sandbox.id, { _tag: "Forever" })))
  const identity = `${containers}/${uid}_app_0/process`
  const pid = Number.parseInt(readFileSync(identity, "utf8"))
  return { pid, identity, runs: () => existsSync(`/proc/${pid}`) }
})

const until = (done: () => boolean) =>
  Effect.suspend(() => done() ? Effect.void : Effect.fail("not yet")).pipe(
    Effect.retry(Schedule.spaced("50 millis")),
    Effect.timeout("30 seconds")
  )

const processes = { process: { enabled: true } }
const hostexec = { hostexec: { enabled: true } }

describe("the runtime of a device", () => {
  it.live.each([processes, hostexec, {}])("stays docker that is late, with %j", (allowed) =>
    Effect.gen(function*() {
      const { begin, end, life, noted } = yield* device
      yield* begin
      yield* life(allowed, asked)
      assert.strictEqual(noted(), "docker\n")
      yield* end
      yield* life(allowed, (runtime, log) =>
        Effect.gen(function*() {
          says(log[0] ?? "", "they wait for it. To run them as processes instead, set runtime.docker.enabled: false")
          // No answer is no empty answer: nothing is taken for gone.
          assert.include(String(yield* asked(runtime)), "docker")
          yield* begin
          assert.strictEqual(yield* asked(runtime), 0)
        }))
      assert.strictEqual(noted(), "docker\n")
    }).pipe(Effect.scoped))

  it.live("is processes where docker never was, and docker once it is there", () =>
    Effect.gen(function*() {
      const { begin, life, noted } = yield* device
      yield* life(processes, (_runtime, log) =>
        Effect.sync(() => assert.deepStrictEqual(log, ["pods run as plain processes of this host"])))
      assert.strictEqual(noted(), "processes\n")
      yield* begin
      yield* life(processes, (_runtime, log) =>
        Effect.sync(() => assert.include(log.join("\n"), "pods run in docker")))
      assert.strictEqual(noted(), "docker\n")
    }).pipe(Effect.scoped))

  it.live("stays processes for as long as there are containers of them, and says how it becomes docker", () =>
    Effect.gen(function*() {
      const { begin, containers, life, noted } = yield* device
      yield* life(processes, asked)
      mkdirSync(`${containers}/pod_app_0`)
      yield* begin
      yield* life(processes, (_runtime, log) =>
        Effect.sync(() => {
          says(log[0] ?? "", "To run pods in docker, delete those that are here and restart arhat")
          assert.strictEqual(log[1], "pods run as plain processes of this host")
        }))
      assert.strictEqual(noted(), "processes\n")
      rmSync(`${containers}/pod_app_0`, { recursive: true })
      yield* life(processes, asked)
      assert.strictEqual(noted(), "docker\n")
    }).pipe(Effect.scoped))

  it.live("is docker with hostexec beside it, which sees to the processes that are there", () =>
    Effect.gen(function*() {
      const { begin, containers, life, noted } = yield* device
      yield* life(hostexec, asked)
      mkdirSync(`${containers}/pod_app_0`)
      yield* begin
      yield* life(hostexec, asked)
      assert.strictEqual(noted(), "docker\n")
    }).pipe(Effect.scoped))

  it.live.each([{}, { docker: { enabled: false } }])(
    "begins when what runs on the host without leave of its owner has ended and is gone, with %j",
    (nothing) =>
      Effect.gen(function*() {
        const { begin, containers, life, sandboxes } = yield* device
        yield* begin
        const allowed = { ...hostexec, process: { allowRoot: true } }
        const one = yield* life(allowed, (runtime) => launch(runtime, "one", containers))
        yield* life(allowed, () => Effect.sync(() => assert.isTrue(one.runs())))
        const begins = life(nothing, (runtime, log) =>
          Effect.gen(function*() {
            says(log[0] ?? "", "what is left of them is ended and removed")
            assert.isFalse(one.runs())
            assert.deepStrictEqual([yield* runtime.containers(), yield* runtime.sandboxes()], [[], []])
          }))
        // Also where no runtime is left for it.
        yield* nothing.docker === undefined ? begins : Effect.flip(begins)
        assert.isFalse(one.runs())
        assert.deepStrictEqual([readdirSync(containers), readdirSync(sandboxes)], [[], []])
        yield* Effect.ignore(
          life(nothing, (_runtime, log) => Effect.sync(() => assert.notInclude(log.join(), "is ended and removed")))
        )
      }).pipe(Effect.scoped)
  )

  it.live("tries again to end what has no leave, and neither the agent nor the others wait for it", () =>
    Effect.gen(function*() {
      const { begin, containers, life } = yield* device
      yield* begin
      const [one, two] = yield* life(
        { ...hostexec, process: { allowRoot: true } },
        (runtime) => Effect.all([launch(runtime, "one", containers), launch(runtime, "two", containers)])
      )
      renameSync(one.identity, `${one.identity}.kept`)
      mkdirSync(one.identity) // cannot be read
      yield* life({}, (_runtime, log) =>
        Effect.gen(function*() {
          assert.include(log.join("\n"), "some of them are there yet")
          assert.deepStrictEqual([one.runs(), two.runs()], [true, false])
          rmdirSync(one.identity)
          renameSync(`${one.identity}.kept`, one.identity)
          yield* until(() => readdirSync(containers).length === 0)
          assert.isFalse(one.runs())
        }))
    }).pipe(Effect.scoped))

  it.live("is what its owner says, whatever it was", () =>
    Effect.gen(function*() {
      const { begin, end, life, noted } = yield* device
      yield* begin
      yield* life(processes, asked)
      yield* end
      const plain = (_runtime: unknown, log: ReadonlyArray<string>) =>
        Effect.sync(() => assert.deepStrictEqual(log, ["pods run as plain processes of this host"]))
      yield* life({ ...processes, docker: { enabled: false } }, plain)
      assert.strictEqual(noted(), "processes\n")
      // Docker was let go of: it may be looked for again, not waited for.
      yield* life(processes, plain)
    }).pipe(Effect.scoped))

  it.live("is none, with a sentence, where docker alone is allowed and never was", () =>
    Effect.gen(function*() {
      const { life } = yield* device
      assert.include(
        String(yield* Effect.flip(life({}, () => Effect.void))),
        "start it, mend runtime.docker.socket, or set runtime.process.enabled"
      )
    }).pipe(Effect.scoped))
})

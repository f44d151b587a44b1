import { assert, describe } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Schedule, Stream } from "effect"
import { execFileSync, spawn } from "node:child_process"
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  writeFileSync
} from "node:fs"
import { createServer } from "node:net"
import { basename, dirname, join } from "node:path"
import { readIfThere } from "../../../adapters/process/disk.ts"
import { isAlive, parseIdentity } from "../../../adapters/process/identity.ts"
import * as ProcessRuntime from "../../../adapters/process/ProcessRuntime.ts"
import { ContainerRuntime } from "../../../core/pod/ContainerRuntime.ts"
import {
  containerSpec,
  ensured,
  executed,
  launch,
  printed,
  sandboxSpec,
  textOf,
  untilExited
} from "../../contracts/runtimeWorld.ts"
import type { Order } from "./launchAndWait.ts"
import { folderOf, log, processOf, reasonAnd, shell, test } from "./processTest.ts"
import { openWorld, type ProcessWorld, whyNoImage, whyNotRoot } from "./processWorld.ts"

if (whyNoImage !== undefined) {
  console.warn(`skipped: the process runtime's own tests, or those with an image, because ${whyNoImage}`)
}

/** An agent in a process of its own, killed without a chance to say goodbye. */
const killedAgent = (order: Order) =>
  Effect.callback<void>((resume) => {
    const child = spawn(process.execPath, [join(import.meta.dirname, "launchAndWait.ts"), JSON.stringify(order)], {
      stdio: ["ignore", "pipe", "inherit"]
    })
    child.stdout.once("data", () => child.kill("SIGKILL"))
    child.once("exit", () => resume(Effect.void))
  })

const until = (done: () => boolean) =>
  Effect.suspend(() => done() ? Effect.void : Effect.fail("not yet")).pipe(
    Effect.retry(Schedule.spaced("20 millis")),
    Effect.timeout("10 seconds")
  )

/** As images do whose programs take a log file and are given /dev/stdout. */
const opensItsStreams = (world: ProcessWorld) =>
  Effect.gen(function*() {
    const runtime = yield* ContainerRuntime
    const sandbox = yield* ensured(world)
    const id = yield* runtime.create({
      ...containerSpec(world, sandbox.id, { _tag: "Forever" }, { stdin: true, stdinOnce: true }),
      ...shell("exec 3< /dev/stdin && echo err > /dev/stderr && echo out > /dev/stdout && cat <&3")
    })
    yield* runtime.start(id)
    const attached = yield* runtime.attach(id, { stdin: true, stdout: true, stderr: true, tty: false })
    yield* printed(id, "out")
    yield* attached.stdin(new TextEncoder().encode("in\n"))
    yield* attached.endStdin
    assert.strictEqual((yield* untilExited(id)).exitCode, 0)
    const output = yield* Stream.runCollect(runtime.logs(id, { follow: false }))
    assert.strictEqual(textOf(output, "stdout"), "out\nin\n")
    assert.strictEqual(textOf(output, "stderr"), "err\n")
  })

describe.skipIf(whyNotRoot !== undefined)("a process pod", () => {
  test("may open its streams by name, whoever it runs as", opensItsStreams, openWorld({ allowRoot: false }))

  test("is reached at a port where it listens on IPv6 alone", (world) =>
    Effect.gen(function*() {
      const runtime = yield* ContainerRuntime
      const { sandboxId } = yield* launch(world, { _tag: "Forever" })
      const server = createServer((socket) => socket.end("by IPv6"))
      yield* Effect.acquireRelease(
        Effect.callback<void>((resume) => void server.listen(world.port, "::1", () => resume(Effect.void))),
        () => Effect.sync(() => server.close())
      )
      const { read } = yield* runtime.dial(sandboxId, world.port)
      assert.strictEqual(yield* Stream.mkString(Stream.decodeText(read)), "by IPv6")
    }))

  test("keeps its terminal through kill -9 of the agent: input, sizes and the screen go on", (world) =>
    Effect.gen(function*() {
      const spec = containerSpec(world, `${world.uid}_0`, { _tag: "Forever" }, { stdin: true, tty: true })
      yield* killedAgent({
        options: world.options,
        sandbox: sandboxSpec(world),
        specs: [{ ...spec, ...shell("while read -r word; do echo \"heard $word\"; stty size; done; exit 3") }]
      })
      const runtime = yield* ContainerRuntime
      yield* ensured(world)
      const id = `${world.uid}_app_0`
      const attached = yield* runtime.attach(id, { stdin: true, stdout: true, stderr: false, tty: true })
      yield* attached.resize({ width: 90, height: 33 })
      yield* attached.stdin(new TextEncoder().encode("me\r"))
      yield* printed(id, "33 90\r")
      assert.include(yield* log(id), "heard me\r\n")
      yield* attached.stdin(Uint8Array.of(4))
      assert.strictEqual((yield* untilExited(id)).exitCode, 3)
    }))

  test("survives kill -9 of the agent: nothing of output, exit code or identity is lost", (world) =>
    Effect.gen(function*() {
      const sandbox = sandboxSpec(world)
      const spec = containerSpec(world, `${world.uid}_0`, { _tag: "Forever" })
      const gate = join(world.directory ?? "", "gate")
      yield* killedAgent({
        options: world.options,
        sandbox,
        specs: [
          {
            ...spec,
            ...shell("echo before; while [ ! -e \"$1\" ]; do sleep 0.05; done; echo after; echo err >&2; exit 42", gate)
          },
          { ...spec, container: "lasting", ...shell("trap 'exit 9' TERM; echo up; while :; do sleep 0.1; done") }
        ]
      })
      const runtime = yield* ContainerRuntime
      yield* ensured(world)
      const [ending, lasting] = [`${world.uid}_app_0`, `${world.uid}_lasting_0`]
      assert.strictEqual((yield* runtime.inspect(ending)).state, "running")
      writeFileSync(gate, "")
      assert.strictEqual((yield* untilExited(ending)).exitCode, 42)
      const output = yield* Stream.runCollect(runtime.logs(ending, { follow: false }))
      // Each stream has a pump of its own: their order among each other is only as fine as the pumps' pace.
      assert.strictEqual(textOf(output, "stdout"), "before\nafter\n")
      assert.strictEqual(textOf(output, "stderr"), "err\n")
      assert.strictEqual((yield* Effect.flip(runtime.start(lasting))).reason, "Invalid")
      yield* printed(lasting, "up")
      yield* runtime.stop(lasting, 10)
      assert.strictEqual((yield* runtime.inspect(lasting)).exitCode, 9)
    }))

  test("is never mistaken for a stranger who got its pid, and such a stranger is never killed", (world) =>
    Effect.gen(function*() {
      const runtime = yield* ContainerRuntime
      const { id } = yield* launch(world, { _tag: "Exits", code: 0 })
      yield* untilExited(id)
      const stranger = yield* Effect.acquireRelease(
        Effect.sync(() => spawn("sleep", ["1000"], { detached: true })),
        (child) => Effect.sync(() => child.kill("SIGKILL"))
      )
      const folder = folderOf(world, id)
      const { boot, start } = processOf(world, id)
      // As if the shim had died too and the kernel had handed out the pid again.
      writeFileSync(join(folder, "process"), `${stranger.pid} ${Number(start) - 100} ${boot}\n`)
      writeFileSync(join(folder, "claim"), `${stranger.pid} ${Number(start) - 100} ${boot}\n`)
      yield* Effect.promise(() => import("node:fs/promises").then(({ rm }) => rm(join(folder, "exit"))))
      const found = yield* runtime.inspect(id)
      assert.deepStrictEqual([found.state, found.exitCode], ["exited", 137])
      assert.include(found.detail ?? "", "exit code was lost")
      yield* runtime.stop(id, 0)
      yield* runtime.remove(id)
      assert.isNull(stranger.exitCode ?? stranger.signalCode)
    }))

  test("has ended with an unknown result when the device was restarted, and its sandbox is not ready", (world) =>
    Effect.gen(function*() {
      const runtime = yield* ContainerRuntime
      const { id } = yield* launch(world, { _tag: "Forever" })
      const { pid } = processOf(world, id)
      yield* Effect.gen(function*() {
        const later = yield* ContainerRuntime
        const found = yield* later.inspect(id)
        assert.deepStrictEqual([found.state, found.exitCode], ["exited", 137])
        assert.include(found.detail ?? "", "device was restarted")
        assert.isAtLeast(found.finishedAt ?? 0, found.startedAt ?? 0)
        assert.strictEqual((yield* later.inspect(id)).finishedAt, found.finishedAt)
        assert.isFalse((yield* later.ensureSandbox(sandboxSpec(world))).ready)
        assert.isTrue((yield* later.ensureSandbox(sandboxSpec(world, 1))).ready)
        yield* later.stop(id, 0)
        assert.isTrue(existsSync(`/proc/${pid}`), "a process of another boot was killed")
      }).pipe(
        Effect.provide(ProcessRuntime.layer({ ...world.options, bootId: "another-boot" }), { local: true })
      )
      process.kill(-pid, "SIGKILL")
      yield* until(() => !existsSync(`/proc/${pid}`))
      void runtime
    }))

  test("has ended after a restart of the device also where a full disk takes no note of that", (world) =>
    Effect.gen(function*() {
      const { id } = yield* launch(world, { _tag: "Forever" })
      const { pid } = processOf(world, id)
      const refused = join(folderOf(world, id), "exit.new")
      mkdirSync(refused)
      yield* Effect.gen(function*() {
        const later = yield* ContainerRuntime
        const [found] = yield* later.containers()
        assert.deepStrictEqual([found?.state, found?.exitCode], ["exited", 137])
        assert.include(found?.detail ?? "", "device was restarted")
        rmdirSync(refused)
        yield* later.inspect(id)
        assert.match(readFileSync(join(folderOf(world, id), "exit"), "utf8"), /^137 .*device was restarted/)
      }).pipe(
        Effect.provide(ProcessRuntime.layer({ ...world.options, bootId: "another-boot" }), { local: true })
      )
      process.kill(-pid, "SIGKILL")
      yield* until(() => !existsSync(`/proc/${pid}`))
    }))

  test("whose folder is damaged can still end, and keeps nobody from all others", (world) =>
    Effect.gen(function*() {
      const whole = yield* launch(world, { _tag: "Forever" }, { container: "whole" })
      const damaged = yield* launch(world, { _tag: "Forever" }, { container: "damaged" })
      writeFileSync(join(folderOf(world, damaged.id), "spec"), "\0\0\0")
      const unseen = yield* launch(world, { _tag: "Forever" }, { container: "unseen" })
      const identity = join(folderOf(world, unseen.id), "process")
      renameSync(identity, `${identity}.kept`)
      mkdirSync(identity)
      yield* Effect.gen(function*() {
        const runtime = yield* ContainerRuntime
        const states = (yield* runtime.containers(world.uid)).map(({ attempt, container, state, uid }) =>
          `${uid === world.uid} ${container} ${attempt} ${state}`
        )
        assert.deepStrictEqual(states.toSorted(), [
          "true damaged 0 running",
          "true unseen 0 unknown",
          "true whole 0 running"
        ])
        assert.strictEqual((yield* reasonAnd(runtime.stop(unseen.id, 0))).reason, "Unavailable")
        rmdirSync(identity)
        renameSync(`${identity}.kept`, identity)
        yield* runtime.ensureSandbox({ ...sandboxSpec(world), uid: "another" })
        const { detail } = yield* reasonAnd(Effect.scoped(
          runtime.exec(damaged.id, { command: ["true"], stdin: false, stdout: true, stderr: true, tty: false })
        ))
        assert.include(detail, "is damaged")
        for (const { id } of [whole, damaged, unseen]) {
          yield* runtime.stop(id, 0)
          yield* runtime.remove(id)
        }
        assert.deepStrictEqual(yield* runtime.containers(), [])
      }).pipe(Effect.provide(ProcessRuntime.layer(world.options), { local: true }))
    }))

  test("takes everything it left behind with it", (world) =>
    Effect.gen(function*() {
      const runtime = yield* ContainerRuntime
      const sandbox = yield* ensured(world)
      const mark = `${100_000_000 + world.port}`
      const id = yield* runtime.create({
        ...containerSpec(world, sandbox.id, { _tag: "Forever" }),
        ...shell("setsid sleep \"$1\" & sleep \"$1\" & sleep 0.3; exit 3", mark)
      })
      yield* runtime.start(id)
      assert.strictEqual((yield* untilExited(id)).exitCode, 3)
      const left = readdirSync("/proc").filter((name) => {
        try {
          return /^\d+$/.test(name) && readFileSync(`/proc/${name}/cmdline`, "utf8").includes(mark)
        } catch {
          return false
        }
      })
      assert.deepStrictEqual(left, [])
    }))

  test("leaves nothing when it is removed: no folder, no control group, no shim", (world) =>
    Effect.gen(function*() {
      const runtime = yield* ContainerRuntime
      const { id } = yield* launch(world, { _tag: "Counts" })
      const shim = parseIdentity(readFileSync(join(folderOf(world, id), "claim"), "utf8"))!
      yield* runtime.stop(id, 0)
      yield* until(() => !isAlive(shim, shim.boot))
      yield* runtime.remove(id)
      assert.deepStrictEqual(readdirSync(join(world.options.dataDir, "containers")), [])
      assert.isFalse(existsSync(`/sys/fs/cgroup/memory/arhat/${id}`) || existsSync(`/sys/fs/cgroup/arhat/${id}`))
    }))

  test("leaves no shim either where its output could not be written when it was removed", (world) =>
    Effect.gen(function*() {
      const runtime = yield* ContainerRuntime
      const sandbox = yield* ensured(world)
      const id = yield* runtime.create(containerSpec(world, sandbox.id, { _tag: "Exits", code: 0 }))
      mkdirSync(join(folderOf(world, id), "stdout.1"))
      yield* runtime.start(id)
      const mentioning = () =>
        readdirSync("/proc").filter((name) =>
          /^\d+$/.test(name) && (readIfThere(`/proc/${name}/cmdline`) ?? "").includes(id)
        )
      assert.isNotEmpty(mentioning())
      yield* untilExited(id)
      yield* runtime.remove(id)
      yield* until(() => mentioning().length === 0)
    }))

  test("keeps at most a bounded piece of a log that never ends", (world) =>
    Effect.gen(function*() {
      const runtime = yield* ContainerRuntime
      const sandbox = yield* ensured(world)
      const id = yield* runtime.create({
        ...containerSpec(world, sandbox.id, { _tag: "Forever" }),
        ...shell("head -c 50000000 /dev/zero | tr '\\0' x | fold -w 999; echo last")
      })
      yield* runtime.start(id)
      yield* untilExited(id, "50 seconds")
      const sizes = readdirSync(folderOf(world, id)).map((name) => lstatSync(join(folderOf(world, id), name)).size)
      assert.isBelow(sizes.reduce((sum, size) => sum + size, 0), 27 * 1024 * 1024)
      const tail = textOf(yield* Stream.runCollect(runtime.logs(id, { follow: false, tail: 2 })))
      assert.match(tail, /^x{999}\nx{1,999}last\n$/)
    }))

  test(
    "is as ready to be killed for memory as its pod asks for, and so is what is run in it",
    (world) =>
      Effect.gen(function*() {
        for (const [attempt, oomScoreAdj] of [900, 1000].entries()) {
          const { id } = yield* launch(world, { _tag: "Forever" }, { attempt, oomScoreAdj })
          const { pid } = processOf(world, id)
          assert.strictEqual(readFileSync(`/proc/${pid}/oom_score_adj`, "utf8"), `${oomScoreAdj}\n`)
          assert.strictEqual((yield* executed(id, ["cat", "/proc/self/oom_score_adj"])).stdout, `${oomScoreAdj}\n`)
        }
      }),
    openWorld({ allowRoot: false })
  )

  test("dies of its memory limit and says so", (world) =>
    Effect.gen(function*() {
      const { version } = yield* (yield* ContainerRuntime).info
      if (version.endsWith("none")) return yield* Effect.logWarning("skipped: no control groups on this machine")
      const runtime = yield* ContainerRuntime
      const sandbox = yield* ensured(world)
      const id = yield* runtime.create({
        ...containerSpec(world, sandbox.id, { _tag: "Forever" }),
        ...shell("exec tail /dev/zero"), // keeps a line that never ends in memory
        resources: { cpuRequest: 0, cpuLimit: 0, memoryRequest: 0, memoryLimit: 16 * 1024 * 1024 }
      })
      yield* runtime.start(id)
      const exited = yield* untilExited(id)
      assert.deepStrictEqual([exited.exitCode, exited.oomKilled], [137, true])
    }))

  test("keeps its input open for the next client unless it takes input once", (world) =>
    Effect.gen(function*() {
      const runtime = yield* ContainerRuntime
      const { id } = yield* launch(world, { _tag: "Echoes" }, { stdin: true })
      for (const word of ["one\n", "two\n"]) {
        yield* Effect.scoped(Effect.gen(function*() {
          const attached = yield* runtime.attach(id, { stdin: true, stdout: true, stderr: true, tty: false })
          yield* attached.stdin(new TextEncoder().encode(word))
          yield* attached.endStdin
          yield* printed(id, word.trim())
        }))
      }
      assert.strictEqual((yield* runtime.inspect(id)).state, "running")
    }))

  test("starts in its working directory and knows nothing of the agent's environment", (world) =>
    Effect.gen(function*() {
      const runtime = yield* ContainerRuntime
      const sandbox = yield* ensured(world)
      const id = yield* runtime.create({
        ...containerSpec(world, sandbox.id, { _tag: "Forever" }),
        command: ["env"],
        args: [],
        workingDir: world.directory ?? "",
        env: [{ name: "odd.name", value: "x" }, { name: "-i", value: "y" }, { name: "LD_LIBRARY_PATH", value: "/tmp" }]
      })
      yield* runtime.start(id)
      yield* untilExited(id)
      const lines = (yield* log(id)).trim().split("\n").filter((line) => !line.startsWith("PWD=")).toSorted()
      assert.deepStrictEqual(lines, [
        "-i=y",
        "HOSTNAME=web",
        "LD_LIBRARY_PATH=/tmp",
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "odd.name=x"
      ])
      const elsewhere = yield* launch(world, { _tag: "File", path: "greeting" }, {
        attempt: 1,
        workingDir: world.directory ?? ""
      })
      yield* untilExited(elsewhere.id)
      assert.strictEqual(yield* log(elsewhere.id), "hello\n")
    }))

  test("leaves nothing of itself where another agent takes its name while it is made", (world) =>
    Effect.gen(function*() {
      const runtime = yield* ContainerRuntime
      const sandbox = yield* ensured(world)
      const taken = folderOf(world, `${world.uid}_app_0`)
      const spec = {
        ...containerSpec(world, sandbox.id, { _tag: "Exits", code: 0 }),
        get oomScoreAdj() {
          mkdirSync(join(taken, "root"), { recursive: true })
          return 0
        }
      }
      assert.strictEqual((yield* reasonAnd(runtime.create(spec))).reason, "NameConflict")
      assert.deepStrictEqual(readdirSync(dirname(taken)), [basename(taken)])
    }))

  test("starts once when two agents try at the same moment", (world) =>
    Effect.gen(function*() {
      const runtime = yield* ContainerRuntime
      const sandbox = yield* ensured(world)
      const id = yield* runtime.create(containerSpec(world, sandbox.id, { _tag: "Prints", lines: ["once"] }))
      const another = yield* Effect.provide(ContainerRuntime, ProcessRuntime.layer(world.options), { local: true })
      yield* Effect.all([runtime, another, runtime, another].map((agent) => Effect.exit(agent.start(id))), {
        concurrency: "unbounded"
      })
      yield* untilExited(id)
      assert.strictEqual(yield* log(id), "once\n")
    }))

  test("is watched to its end by every agent that knows of its start, also where none has seen it through", (world) =>
    Effect.gen(function*() {
      const first = yield* ContainerRuntime
      const sandbox = yield* ensured(world)
      const id = yield* first.create(containerSpec(world, sandbox.id, { _tag: "Exits", code: 0 }))
      const another = Effect.map(Layer.build(ProcessRuntime.layer(world.options)), Context.get(ContainerRuntime))
      const ended = ({ events }: ContainerRuntime["Service"]) =>
        events.pipe(
          Stream.filter(({ containerId, kind }) => containerId === id && kind === "exited"),
          Stream.runHead,
          Effect.timeout("20 seconds"),
          Effect.forkChild({ startImmediately: true })
        )
      // Holds the shim between its first step and the command.
      const home = join(folderOf(world, id), "home")
      rmSync(home)
      execFileSync("mkfifo", [home])
      const agents = [first, yield* another]
      for (const agent of agents) {
        const start = yield* Effect.forkChild(agent.start(id), { startImmediately: true })
        yield* until(() => (readIfThere(join(folderOf(world, id), "claim")) ?? "").endsWith("\n"))
        yield* Fiber.interrupt(start)
      }
      const heard = yield* Effect.forEach([...agents, yield* another], ended)
      assert.strictEqual((yield* first.inspect(id)).state, "created")
      writeFileSync(home, "")
      yield* Effect.forEach(heard, Fiber.join)
      assert.strictEqual((yield* first.inspect(id)).exitCode, 0)
    }))

  test("whose folder cannot be read for a while is watched on, and its end is told when it comes", (world) =>
    Effect.gen(function*() {
      const { events } = yield* ContainerRuntime
      const { id } = yield* launch(world, { _tag: "Forever" })
      const { pid } = processOf(world, id)
      const identity = join(folderOf(world, id), "process")
      renameSync(identity, `${identity}.kept`)
      mkdirSync(identity)
      const endsUntil = (last: string) =>
        events.pipe(
          Stream.filter(({ kind }) => kind === "exited"),
          Stream.map(({ containerId }) => containerId),
          Stream.takeUntil((containerId) => containerId === last),
          Stream.runCollect,
          Effect.timeout("20 seconds"),
          Effect.forkChild({ startImmediately: true })
        )
      // It is looked at before the one that was started later.
      const later = `${world.uid}_later_0`
      const meanwhile = yield* endsUntil(later)
      yield* launch(world, { _tag: "Exits", code: 0 }, { container: "later" })
      assert.deepStrictEqual(yield* Fiber.join(meanwhile), [later])
      rmdirSync(identity)
      renameSync(`${identity}.kept`, identity)
      const ends = yield* endsUntil(id)
      process.kill(-pid, "SIGKILL")
      assert.deepStrictEqual(yield* Fiber.join(ends), [id])
    }))

  test("says which setting forbids it", (world) =>
    Effect.gen(function*() {
      const runtime = yield* ContainerRuntime
      const { detail, reason } = yield* reasonAnd(runtime.ensureSandbox(sandboxSpec(world)))
      assert.strictEqual(reason, "Unsupported")
      assert.include(detail, "runtime.process.enabled")
      assert.deepStrictEqual(yield* runtime.containers(), [])
    }), openWorld({ enabled: false }))

  test("says what it cannot give instead of giving something else", (world) =>
    Effect.gen(function*() {
      const runtime = yield* ContainerRuntime
      const sandbox = yield* ensured(world)
      const spec = containerSpec(world, sandbox.id, { _tag: "Forever" })
      assert.strictEqual((yield* reasonAnd(runtime.create({ ...spec, args: ["a\0b"] }))).reason, "Invalid")
      assert.strictEqual(
        (yield* reasonAnd(runtime.ensureSandbox({ ...sandboxSpec(world, 1), sysctls: { "net.core.somaxconn": "1" } })))
          .reason,
        "Unsupported"
      )
      const port = { containerPort: 80, hostPort: 8080, hostIP: "", protocol: "TCP" as const }
      assert.strictEqual(
        (yield* reasonAnd(runtime.ensureSandbox({ ...sandboxSpec(world, 1), ports: [port] }))).reason,
        "Unsupported"
      )
      const missing = yield* reasonAnd(runtime.pull("nginx:1", []))
      assert.strictEqual(missing.reason, "ImageUnavailable")
      assert.include(missing.detail, "runtime.process.images")
    }))

  test("sees what is mounted below a volume, also where it may only read", (world) =>
    Effect.gen(function*() {
      const source = world.directory ?? ""
      const below = join(source, "below")
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          mkdirSync(below)
          execFileSync("mount", ["-t", "tmpfs", "tmpfs", below])
          writeFileSync(join(below, "word"), "seen\n")
        }),
        () => Effect.sync(() => void execFileSync("umount", [below]))
      )
      for (const [attempt, readOnly] of [true, false].entries()) {
        const target = world.mountTarget ?? ""
        const { id } = yield* launch(world, { _tag: "Forever" }, { attempt, mounts: [{ source, target, readOnly }] })
        assert.strictEqual((yield* executed(id, ["cat", `${target}/below/word`])).stdout, "seen\n")
        assert.strictEqual((yield* executed(id, ["touch", `${target}/mine`])).code === 0, !readOnly)
        yield* (yield* ContainerRuntime).stop(id, 0)
      }
    }))

  test("fails to start with the words of mount when a volume is not there", (world) =>
    Effect.gen(function*() {
      const runtime = yield* ContainerRuntime
      const sandbox = yield* ensured(world)
      const id = yield* runtime.create(containerSpec(world, sandbox.id, { _tag: "Forever" }, {
        mounts: [{ source: `${world.directory}/absent`, target: `${world.directory}/target`, readOnly: false }]
      }))
      const { detail, reason } = yield* reasonAnd(runtime.start(id))
      assert.strictEqual(reason, "StartFailed")
      assert.include(detail, "absent")
      assert.notStrictEqual((yield* runtime.inspect(id)).state, "running")
      yield* runtime.remove(id)
    }))
})

describe.skipIf(whyNoImage !== undefined)("a process pod with an image", () => {
  test("finds names as the device does, unless it brings a way of its own", (world) =>
    Effect.gen(function*() {
      const runtime = yield* ContainerRuntime
      const { id } = yield* launch(world, { _tag: "Forever" })
      for (const file of ["/etc/resolv.conf", "/etc/hosts"]) {
        assert.strictEqual((yield* executed(id, ["cat", file])).stdout, readFileSync(file, "utf8"))
        assert.notStrictEqual((yield* executed(id, ["sh", "-c", `echo mine >> ${file}`])).code, 0)
      }
      const { stdout } = yield* executed(id, ["sh", "-c", "grep ' /sys/' /proc/self/mountinfo || echo nothing below"])
      assert.strictEqual(stdout, "nothing below\n")
      yield* runtime.stop(id, 0)
      const source = join(world.directory ?? "", "greeting")
      const other = yield* launch(world, { _tag: "Forever" }, {
        attempt: 1,
        mounts: [{ source, target: "/etc/resolv.conf", readOnly: false }]
      })
      assert.strictEqual((yield* executed(other.id, ["cat", "/etc/resolv.conf"])).stdout, "hello\n")
    }), openWorld({ image: "busybox" }))

  test(
    "may open its streams by name, whoever it runs as",
    opensItsStreams,
    openWorld({ allowRoot: false, image: "busybox" })
  )
})

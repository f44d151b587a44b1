/** Commands, shells and the log of this very machine, as its host pod would reach them. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import * as fs from "node:fs"
import { HostAccess, type HostLogQuery } from "../../../../core/agent/host/HostAccess.ts"
import { makeBusyboxRoot, temporaryFolder, whyNoImage, whyNotRoot } from "../processWorld.ts"
import { access, hostWorld, talk } from "./hostWorld.ts"

if (whyNoImage !== undefined) console.warn(`SKIPPED what is held to a root of its own: ${whyNoImage}`)
const inRoot = whyNoImage === undefined ? it.live : it.live.skip

const io = { stdin: true, stdout: true, stderr: true, tty: false }
const hostWith = (confinement: Parameters<typeof access>[0], logFile?: string) =>
  Effect.provide(Effect.service(HostAccess), access(confinement, logFile))

describe("a command on the host", () => {
  it.live(
    "runs by its arguments alone, with its exit code, its input and an environment of its own",
    () =>
      Effect.gen(function*() {
        const host = yield* hostWith({})
        const run = (command: ReadonlyArray<string>, input?: Uint8Array) =>
          Effect.scoped(Effect.flatMap(host.exec({ command, ...io }), (process) => talk(process, input)))
        const said = yield* run(["printf", "%s|", "$(id)", "; exit 9", ""])
        assert.deepStrictEqual({ ...said, stdout: said.stdout.toString() }, {
          stdout: "$(id)|; exit 9||",
          stderr: "",
          exitCode: 0
        })
        assert.strictEqual((yield* run(["sh", "-c", "exit 41"])).exitCode, 41)
        assert.strictEqual((yield* run(["wc", "-c"], new Uint8Array(300_000))).stdout.toString().trim(), "300000")
        const names = (yield* run(["env"])).stdout.toString().trim().split("\n").map((line) => line.split("=")[0])
        assert.deepStrictEqual(names.toSorted(), ["HOME", "PATH"])
        const none = yield* Effect.flip(run(["/no/such/program"]))
        assert.match(none.message, /no\/such\/program/)
      }).pipe(Effect.scoped),
    30_000
  )

  inRoot(
    "is held to the root, group and user that the owner gave, with no other group left",
    () =>
      Effect.gen(function*() {
        const { host, rootfs } = yield* hostWorld({ uid: 4242, gid: 4343 })
        yield* Effect.promise(() => makeBusyboxRoot(rootfs))
        const said = yield* Effect.scoped(
          Effect.flatMap(
            host.exec({ command: ["sh", "-c", "pwd; ls /; busybox id"], ...io }),
            (process) => talk(process)
          )
        )
        assert.strictEqual(said.stderr, "")
        assert.strictEqual(said.stdout.toString(), "/\nbin\ndev\netc\nproc\nsys\ntmp\nuid=4242 gid=4343\n")
      }).pipe(Effect.scoped),
    30_000
  )

  inRoot(
    "is its user's group alone where only the user is given, and root of another group where only that is",
    () =>
      Effect.gen(function*() {
        for (
          const [confinement, who] of [[{ uid: 4242 }, "4242 4242 4242"], [{ gid: 4343 }, "0 4343 4343"]] as const
        ) {
          const host = yield* hostWith(confinement)
          const said = yield* Effect.scoped(
            Effect.flatMap(
              host.exec({ command: ["sh", "-c", "echo $(id -u) $(id -g) $(id -G)"], ...io }),
              (process) => talk(process)
            )
          )
          assert.strictEqual(said.stdout.toString(), `${who}\n`)
        }
      }).pipe(Effect.scoped),
    30_000
  )

  it.live("has a terminal where one is asked for", () =>
    Effect.gen(function*() {
      const host = yield* hostWith({})
      const said = yield* Effect.scoped(
        Effect.flatMap(
          host.exec({ command: ["sh", "-c", "test -t 0 && test -t 1 && echo $TERM; exit 3"], ...io, tty: true }),
          (process) => talk(process)
        )
      )
      assert.deepStrictEqual([said.stdout.toString().trim(), said.exitCode], ["xterm", 3])
    }).pipe(Effect.scoped), 30_000)
})

describe("a shell on the host", () => {
  inRoot("is the login shell of its user, or the plain one where the user has none", () =>
    Effect.gen(function*() {
      const shells = [["/bin/ash", "/bin/ash"], ["/usr/sbin/nologin", "/bin/sh"], ["", "/bin/sh"]] as const
      for (const [shell, taken] of shells) {
        const { rootfs } = yield* hostWorld()
        yield* Effect.promise(() => makeBusyboxRoot(rootfs))
        fs.writeFileSync(
          `${rootfs}/etc/passwd`,
          `root:x:0:0::/root:/bin/false\nedge:x:4242:4242::/home/edge:${shell}\n`
        )
        fs.writeFileSync(`${rootfs}/etc/profile`, "greeting=welcome\n")
        const host = yield* hostWith({ rootfs, uid: 4242 })
        const said = yield* Effect.scoped(
          Effect.flatMap(
            host.shell(io),
            (process) => talk(process, Buffer.from("echo $greeting $HOME $0\nexit 5\n"))
          )
        )
        assert.deepStrictEqual([said.stdout.toString(), said.exitCode], [`welcome /home/edge ${taken}\n`, 5])
      }
    }).pipe(Effect.scoped), 30_000)
})

describe("the agent's log", () => {
  const line = (second: number, words: string) =>
    `{"time":"2026-11-21T10:00:${second}.500Z","level":"info","msg":"${words}"}\n`
  const written = (from: number, to: number) =>
    Array.from({ length: to - from }, (_, at) => line(from + at, `line ${from + at}`)).join("")

  const world = Effect.gen(function*() {
    const folder = yield* temporaryFolder
    const path = `${folder}/arhat.log`
    fs.writeFileSync(path, written(10, 20))
    const host = yield* hostWith({}, path)
    const read = (query: Partial<HostLogQuery>) =>
      Stream.runCollect(Stream.unwrap(host.logs({ follow: false, previous: false, ...query }))).pipe(
        Effect.map((chunks) => Buffer.concat(chunks.map(({ bytes }) => bytes)).toString())
      )
    return { host, path, read }
  })

  it.live("is read whole, from its end, since a time, with the time of each line", () =>
    Effect.gen(function*() {
      const { host, path, read } = yield* world
      assert.strictEqual(yield* read({}), written(10, 20))
      assert.strictEqual(yield* read({ tail: 3 }), written(17, 20))
      assert.strictEqual(yield* read({ tail: 0 }), "")
      assert.strictEqual(yield* read({ tail: 1000 }), written(10, 20))
      assert.strictEqual(yield* read({ since: Date.parse("2026-11-21T10:00:18.000Z") }), written(18, 20))
      const [first] = yield* Stream.runCollect(Stream.unwrap(host.logs({ follow: false, previous: false, tail: 1 })))
      assert.strictEqual(first?.time, "2026-11-21T10:00:19.500000000Z")
      fs.appendFileSync(path, "  no time of its own\nunfinished")
      assert.strictEqual(yield* read({ tail: 2 }), "  no time of its own\nunfinished")
      assert.strictEqual(
        yield* read({ since: Date.parse("2026-11-21T10:00:19.000Z") }),
        `${written(19, 20)}  no time of its own\nunfinished`
      )
      fs.writeFileSync(path, `${"x".repeat(200_000)}\n${"y".repeat(100_000)}\n`)
      assert.strictEqual(yield* read({ tail: 1 }), `${"y".repeat(100_000)}\n`)
    }).pipe(Effect.scoped), 30_000)

  it.live("has a previous one after a rotation, and says so where it has none", () =>
    Effect.gen(function*() {
      const { path, read } = yield* world
      const none = yield* Effect.flip(read({ previous: true }))
      assert.strictEqual(none.message, "the agent's log has not been rotated yet")
      fs.renameSync(path, `${path}.old`)
      const missing = yield* Effect.flip(read({}))
      assert.match(missing.message, /the agent has no log at .*arhat.log yet/)
      fs.writeFileSync(path, written(20, 22))
      assert.strictEqual(yield* read({ previous: true }), written(10, 20))
      assert.strictEqual(yield* read({}), written(20, 22))
      const nowhere = yield* hostWith({})
      const error = yield* Effect.flip(Effect.scoped(nowhere.logs({ follow: false, previous: false })))
      assert.match(error.message, /arhat\.log\[\]/)
    }).pipe(Effect.scoped), 30_000)

  it.live("is followed from one file into the next, and loses nothing between", () =>
    Effect.gen(function*() {
      const { host, path } = yield* world
      const expected = written(18, 60)
      let seen = ""
      const following = yield* Stream.unwrap(host.logs({ follow: true, previous: false, tail: 2 })).pipe(
        Stream.tap(({ bytes }) =>
          Effect.sync(() => {
            seen += Buffer.from(bytes).toString()
          })
        ),
        Stream.takeUntil(() => seen.length >= expected.length),
        Stream.runDrain,
        Effect.timeout("20 seconds"),
        Effect.forkScoped
      )
      const until = Effect.fnUntraced(function*(words: string) {
        while (!seen.includes(words)) yield* Effect.sleep("50 millis")
      })
      yield* until("line 19")
      for (let at = 20; at < 60; at++) {
        fs.appendFileSync(path, written(at, at + 1))
        if (at % 15 === 0) {
          // A file that came and went before anybody looked is nobody's to show.
          yield* until(`line ${at}"`)
          fs.renameSync(path, `${path}.old`)
        }
      }
      yield* Fiber.join(following)
      assert.strictEqual(seen, expected)
    }).pipe(Effect.scoped), 30_000)
})

if (whyNotRoot === undefined) console.warn("SKIPPED the refusal by an agent that is not root: this is root")
describe("what nobody but root can hold anything to", () => {
  it.live.skipIf(whyNotRoot === undefined)("is refused by an agent that is not root", () =>
    Effect.gen(function*() {
      const host = yield* hostWith({ uid: 0 })
      const refused = yield* Effect.flip(Effect.scoped(host.exec({ command: ["id"], ...io })))
      assert.match(refused.message, /arhat does not run as root/)
    }))
})

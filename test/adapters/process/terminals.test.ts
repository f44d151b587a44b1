import { assert, describe, it } from "@effect/vitest"
import { Effect, Schedule, Stream } from "effect"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { layer } from "../../../adapters/process/terminals.ts"
import { isExecutable } from "../../../adapters/process/tools.ts"
import { Terminals } from "../../../core/pod/Terminals.ts"
import { textOf } from "../../contracts/runtimeWorld.ts"
import { terminalsContract } from "../../contracts/terminals.ts"

const whyNot = ["/usr/bin/script", "/usr/bin/stty"].every(isExecutable) ? undefined : "there is no script and stty here"
if (whyNot !== undefined) console.warn(`skipped: terminals of this machine, because ${whyNot}`)

const environment = { PATH: "/usr/bin:/bin", TERM: "xterm" }

describe.skipIf(whyNot !== undefined)("on this machine", () => {
  terminalsContract("script", {
    layer,
    argv: (command) => {
      switch (command._tag) {
        case "Says":
          return ["sh", "-c", "c=$1; shift; printf '%s\\n' \"$@\"; exit $c", "sh", `${command.code}`, ...command.texts]
        case "Hears":
          return ["sh", "-c", "while read -r line; do echo heard $line; done; echo over"]
        case "TellsSize":
          return [
            "sh",
            "-c",
            "say() { set -- $(stty size); echo $2x$1; }; trap say WINCH; say; while :; do sleep 0.05; done"
          ]
        case "Forever":
          return ["sleep", "100000"]
      }
    }
  })

  const run = (...argv: ReadonlyArray<string>) =>
    Effect.flatMap(Terminals, (terminals) => terminals.run({ argv, environment }))
  const gone = (pids: ReadonlyArray<number>) =>
    Effect.suspend(() => pids.some((pid) => existsSync(`/proc/${pid}`)) ? Effect.fail("alive") : Effect.void).pipe(
      Effect.retry(Schedule.spaced("20 millis")),
      Effect.timeout("10 seconds")
    )

  it.live("a command knows no more than it is told, and has a terminal that is its own", () =>
    Effect.gen(function*() {
      const streams = yield* run(
        "sh",
        "-c",
        "env | sort; tty; ps -o tpgid=,sid= -p $$ | grep -qw $$ && echo leads; ls /proc/$$/fd | tr '\\n' ' '"
      )
      const lines = textOf(yield* Stream.runCollect(streams.output)).split("\r\n")
      assert.deepStrictEqual(lines.filter((line) => !line.startsWith("PWD=")).slice(0, 2), [
        "PATH=/usr/bin:/bin",
        "TERM=xterm"
      ])
      assert.isTrue(lines.some((line) => /^\/dev\/pts\/[0-9]+$/.test(line)), lines.join("\n"))
      assert.include(lines, "leads")
      // Nothing of the way it was made stays open: the three of the terminal, and perhaps what this test was started with.
      const inherited = readdirSync("/proc/self/fd").filter((fd) => Number(fd) > 200)
      const own = lines.at(-1)?.trim().split(" ").filter((fd) => Number(fd) < 200 && !inherited.includes(fd))
      assert.deepStrictEqual(own?.filter((fd) => fd !== "10"), ["0", "1", "2"])
    }).pipe(Effect.scoped, Effect.provide(layer)))

  it.live(
    "a hung up session leaves nothing behind, not even what ignores the signal or runs in the background",
    () =>
      Effect.gen(function*() {
        const pids = yield* Effect.scoped(Effect.gen(function*() {
          const streams = yield* run(
            "bash",
            "-ic",
            "set -m; trap '' HUP; (trap '' HUP; sleep 1000) & nohup sleep 1001 >/dev/null 2>&1 & echo pids $$ $(jobs -p); wait"
          )
          const text = yield* streams.output.pipe(
            Stream.scan(() => "", (before, piece) => before + textOf([piece])),
            Stream.filter((text) => /pids [0-9 ]+\r\n/.test(text)),
            Stream.runHead
          )
          assert.strictEqual(text._tag, "Some")
          return /pids ([0-9 ]+)\r\n/.exec(text._tag === "Some" ? text.value : "")![1]!.split(" ").map(Number)
        }))
        assert.lengthOf(pids, 3)
        yield* gone(pids)
      }).pipe(Effect.provide(layer)),
    30_000
  )

  it.live("a command killed by a signal ends with 128 and its number", () =>
    Effect.gen(function*() {
      for (const [name, code] of [["TERM", 143], ["KILL", 137]] as const) {
        const streams = yield* run("sh", "-c", `kill -${name} $$`)
        yield* Stream.runDrain(streams.output)
        assert.strictEqual(yield* streams.exitCode, code)
      }
      const streams = yield* run("there-is-no-such-command")
      assert.match(textOf(yield* Stream.runCollect(streams.output)), /there-is-no-such-command/)
      assert.strictEqual(yield* streams.exitCode, 127)
    }).pipe(Effect.scoped, Effect.provide(layer)))

  it.live("what is left of an ordinary end goes with it, and does not hold up the end", () =>
    Effect.gen(function*() {
      const pid = yield* Effect.scoped(Effect.gen(function*() {
        const streams = yield* run("sh", "-c", "trap '' HUP; sleep 1002 & echo pid $!; exit 4")
        const text = textOf(yield* Effect.timeout(Stream.runCollect(streams.output), "10 seconds"))
        assert.strictEqual(yield* streams.exitCode, 4)
        return Number(/pid ([0-9]+)/.exec(text)?.[1])
      }))
      yield* gone([pid])
    }).pipe(Effect.provide(layer)))

  it.live("a large paste to a command that answers more than it gets does not get stuck", () =>
    Effect.gen(function*() {
      const streams = yield* run("sh", "-c", "stty raw -echo; echo READY; head -c 200000 | sed 's/z/zzzz/g'")
      let sent = false
      const text = yield* streams.output.pipe(
        Stream.mapEffect(Effect.fnUntraced(function*(piece) {
          if (!sent) {
            sent = true
            yield* Effect.forkScoped(streams.stdin(Buffer.from("z".repeat(200_000))))
          }
          return piece
        })),
        Stream.runCollect,
        Effect.map(textOf),
        Effect.timeout("20 seconds")
      )
      assert.strictEqual(text.replace(/^READY\r?\n/, "").length, 800_000)
    }).pipe(Effect.scoped, Effect.provide(layer)), 30_000)

  it.live("the terminal belongs to who sits at it", () =>
    Effect.gen(function*() {
      if (process.getuid?.() !== 0) return console.warn("skipped: the owner of a terminal, because it needs root")
      const { run } = yield* Terminals
      const streams = yield* run({ argv: ["sh", "-c", "stat -c %u $(tty)"], environment, owner: 12_345 })
      assert.strictEqual(textOf(yield* Stream.runCollect(streams.output)), "12345\r\n")
    }).pipe(Effect.scoped, Effect.provide(layer)))

  it.live("no terminal and no script is left behind", () =>
    Effect.gen(function*() {
      const mine = () =>
        readdirSync("/proc").filter((pid) => /^[0-9]+$/.test(pid)).filter((pid) => {
          try {
            const stat = readFileSync(`/proc/${pid}/stat`, "utf8")
            return stat.includes("(script)") && stat.split(") ")[1]?.split(" ")[1] === `${process.pid}`
          } catch {
            return false
          }
        })
      yield* Effect.scoped(run("sleep", "1003"))
      yield* Effect.suspend(() => mine().length === 0 ? Effect.void : Effect.fail(mine().join())).pipe(
        Effect.retry(Schedule.spaced("20 millis")),
        Effect.timeout("10 seconds")
      )
    }).pipe(Effect.provide(layer)))
})

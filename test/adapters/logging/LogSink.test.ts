import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  statSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import * as LogSink from "../../../adapters/logging/LogSink.ts"

const inFolder = <E>(body: (file: string) => Effect.Effect<void, E>) =>
  Effect.acquireUseRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "aranya-log-"))),
    (folder) => body(join(folder, "log")),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
  )

const logging = (file: string) =>
  Effect.provide(LogSink.layer([{ level: "info", format: "json", file }]), { local: true })

const MIB = "x".repeat(1024 * 1024)

const log11MiB = Effect.forEach(Array.from({ length: 11 }), () => Effect.logInfo(MIB), { discard: true })

describe("a log file", () => {
  it.live("is rotated once it is large", () =>
    inFolder((file) =>
      Effect.gen(function*() {
        yield* log11MiB
        yield* Effect.logInfo("afterwards")
        assert.include(readFileSync(file, "utf8"), "afterwards")
        assert.isBelow(statSync(file).size, 3 * 1024 * 1024)
        assert.isAbove(statSync(`${file}.old`).size, 9 * 1024 * 1024)
      }).pipe(logging(file))
    ))

  it.live("that cannot be rotated goes on, and leaves the files of others alone", () =>
    inFolder((file) =>
      Effect.gen(function*() {
        mkdirSync(`${file}.old`)
        yield* log11MiB
        const strangers = Array.from({ length: 10 }, () => openSync("/dev/null", "r"))
        yield* Effect.logInfo("afterwards")
        yield* Effect.logInfo(MIB)
        for (const fd of strangers) {
          fstatSync(fd)
          closeSync(fd)
        }
        assert.include(readFileSync(file, "utf8"), "afterwards")
        assert.isBelow(statSync(file).size, 4 * 1024 * 1024)
      }).pipe(logging(file))
    ))

  it.live("that is gone when it is to be rotated is begun anew", () =>
    inFolder((file) =>
      Effect.gen(function*() {
        yield* Effect.logInfo("before")
        rmSync(file)
        yield* log11MiB
        yield* Effect.logInfo("afterwards")
        assert.include(readFileSync(file, "utf8"), "afterwards")
        assert.isFalse(existsSync(`${file}.old`))
      }).pipe(logging(file))
    ))

  it.live("that cannot be opened is the owner's to mend", () =>
    inFolder((file) =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(Effect.void.pipe(logging(`${file}/in-no-folder`)))
        assert.strictEqual(error._tag, "LogFileError")
        assert.match(error.message, /^the log file cannot be opened: ENOENT: .*in-no-folder/u)
      })
    ))
})

const talkative = fileURLToPath(new URL("talkative.ts", import.meta.url))

/** More than a pipe takes. */
const mostLines = 3000

/** What lies in a pipe, up to its end or as far as it is written yet. */
const drain = (fd: number) => {
  const parts: Array<Buffer> = []
  try {
    for (;;) {
      const part = Buffer.alloc(65_536)
      const length = readSync(fd, part)
      if (length === 0) break
      parts.push(part.subarray(0, length))
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error
  }
  return Buffer.concat(parts).toString()
}

describe("a log that is read late", () => {
  it.live("holds nobody up, has no torn lines, and tells how many are missing", () =>
    inFolder((file) =>
      Effect.gen(function*() {
        execFileSync("mkfifo", [file])
        const reader = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK)
        const writer = openSync(file, constants.O_WRONLY)
        const child = yield* Effect.acquireRelease(
          Effect.sync(() =>
            spawn(process.execPath, [talkative, String(mostLines)], { stdio: ["pipe", "pipe", writer] })
          ),
          (started) => Effect.sync(() => void started.kill("SIGKILL"))
        )
        closeSync(writer)
        let said = ""
        yield* Effect.promise(async () => {
          for await (const part of child.stdout!.setEncoding("utf8")) {
            said += part
            if (said.endsWith("has said it all\n")) break
          }
        })
        assert.strictEqual(said, "waits for its reader\nhas said it all\n")
        const before = drain(reader)
        yield* Effect.promise(() => {
          child.stdin!.end("\n")
          return once(child, "exit")
        })
        const lines = (before + drain(reader)).trimEnd().split("\n").map((line) => JSON.parse(line))
        closeSync(reader)
        assert.isBelow(lines.length, mostLines)
        assert.isTrue(lines.slice(0, -1).every(({ msg }, index) => msg.startsWith(`${index} `)), "in order")
        const { level, lostLines, msg } = lines.at(-1)
        assert.deepStrictEqual({ level, msg }, { level: "info", msg: "afterwards" })
        assert.strictEqual(lines.length + lostLines, mostLines + 1)
      }).pipe(Effect.scoped)
    ))
})

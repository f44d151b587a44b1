import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import {
  closeSync,
  existsSync,
  fstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
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

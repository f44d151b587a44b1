/** A program that logs more than anybody reads: says on stdout when it has, and goes on once it hears something. */
import { Effect } from "effect"
import { readFileSync, readSync, writeSync } from "node:fs"
import * as LogSink from "../../../adapters/logging/LogSink.ts"

const nonBlocking = 0o4000

const flags = () =>
  Number.parseInt(/^flags:\s*(\d+)$/mu.exec(readFileSync("/proc/self/fdinfo/2", "utf8"))?.[1] ?? "", 8)

await Effect.runPromise(
  Effect.gen(function*() {
    writeSync(1, (flags() & nonBlocking) === 0 ? "waits for its reader\n" : "does not wait for its reader\n")
    // As node itself does, at the end of the first socket.
    void process.stderr
    for (let line = 0; line < Number(process.argv[2]); line++) yield* Effect.logInfo(`${line} ${"x".repeat(1000)}`)
    writeSync(1, "has said it all\n")
    readSync(0, Buffer.alloc(1))
    yield* Effect.logInfo("afterwards")
  }).pipe(Effect.provide(LogSink.layer([{ level: "info", format: "auto", file: "stderr" }])))
)

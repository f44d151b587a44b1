/** A host that says what it was asked for, with two lines in its log and processes that end at once. */
import { Effect, Stream } from "effect"
import type { HostAbilities, HostAccess } from "../../core/agent/host/HostAccess.ts"
import type { Duplex, LogChunk, ProcessStreams } from "../../core/pod/ContainerRuntime.ts"

const ended: ProcessStreams = {
  stdin: () => Effect.void,
  endStdin: Effect.void,
  resize: () => Effect.void,
  output: Stream.empty,
  exitCode: Effect.succeed(0)
}

const silent: Duplex = { write: () => Effect.void, end: Effect.void, read: Stream.empty }

const line = (second: number, text: string): LogChunk => ({
  stream: "stdout",
  time: `2026-11-21T10:00:0${second}.000000000Z`,
  bytes: new TextEncoder().encode(`${text}\n`)
})

export const fakeHostAccess = (abilities: HostAbilities) => {
  const diary: Array<string> = []
  const note = <A>(words: string, answer: A) =>
    Effect.sync(() => {
      diary.push(words)
      return answer
    })
  const access: HostAccess = {
    abilities,
    logs: (query) => note(`logs ${JSON.stringify(query)}`, Stream.make(line(0, "one"), line(1, "two"))),
    exec: ({ command }) => note(`exec ${command.join(" ")}`, ended),
    shell: () => note("shell", ended),
    copy: (command) => note(`copy ${JSON.stringify(command)}`, ended),
    logFile: (path) =>
      note(`log file ${path}`, {
        directory: path === "",
        bytes: Stream.succeed(new TextEncoder().encode(path === "" ? "pods/\0syslog\0" : "booted\n"))
      }),
    dial: (port) => note(`dial ${port}`, silent)
  }
  return { access, diary }
}

/** Where a program's log goes: several sinks, each with its own level and format; files are bounded and rotated. */
import { Cause, Effect, Layer, Logger, LogLevel, References, Schema } from "effect"
import { closeSync, existsSync, fstatSync, ftruncateSync, openSync, renameSync, writeSync } from "node:fs"
import { isatty } from "node:tty"

export const LogSink = Schema.Struct({
  level: Schema.Literals(["debug", "info", "warn", "error", "silent"]).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed("info" as const))
  ),
  /** `auto` is pretty on a terminal and JSON anywhere else. */
  format: Schema.Literals(["auto", "pretty", "json", "console"]).check(
    Schema.makeFilter((format) => format !== "console" || "console is called pretty now: write pretty, or auto")
  ).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed("auto" as const))
  ),
  /** `stderr`, `stdout` or a path. */
  file: Schema.String.pipe(Schema.withDecodingDefaultKey(Effect.succeed("stderr")))
})
export type LogSink = typeof LogSink.Type

export class LogFileError extends Schema.TaggedError<LogFileError>()("LogFileError", { detail: Schema.String }) {
  override get message() {
    return `the log file cannot be opened: ${this.detail}`
  }
}

const levels: Readonly<Record<LogSink["level"], LogLevel.LogLevel>> = {
  debug: "Debug",
  info: "Info",
  warn: "Warn",
  error: "Error",
  silent: "None"
}

/** A log file that grows beyond this is renamed to `<file>.old`, and one such is kept. */
const rotateBytes = 10 * 1024 * 1024

/** Log lines are small and a log that lags behind a crash is worth little: writes are synchronous. */
class Sink {
  readonly #path: string | undefined
  #fd: number
  #size = 0
  /** What was not taken yet of a line that was begun. */
  #rest = Buffer.alloc(0)
  /** Lines that were not taken at all since the last one that was. */
  #lost = 0

  constructor(file: string) {
    this.#path = file === "stderr" || file === "stdout" ? undefined : file
    this.#fd = file === "stderr" ? 2 : file === "stdout" ? 1 : openSync(file, "a", 0o640)
    if (this.#path !== undefined) this.#size = fstatSync(this.#fd).size
  }

  /** A stream of node's, which would say the same, makes the descriptor one that does not wait for its reader. */
  get isTerminal() {
    return this.#path === undefined && isatty(this.#fd)
  }

  /** The line is made when it can be written, and told then how many before it could not. */
  write(line: (lost: number) => string) {
    this.#lost += 1
    try {
      this.#flush()
      const bytes = Buffer.from(`${line(this.#lost - 1)}\n`)
      if (this.#path !== undefined && this.#size + bytes.length > rotateBytes) {
        // Before the attempt: one that fails is not repeated with every line.
        this.#size = 0
        this.#rotate(this.#path)
      }
      this.#rest = bytes
      this.#lost = 0
      this.#flush()
    } catch {
      // A full disk, a closed pipe or a slow reader must not hold the program up, nor take it with it: the next line that is taken tells.
    }
  }

  #flush() {
    while (this.#rest.length > 0) {
      const written = writeSync(this.#fd, this.#rest)
      this.#size += written
      this.#rest = this.#rest.subarray(written)
    }
  }

  /** The old file is closed last: until then it takes what there is to say, and its number belongs to nobody else. */
  #rotate(path: string) {
    try {
      // Gone where it was renamed before and no new one could be opened.
      if (existsSync(path)) renameSync(path, `${path}.old`)
    } catch {
      // A log that begins anew is better than a full disk.
      return ftruncateSync(this.#fd)
    }
    const old = this.#fd
    try {
      this.#fd = openSync(path, "a", 0o640)
    } catch {
      // The old one goes on, until there is a file to be had again.
      return
    }
    closeSync(old)
  }

  close() {
    try {
      this.#flush()
    } catch {
      // Its reader has had all the time there was.
    }
    if (this.#path !== undefined) closeSync(this.#fd)
  }
}

const colours: Readonly<Record<string, string>> = {
  Debug: "\x1b[2m",
  Info: "\x1b[32m",
  Warn: "\x1b[33m",
  Error: "\x1b[31m",
  Fatal: "\x1b[31m"
}

const text = (message: unknown): string =>
  Array.isArray(message) ? message.map(text).join(" ") : typeof message === "string" ? message : JSON.stringify(message)

const annotationsOf = ({ fiber }: Logger.Options<unknown>, lost: number) => ({
  ...fiber.getRef(References.CurrentLogAnnotations),
  ...(lost === 0 ? {} : { lostLines: lost })
})

const prettyLine = (options: Logger.Options<unknown>, lost: number) => {
  const { cause, date, logLevel, message } = options
  const annotations = Object.entries(annotationsOf(options, lost))
    .map(([key, value]) => ` \x1b[2m${key}=\x1b[0m${text(value)}`).join("")
  const trouble = cause.reasons.length === 0 ? "" : `\n${Cause.pretty(cause)}`
  return `\x1b[2m${date.toISOString().slice(11, 23)}\x1b[0m ${colours[logLevel] ?? ""}${
    logLevel.toUpperCase().padEnd(5)
  }\x1b[0m ${text(message)}${annotations}${trouble}`
}

const jsonLine = (options: Logger.Options<unknown>, lost: number) => {
  const { cause, date, logLevel, message } = options
  return JSON.stringify({
    time: date.toISOString(),
    level: logLevel.toLowerCase(),
    msg: text(message),
    ...annotationsOf(options, lost),
    ...(cause.reasons.length === 0 ? {} : { cause: Cause.pretty(cause) })
  })
}

/** Replaces Effect's own logger by these sinks. Fails where a file cannot be opened. */
export const layer = (sinks: ReadonlyArray<LogSink>) => {
  const lowest = sinks.reduce<LogLevel.LogLevel>(
    (least, sink) => LogLevel.isGreaterThan(least, levels[sink.level]) ? levels[sink.level] : least,
    "None"
  )
  return Layer.mergeAll(
    Logger.layer(sinks.map((sink) =>
      Effect.acquireRelease(
        Effect.try({
          try: () => new Sink(sink.file),
          catch: (cause) => new LogFileError({ detail: cause instanceof Error ? cause.message : String(cause) })
        }),
        (opened) => Effect.sync(() => opened.close())
      ).pipe(Effect.map((opened) => {
        const pretty = sink.format === "pretty" || (sink.format === "auto" && opened.isTerminal)
        const lineOf = pretty ? prettyLine : jsonLine
        return Logger.make<unknown, void>((options) => {
          if (!LogLevel.isGreaterThanOrEqualTo(options.logLevel, levels[sink.level])) return
          opened.write((lost) => lineOf(options, lost))
        })
      }))
    )),
    Layer.succeed(References.MinimumLogLevel, lowest)
  )
}

/**
 * The program behind `kubectl cp` to and from the host, and behind its log files: arhat runs itself with this in a process of its own, which is held to the
 * owner's root, group and user and can neither hold the agent up nor grow it.
 */
import { Effect, Schema, Stream } from "effect"
import { Tar } from "effect/encoding"
import * as fs from "node:fs"
import type { CopyCommand } from "../../../core/agent/host/copyCommand.ts"
import type { Confinement } from "./confinement.ts"
import { logFile, LogMissing, missingCode } from "./logFiles.ts"
import { entriesOf } from "./pack.ts"
import { unpackEntry } from "./unpack.ts"
import { attempt, codeOf, CopyFailed, CopyRefused, openRoot, walk, wordsOf } from "./walk.ts"

/** What lies at a path below a folder of logs. */
export interface ShowLogs {
  readonly _tag: "ShowLogs"
  readonly folder: string
  readonly path: string
}

export interface CopyRequest {
  readonly confinement: Confinement
  readonly command: CopyCommand | ShowLogs
}

const Request = Schema.fromJsonString(Schema.Struct({
  confinement: Schema.Struct({
    rootfs: Schema.optionalKey(Schema.String),
    uid: Schema.optionalKey(Schema.Number),
    gid: Schema.optionalKey(Schema.Number)
  }),
  command: Schema.Union([
    Schema.TaggedStruct("IsDirectory", { path: Schema.String }),
    Schema.TaggedStruct("Create", { path: Schema.String, skip: Schema.Number }),
    Schema.TaggedStruct("Extract", { directory: Schema.String, preserve: Schema.Boolean }),
    Schema.TaggedStruct("ShowLogs", { folder: Schema.String, path: Schema.String })
  ])
}))

/** Errors, as of any tar. */
const failedCode = 2

const say = (sentence: string) => fs.writeSync(2, `tar: ${sentence}\n`)

const failed = (cause: unknown) => new CopyFailed({ detail: wordsOf(cause) })

/** The root is opened first: who has become somebody else may not find the way to it. */
const confine = ({ gid, rootfs = "/", uid }: Confinement): number => {
  const root = openRoot(rootfs)
  const group = gid ?? uid
  if (group !== undefined) {
    process.setgroups?.([])
    process.setgid?.(group)
  }
  if (uid !== undefined) process.setuid?.(uid)
  if ((uid !== undefined && process.getuid?.() !== uid) || (group !== undefined && process.getgid?.() !== group)) {
    throw new CopyRefused({ detail: "the user and group of arhat.host cannot be taken on" })
  }
  return root
}

const isDirectory = (root: number, path: string): boolean => {
  try {
    fs.closeSync(walk(root, path, { links: true, last: false }).directory)
    return true
  } catch (cause) {
    if (!(cause instanceof CopyRefused) && !["ENOENT", "ENOTDIR", "EACCES"].includes(codeOf(cause))) throw cause
    return false
  }
}

/** Waits for each piece to be taken: what nobody reads is not read from the disk either. */
const toOutput = (bytes: Uint8Array) =>
  Effect.callback<void, CopyFailed>((resume) => {
    process.stdout.write(bytes, (error) =>
      resume(error === null || error === undefined ? Effect.void : Effect.fail(failed(error))))
  })

const create = Effect.fnUntraced(function*(root: number, path: string, skip: number) {
  let complaints = 0
  let skipped = 0
  const entries = entriesOf(root, path, (sentence) => {
    complaints += 1
    say(sentence)
  })
  const one = attempt(() => entries.next())
  // One at a time: a file is open only while its bytes are on their way.
  yield* Stream.fromEffectRepeat(one).pipe(
    Stream.takeWhile(({ done }) => done !== true),
    Stream.map(({ value }) => value as Tar.Entry),
    Stream.rechunk(1),
    Stream.pipeThroughChannel(Tar.encode()),
    Stream.runForEach((bytes) => {
      const left = bytes.subarray(Math.min(bytes.length, skip - skipped))
      skipped += bytes.length - left.length
      return left.length === 0 ? Effect.void : toOutput(left)
    })
  )
  return complaints === 0 ? 0 : failedCode
})

const showLogs = (root: number, { folder, path }: ShowLogs) => {
  const pieces = logFile(root, folder, path)
  return Effect.gen(function*() {
    for (
      let next = yield* attempt(() => pieces.next());
      next.done !== true;
      next = yield* attempt(() => pieces.next())
    ) {
      yield* toOutput(next.value)
    }
    return 0
  }).pipe(
    // No tar has to do with it, and nobody reads the words but who asked.
    Effect.catch((problem) =>
      Effect.sync(() => {
        fs.writeSync(2, wordsOf(problem))
        return problem instanceof LogMissing ? missingCode : failedCode
      })
    )
  )
}

const input = Stream.fromAsyncIterable(
  process.stdin as AsyncIterable<Uint8Array>,
  failed
)

const extract = Effect.fnUntraced(function*(root: number, path: string, preserve: boolean) {
  const directory = yield* attempt(() => walk(root, path, { links: true, last: false }).directory, `${path}: `)
  let complaints = 0
  yield* input.pipe(
    Stream.pipeThroughChannel(Tar.decode()),
    Stream.runForEach((entry) =>
      unpackEntry(directory, entry, preserve).pipe(
        Effect.catchIf(
          // The next entry may fare better, unless this one shows what the archive is for, or the archive itself is broken.
          (problem) => !(problem instanceof CopyRefused) && !Tar.isTarError(problem),
          (problem) =>
            Effect.sync(() => {
              complaints += 1
              say(`${entry.header.path}: ${wordsOf(problem)}`)
            })
        )
      )
    )
  )
  return complaints === 0 ? 0 : failedCode
})

const run = Effect.fnUntraced(function*(text: string) {
  const { command, confinement } = yield* Schema.decodeUnknownEffect(Request)(text)
  const root = yield* attempt(() => confine(confinement), "arhat.host: ")
  switch (command._tag) {
    case "IsDirectory":
      return isDirectory(root, command.path) ? 0 : 1
    case "Create":
      return yield* create(root, command.path, command.skip)
    case "Extract":
      return yield* extract(root, command.directory, command.preserve)
    case "ShowLogs":
      return yield* showLogs(root, command)
  }
})

/** Ends this process with the exit code of what was asked for. */
export const runCopyFiles = (text: string): Promise<void> =>
  Effect.runPromise(
    run(text).pipe(
      Effect.catchDefect((defect) => Effect.fail(failed(defect))),
      Effect.catch((problem) =>
        Effect.sync(() => {
          say(wordsOf(problem))
          return failedCode
        })
      )
    )
  ).then((code) => {
    process.exit(code)
  })

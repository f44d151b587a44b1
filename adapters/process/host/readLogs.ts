/** Asks a process of its own, held to the owner's root, group and user, for what lies below the folder of logs. */
import { Effect, Pull, type Scope, Stream } from "effect"
import type { HostFailure, LogFile } from "../../../core/agent/host/HostAccess.ts"
import type { ProcessStreams } from "../../../core/pod/ContainerRuntime.ts"
import { PodStreamError } from "../../../core/pod/PodRuntime.ts"
import { foundDirectory, missingCode } from "./logFiles.ts"

/** Processes that read at a time: each of them weighs as much as a small program of node. */
export const mostReaders = 4

/** What a process may say about why it failed. */
const mostWords = 4096

/** How long the process may take to find what was asked for. */
const patience = "30 seconds"

export const makePlaces = () => {
  let taken = 0
  /** Held for as long as the scope. */
  return Effect.acquireRelease(
    Effect.suspend(() => {
      if (taken >= mostReaders) {
        return Effect.fail(
          new PodStreamError({
            reason: "NotReady",
            detail: `${mostReaders} log files of this device are being read already: ask again when one has been`
          })
        )
      }
      taken++
      return Effect.void
    }),
    () => Effect.sync(() => void taken--)
  )
}

/** The process says first what it has found, in one byte; why it found nothing it says on its error output, and by its exit code. */
export const readLogs = Effect.fnUntraced(function*(
  { exitCode, output }: ProcessStreams
): Effect.fn.Return<LogFile, HostFailure, Scope.Scope> {
  const decoder = new TextDecoder()
  let complaint = ""
  const ended = Effect.flatMap(exitCode, (code) => {
    if (code === 0) return Effect.void
    const detail = complaint.trim()
    return Effect.fail(
      new PodStreamError({
        reason: code === missingCode ? "NotFound" : "Refused",
        detail: detail === "" ? `the log files cannot be read: exit code ${code}` : detail
      })
    )
  })
  const bytes = output.pipe(
    Stream.filter(({ bytes, stream }) => {
      if (stream === "stderr" && complaint.length < mostWords) complaint += decoder.decode(bytes, { stream: true })
      return stream === "stdout"
    }),
    Stream.map((piece) => piece.bytes),
    Stream.concat(Stream.fromEffectDrain(ended))
  )
  const pull = yield* Stream.toPull(bytes)
  const nothing = new PodStreamError({
    reason: "Failed",
    detail: "the log files cannot be read: nothing was said of them"
  })
  const [first, ...early] = yield* Pull.catchDone(pull, () => Effect.fail(nothing)).pipe(
    Effect.timeoutOrElse({
      duration: patience,
      orElse: () =>
        Effect.fail(new PodStreamError({ reason: "Failed", detail: "the disk of the device did not answer in time" }))
    })
  )
  return {
    directory: first[0] === foundDirectory,
    bytes: Stream.concat(
      Stream.fromIterable([first.subarray(1), ...early]).pipe(Stream.filter((piece) => piece.length > 0)),
      Stream.fromPull(Effect.succeed(pull))
    )
  }
})

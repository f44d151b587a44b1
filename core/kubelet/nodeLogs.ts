/** Answers `/logs/`: files and directories of a node's host, as a kubelet's file server shows them. */
import { type Duration, Effect, Option, Result, type Scope, Stream } from "effect"
import { type KubeletAnswer, statusAnswer } from "./KubeletAnswer.ts"
import type { NodeLogFile, StreamFailure } from "./KubeletBackend.ts"
import type { Query } from "./KubeletRequest.ts"
import { lastWords } from "./lastWords.ts"
import { type Listed, listingPage } from "./listingPage.ts"

const failed = (message: string) => statusAnswer(500, "InternalError", message)

const refusal = (error: StreamFailure): KubeletAnswer => {
  if (error._tag === "RuntimeError") return failed(error.message)
  switch (error.reason) {
    case "NotFound":
      return statusAnswer(404, "NotFound", error.message)
    case "Refused":
      return statusAnswer(403, "Forbidden", error.message)
    case "NotReady":
      return statusAnswer(503, "ServiceUnavailable", error.message)
    case "Failed":
    case "OutcomeUnknown":
      return failed(error.message)
  }
}

/** Bytes of all names of a directory; a device sends no more than ten thousand names. */
const mostListing = 1024 * 1024

const isTooLong = failed(
  `the directory holds names of more than ${mostListing} bytes: ask for its files by their names`
)

/** NodeLogQuery (KEP-2258) reads the journal of services; a device has its files. */
const queries = new Set(["query", "sinceTime", "untilTime", "tailLines", "pattern", "boot"])

const namesOf = (bytes: Uint8Array): Listed => {
  const names = new TextDecoder().decode(bytes).split("\0")
  // What follows the last zero byte is nothing, unless the device broke off.
  names.pop()
  return { names: names.filter((name) => name !== ""), more: names.at(-1) === "" }
}

const listing = Effect.fnUntraced(function*(path: string, bytes: NodeLogFile["bytes"]) {
  const parts: Array<Uint8Array> = []
  let length = 0
  yield* bytes.pipe(
    Stream.takeUntil((part) => {
      parts.push(part)
      length += part.length
      return length > mostListing
    }),
    Stream.runDrain
  )
  if (length > mostListing) return isTooLong
  const all = new Uint8Array(length)
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  const page: KubeletAnswer = {
    _tag: "Text",
    status: 200,
    contentType: "text/html; charset=utf-8",
    text: listingPage(path, namesOf(all))
  }
  return page
})

/** `path` as it was asked for: whether it ends with a slash decides what its links are relative to. */
export const nodeLogs = (
  found: Effect.Effect<NodeLogFile, StreamFailure, Scope.Scope>,
  { path, patience, query }: { readonly path: string; readonly query: Query; readonly patience: Duration.Input }
): Effect.Effect<KubeletAnswer, never, Scope.Scope> =>
  Effect.gen(function*() {
    const unknown = query.find(([name]) => queries.has(name))
    if (unknown !== undefined) {
      return statusAnswer(
        400,
        "BadRequest",
        `${
          unknown[0]
        }: the logs of a device's services cannot be asked for; /logs/ lists the files, /logs/PATH shows one`
      )
    }
    const answered = yield* found.pipe(
      Effect.flatMap(({ bytes, directory }) =>
        directory
          ? listing(path, bytes)
          : Effect.succeed<KubeletAnswer>({ _tag: "Bytes", bytes: lastWords(bytes) })
      ),
      Effect.timeoutOption(patience),
      Effect.result
    )
    return Result.isFailure(answered)
      ? refusal(answered.failure)
      : Option.getOrElse(answered.success, () => failed("the device did not show its log files in time"))
  })

/** Answers the operator's requests for logs, exec, attach and port-forward with streams from the pod's runtime, or from the device itself. */
import { Effect, type Scope, Stream } from "effect"
import { type Channel, type Handlers, LinkError } from "../link/Session.ts"
import type { Duplex, ProcessStreams, RuntimeError } from "../pod/ContainerRuntime.ts"
import { PodRuntime, PodStreamError } from "../pod/PodRuntime.ts"
import { inMessages, joinedInMessages } from "../wire/byteMessages.ts"
import { decodeProcessMessage, encodeProcessMessage, type ProcessMessage } from "../wire/ProcessMessage.ts"
import {
  decodeStreamOpening,
  encodeLogFileFound,
  hostUid,
  streamFailure,
  type StreamOpening
} from "../wire/StreamOpening.ts"
import { hostStreams } from "./host/hostStreams.ts"

/** The sign that a byte stream is open: nothing in it, so that it cannot be taken for content. */
const opened = new Uint8Array()

const asPodError = (error: PodStreamError | RuntimeError): PodStreamError =>
  error._tag === "PodStreamError" ? error : new PodStreamError({
    reason: error.reason === "OutcomeUnknown" ? "OutcomeUnknown" : "Failed",
    detail: error.message
  })

/** A channel fails with a sentence that carries the reason. */
const refusal = (error: PodStreamError | RuntimeError) =>
  new LinkError({ reason: "Refused", detail: streamFailure(asPodError(error)) })

export const podStreams = Effect.gen(function*() {
  const runtime = yield* PodRuntime
  const host = yield* hostStreams

  const sendLogs = Effect.fnUntraced(function*(opening: StreamOpening & { readonly _tag: "Logs" }, channel: Channel) {
    // Its first element is empty and opens the stream; a container that has no logs is an answer, not a broken stream.
    const logs = opening.uid === hostUid ? host.logs(opening.query) : runtime.logs(opening.uid, opening.query)
    yield* logs.pipe(
      Stream.mapError(refusal),
      // Lines come many at once; a message for each would cost far more than the lines.
      Stream.runForEachArray((chunks) => Effect.forEach(joinedInMessages(chunks), channel.send, { discard: true }))
    )
    yield* channel.end
  })

  const sendLogFile = Effect.fnUntraced(function*(path: string, channel: Channel) {
    const { bytes, directory } = yield* Effect.mapError(host.logFile(path), refusal)
    yield* channel.send(yield* Effect.orDie(encodeLogFileFound({ directory })))
    yield* bytes.pipe(
      Stream.mapError(refusal),
      Stream.runForEach((piece) => Effect.forEach(inMessages(piece), channel.send, { discard: true }))
    )
    yield* channel.end
  })

  const send = (channel: Channel, message: ProcessMessage) =>
    Effect.flatMap(Effect.orDie(encodeProcessMessage(message)), channel.send)

  const runProcess = Effect.fnUntraced(function*(
    open: Effect.Effect<ProcessStreams, PodStreamError | RuntimeError, Scope.Scope>,
    channel: Channel
  ) {
    const process = yield* Effect.mapError(open, refusal)
    yield* send(channel, { _tag: "Started" })
    yield* channel.messages.pipe(
      Stream.runForEach((bytes) =>
        decodeProcessMessage(bytes).pipe(
          Effect.catchIf(({ reason }) => reason === "Unsupported", () => Effect.undefined),
          Effect.flatMap((message) => {
            switch (message?._tag) {
              case "Stdin":
                return process.stdin(message.bytes)
              case "EndStdin":
                return process.endStdin
              case "Resize":
                // What is typed arrives all the same; the next size comes with the next change.
                return Effect.catch(
                  process.resize(message),
                  (error) => Effect.logDebug(`a terminal keeps its size: ${error.message}`)
                )
              default:
                // Kinds of a newer operator, or of our own direction: nothing to do.
                return Effect.void
            }
          }),
          Effect.mapError((error) => new LinkError({ reason: "Refused", detail: error.message }))
        )
      ),
      // Input that breaks off (the process closed it, or the session ended) does not end the output.
      Effect.catch((error) => Effect.logDebug(`input of a stream ended: ${error.message}`)),
      Effect.forkScoped
    )
    const outcome = yield* process.output.pipe(
      Stream.runForEach((output) =>
        Effect.forEach(
          inMessages(output.bytes),
          (bytes) => send(channel, { _tag: output.stream === "stdout" ? "Stdout" : "Stderr", bytes }),
          { discard: true }
        )
      ),
      Effect.andThen(process.exitCode),
      Effect.map((code): ProcessMessage => ({ _tag: "Exit", code })),
      Effect.catchTag(
        "RuntimeError",
        (error) => Effect.succeed<ProcessMessage>({ _tag: "Failed", reason: "Failed", detail: error.message })
      )
    )
    yield* send(channel, outcome)
    yield* channel.end
  })

  const forward = Effect.fnUntraced(
    function*(open: Effect.Effect<Duplex, PodStreamError | RuntimeError, Scope.Scope>, channel: Channel) {
      const duplex = yield* Effect.mapError(open, refusal)
      yield* channel.send(opened)
      const inwards = channel.messages.pipe(
        Stream.runForEach((bytes) => Effect.mapError(duplex.write(bytes), refusal)),
        Effect.andThen(Effect.mapError(duplex.end, refusal))
      )
      const outwards = duplex.read.pipe(
        Stream.mapError(refusal),
        Stream.runForEach((bytes) => Effect.forEach(inMessages(bytes), channel.send, { discard: true })),
        Effect.andThen(channel.end)
      )
      yield* Effect.all([inwards, outwards], { concurrency: 2, discard: true })
    }
  )

  const onOpen: Handlers["onOpen"] = Effect.fnUntraced(function*(message, channel) {
    const opening = yield* decodeStreamOpening(message).pipe(
      Effect.mapError((error) =>
        new LinkError({
          reason: "Refused",
          detail: streamFailure(new PodStreamError({ reason: "Refused", detail: error.message }))
        })
      )
    )
    if (opening._tag === "LogFile") return yield* sendLogFile(opening.path, channel)
    const ofHost = opening.uid === hostUid
    switch (opening._tag) {
      case "Logs":
        return yield* sendLogs(opening, channel)
      case "Exec":
        return yield* runProcess(
          ofHost ? host.exec(opening.spec) : runtime.exec(opening.uid, opening.container, opening.spec),
          channel
        )
      case "Attach":
        return yield* runProcess(
          ofHost ? host.attach(opening.spec) : runtime.attach(opening.uid, opening.container, opening.spec),
          channel
        )
      case "Forward":
        return yield* forward(ofHost ? host.dial(opening.port) : runtime.dial(opening.uid, opening.port), channel)
    }
  })
  return onOpen
})

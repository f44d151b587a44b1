/** The client of an exec or attach behind a SPDY connection: remote command protocols v1 to v4. */
import { Duration, Effect, Stream } from "effect"
import { plainStatus, processStatus } from "../../../core/kubelet/processStatus.ts"
import { ClientGone, type ProcessClient } from "../../../core/kubelet/RemoteClient.ts"
import type { ExecSpec } from "../../../core/pod/ContainerRuntime.ts"
import { parseResizes } from "../resizes.ts"
import type { SpdyConnection, SpdyStream } from "./SpdyConnection.ts"
import type { SpdyError } from "./SpdyError.ts"
import { StreamCreationTimeout } from "./StreamCreationTimeout.ts"

/** What this side knows, best first. */
export const remoteCommandProtocols = ["v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io"]

const leaves = (error: SpdyError) => new ClientGone({ detail: error.message })

type StreamType = "error" | "stdin" | "stdout" | "stderr" | "resize"

/** Once the client has opened what it asked for in its query. */
export const spdyProcessClient = Effect.fnUntraced(function*(
  connection: SpdyConnection,
  protocol: string,
  options: Omit<ExecSpec, "command">
) {
  const expected = new Set<StreamType>(["error"])
  for (const name of ["stdin", "stdout", "stderr"] as const) if (options[name]) expected.add(name)
  // Protocols before v3 cannot resize.
  if (options.tty && (protocol.startsWith("v4") || protocol.startsWith("v3"))) expected.add("resize")

  const patience = Duration.fromInputUnsafe(yield* StreamCreationTimeout)
  const streams = new Map<StreamType, SpdyStream>()
  const collect = Effect.gen(function*() {
    while (streams.size < expected.size) {
      const stream = yield* Effect.mapError(connection.accept, leaves)
      const type = [...expected].find((name) => name === stream.headers.get("streamtype"))
      if (type === undefined || streams.has(type)) {
        return yield* new ClientGone({
          detail: `it opened a stream of type ${stream.headers.get("streamtype")?.slice(0, 40) ?? "none"}`
        })
      }
      streams.set(type, stream)
    }
  })
  yield* collect.pipe(Effect.timeoutOrElse({
    duration: patience,
    orElse: () => {
      const missing = [...expected].filter((name) => !streams.has(name)).join(", ")
      return Effect.fail(
        new ClientGone({ detail: `its streams did not come within ${Duration.format(patience)}: ${missing}` })
      )
    }
  }))

  // Nobody reads what clients should not send here: it must not keep the connection from being read.
  for (const type of ["error", "stdout", "stderr"] as const) yield* streams.get(type)?.ignoreInput ?? Effect.void
  yield* connection.accept.pipe(
    Effect.flatMap((stream) => stream.reset),
    Effect.forever,
    Effect.catch((error: SpdyError) => Effect.logDebug(`no more streams come: ${error.message}`)),
    Effect.forkScoped
  )

  const inputOf = (type: StreamType) => {
    const stream = streams.get(type)
    return stream === undefined ? Stream.empty : Stream.mapError(stream.input, leaves)
  }
  const client: ProcessClient = {
    input: inputOf("stdin"),
    resizes: parseResizes(inputOf("resize")),
    output: ({ bytes, stream }) => {
      const to = streams.get(stream)
      return to === undefined ? Effect.void : Effect.mapError(to.send(bytes), leaves)
    },
    finish: (outcome) =>
      Effect.gen(function*() {
        const words = protocol.startsWith("v4") ? processStatus(outcome) : plainStatus(outcome)
        // Only what has ended on all streams has ended for the client.
        for (const type of ["stdout", "stderr", "stdin", "resize"] as const) {
          const stream = streams.get(type)
          if (stream !== undefined) yield* stream.end
        }
        for (const type of ["stdin", "resize"] as const) yield* streams.get(type)?.ignoreInput ?? Effect.void
        const error = streams.get("error")
        if (error === undefined) return
        if (words !== "") yield* error.send(new TextEncoder().encode(words))
        yield* error.end
      }).pipe(Effect.mapError(leaves))
  }
  return client
})

/** Exit codes of commands, asked for as a client in another language would: WebSockets of v4, one process for all. */
import { Effect } from "effect"
import { WebSocket } from "ws"
import type { Embedded } from "../../../adapters/kube/plane/server/startEmbedded.ts"

interface Status {
  readonly status?: string
  readonly reason?: string
  readonly details?: { readonly causes?: ReadonlyArray<{ readonly reason?: string; readonly message?: string }> }
}

const errorChannel = 3

const codeOf = ({ details, reason, status }: Status): string => {
  if (status === "Success") return "0"
  const cause = details?.causes?.find((each) => each.reason === "ExitCode")
  return reason === "NonZeroExitCode" && cause?.message !== undefined ? cause.message : `${status} ${reason}`
}

/** What the API server says became of a command; a sentence where it says nothing. */
export const exitCode = ({ admin, caPem, url }: Embedded, pod: string, command: ReadonlyArray<string>) =>
  Effect.callback<string>((resume) => {
    const query = new URLSearchParams([
      ["stdout", "1"],
      ["stderr", "1"],
      ...command.map((word): [string, string] => ["command", word])
    ])
    const socket = new WebSocket(
      `${url.replace("https:", "wss:")}/api/v1/namespaces/edge/pods/${pod}/exec?${query}`,
      "v4.channel.k8s.io",
      { ca: caPem, cert: admin.certificate, key: admin.key }
    )
    let said = "the connection ended without a word about the command"
    socket.on("message", (data: Buffer) => {
      if (data[0] === errorChannel && data.length > 1) said = codeOf(JSON.parse(data.subarray(1).toString()) as Status)
    })
    socket.on("unexpected-response", (_request, response) => {
      const parts: Array<Buffer> = []
      response.on("data", (part: Buffer) => parts.push(part))
      response.on(
        "end",
        () => resume(Effect.succeed(`${response.statusCode} ${Buffer.concat(parts).toString().slice(0, 500)}`))
      )
    })
    socket.on("error", (error) => resume(Effect.succeed(error.message)))
    socket.on("close", () => resume(Effect.succeed(said)))
    return Effect.sync(() => socket.terminate())
  })

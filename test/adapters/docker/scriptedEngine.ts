/** An Engine API on a unix socket that answers as the test says, and remembers what it was asked. */
import { Effect } from "effect"
import { mkdtemp, rm } from "node:fs/promises"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"

export interface ScriptedEngine {
  readonly socketPath: string
  /** `METHOD /path?query` without the version. */
  readonly asked: Array<string>
}

export const scriptedEngine = (
  answer: (call: string, response: ServerResponse, request: IncomingMessage) => void,
  version: { readonly ApiVersion: string; readonly MinAPIVersion: string } = {
    ApiVersion: "1.41",
    MinAPIVersion: "1.12"
  }
) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const folder = await mkdtemp(join(tmpdir(), "aranya-engine-"))
      const asked: Array<string> = []
      const server = createServer((request, response) => {
        const call = `${request.method} ${decodeURIComponent((request.url ?? "").replace(/^\/v\d+\.\d+/, ""))}`
        asked.push(call)
        request.resume()
        if (call === "GET /version") {
          response.end(JSON.stringify({ Version: "scripted", ...version }))
        } else answer(call, response, request)
      })
      const socketPath = join(folder, "engine.sock")
      await new Promise<void>((resolve) => server.listen(socketPath, resolve))
      return { socketPath, asked, server, folder }
    }),
    ({ folder, server }) =>
      Effect.promise(async () => {
        server.closeAllConnections()
        await new Promise((resolve) => server.close(resolve))
        await rm(folder, { recursive: true })
      })
  ).pipe(Effect.map(({ asked, socketPath }): ScriptedEngine => ({ asked, socketPath })))

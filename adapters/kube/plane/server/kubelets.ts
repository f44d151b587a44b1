/** The API server's way to kubelets: HTTPS with its own client certificate, one pooled agent. */
import { NodeStream } from "@effect/platform-node"
import { Effect, Layer } from "effect"
import { Agent, request } from "node:https"
import type { KeyPair } from "../../../x509/certificate.ts"
import { type ApiResponse, KubeletConnection, type KubeletTarget, KubeletUnreachable } from "../request/ApiRequest.ts"

/** A kubelet that accepts the connection but says nothing is given up after this. */
const answerLimit = "30 seconds"

export interface KubeletTrust {
  readonly client: KeyPair
  /**
   * PEM of the CAs kubelet certificates are checked against. Without it they are not checked, as with a real API server
   * that has no --kubelet-certificate-authority.
   */
  readonly ca: string | undefined
}

export const kubeletTls = ({ client, ca }: KubeletTrust) => ({
  cert: client.certificate,
  key: client.key,
  ...(ca === undefined ? { rejectUnauthorized: false } : { ca })
})

const chunksPerPull = 16

export const layerKubelets = (trust: KubeletTrust) =>
  Layer.effect(
    KubeletConnection,
    Effect.gen(function*() {
      const agent = yield* Effect.acquireRelease(
        Effect.sync(() => new Agent({ keepAlive: true, ...kubeletTls(trust) })),
        (each) => Effect.sync(() => each.destroy())
      )
      return {
        request: (target: KubeletTarget) =>
          ask(agent, target).pipe(Effect.timeoutOrElse({
            duration: answerLimit,
            orElse: () =>
              Effect.fail(
                new KubeletUnreachable({ node: target.node, cause: new Error(`no answer within ${answerLimit}`) })
              )
          }))
      }
    })
  )

const errorBodyLimit = 64 * 1024

const ask = (agent: Agent, target: KubeletTarget): Effect.Effect<ApiResponse, KubeletUnreachable> =>
  Effect.callback<ApiResponse, KubeletUnreachable>((resume) => {
    const unreachable = (cause: unknown) => new KubeletUnreachable({ node: target.node, cause })
    const outgoing = request({
      agent,
      host: target.address,
      port: target.port,
      path: target.path,
      method: target.method,
      headers: { ...target.headers, host: `${target.address}:${target.port}`, "content-length": target.body.length }
    })
    outgoing.on("error", (cause) => resume(Effect.fail(unreachable(cause))))
    outgoing.on("response", (incoming) => {
      const headers: Record<string, string> = {}
      for (const [name, value] of Object.entries(incoming.headers)) {
        if (["connection", "transfer-encoding", "keep-alive"].includes(name)) continue
        if (value !== undefined) headers[name] = Array.isArray(value) ? value.join(", ") : value
      }
      const status = incoming.statusCode ?? 502
      if (status >= 400) {
        const chunks: Array<Buffer> = []
        let size = 0
        incoming.on("data", (chunk: Buffer) => {
          size += chunk.length
          if (size <= errorBodyLimit) chunks.push(chunk)
        })
        incoming.on("error", (cause) => resume(Effect.fail(unreachable(cause))))
        incoming.on("end", () => {
          const { "content-length": _, ...rest } = headers
          resume(Effect.succeed({ status, headers: rest, body: Buffer.concat(chunks) }))
        })
        return
      }
      const body = NodeStream.fromReadable<Uint8Array, KubeletUnreachable>({
        evaluate: () => incoming,
        onError: unreachable,
        chunkSize: chunksPerPull
      })
      resume(Effect.succeed({ status, headers, body }))
    })
    outgoing.end(target.body)
    return Effect.sync(() => {
      outgoing.destroy()
    })
  })

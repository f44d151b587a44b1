/** A light client of the kubelet API, as an API server is one: each call on a connection of its own, bytes counted or handed on. */
import { Effect, Schema, type Scope } from "effect"
import { readFileSync } from "node:fs"
import type { IncomingMessage } from "node:http"
import { get } from "node:https"
import { WebSocket } from "ws"
import { parse } from "yaml"

export class StreamBroke extends Schema.TaggedError<StreamBroke>()("StreamBroke", {
  what: Schema.String,
  detail: Schema.String
}) {
  override get message() {
    return `${this.what}: ${this.detail}`
  }
}

/** One connection of an exec or a forwarded port. */
export interface Talk {
  readonly write: (bytes: Uint8Array) => void
  /** Bytes handed over and not yet taken by the kernel. */
  readonly waiting: () => number
  /** Told of what comes. */
  readonly onBytes: (take: (bytes: Uint8Array) => void) => void
  /** What was said on other channels, newest last: why it ended. */
  readonly words: () => string
  /** The other side has ended it. */
  readonly over: Promise<void>
  readonly close: () => void
}

interface Kubeconfig {
  readonly users: ReadonlyArray<
    { readonly user: { readonly "client-certificate-data": string; readonly "client-key-data": string } }
  >
}

const pem = (data = "") => Buffer.from(data, "base64")

/** By the certificate of the kubeconfig's user, whom the cluster's authority vouches for. */
export const kubeletAt = (kubeconfigPath: string, port: number) => {
  const { users: [person] } = parse(readFileSync(kubeconfigPath, "utf8")) as Kubeconfig
  const tls = {
    cert: pem(person?.user["client-certificate-data"]),
    key: pem(person?.user["client-key-data"]),
    // What is measured is not whom the listener is.
    rejectUnauthorized: false
  }

  const dial = (path: string, protocol: string, channels: { readonly to: number; readonly from: number }) =>
    Effect.acquireRelease(
      Effect.callback<Talk, StreamBroke>((resume) => {
        const socket = new WebSocket(`wss://127.0.0.1:${port}${path}`, protocol, {
          ...tls,
          perMessageDeflate: false,
          skipUTF8Validation: true
        })
        let words = ""
        const early: Array<Uint8Array> = []
        let take = (bytes: Uint8Array): void => void early.push(bytes)
        const over = new Promise<void>((done) => socket.on("close", () => done()))
        socket.on("message", (message: Buffer) => {
          if (message[0] === channels.from && message.length > 1) take(message.subarray(1))
          else words = (words + message.toString("utf8", 1)).slice(-500)
        })
        socket.on("error", (error) => resume(Effect.fail(new StreamBroke({ what: path, detail: error.message }))))
        socket.on("open", () =>
          resume(Effect.succeed({
            write: (bytes) => socket.send(Buffer.concat([Buffer.of(channels.to), bytes])),
            waiting: () => socket.bufferedAmount,
            onBytes: (next) => {
              take = next
              for (const bytes of early.splice(0)) next(bytes)
            },
            words: () => words,
            over,
            close: () => socket.close()
          })))
      }),
      (talk) => Effect.sync(talk.close)
    )

  return {
    exec: (
      pod: string,
      command: ReadonlyArray<string>,
      options: { readonly stdin?: boolean } = {}
    ): Effect.Effect<Talk, StreamBroke, Scope.Scope> => {
      const query = new URLSearchParams({ output: "1", ...(options.stdin === true ? { input: "1" } : {}) })
      for (const word of command) query.append("command", word)
      return dial(`/exec/edge/${pod}/main?${query.toString()}`, "v5.channel.k8s.io", { to: 0, from: 1 })
    },
    /** The first two bytes of a forwarded port are its number. */
    forward: (pod: string, to: number): Effect.Effect<Talk, StreamBroke, Scope.Scope> =>
      dial(`/portForward/edge/${pod}?port=${to}`, "v4.channel.k8s.io", { to: 0, from: 0 }),
    /** The response, paused: whoever wants its bytes reads them. */
    logs: (pod: string, query: string): Effect.Effect<IncomingMessage, StreamBroke, Scope.Scope> =>
      Effect.acquireRelease(
        Effect.callback<IncomingMessage, StreamBroke>((resume) => {
          const path = `/containerLogs/edge/${pod}/main?${query}`
          const broke = (detail: string) => resume(Effect.fail(new StreamBroke({ what: path, detail })))
          get({ host: "127.0.0.1", port, path, agent: false, ...tls }, (response) => {
            response.on("error", () => {})
            if (response.statusCode === 200) resume(Effect.succeed(response))
            else broke(`status ${response.statusCode}`)
          }).on("error", (error) => broke(error.message))
        }),
        (response) => Effect.sync(() => void response.destroy())
      )
  }
}
export type KubeletClient = ReturnType<typeof kubeletAt>

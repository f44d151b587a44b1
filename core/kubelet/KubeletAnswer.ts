/** What the kubelet API answers, before any socket: a status and words, or bytes that go on. */
import type { Effect, Stream } from "effect"
import type { ExecSpec } from "../pod/ContainerRuntime.ts"
import type { ForwardClient, ProcessClient } from "./RemoteClient.ts"

export type KubeletAnswer =
  | { readonly _tag: "Text"; readonly status: number; readonly contentType: string; readonly text: string }
  /** Always a 200, of plain text. Elements are sent as they come; one without bytes sends the headers. A failure breaks off. */
  | { readonly _tag: "Bytes"; readonly bytes: Stream.Stream<Uint8Array, { readonly message: string }> }
  /** The connection is upgraded to the streams that the options ask for; `serve` returns when it can be closed. */
  | {
    readonly _tag: "Process"
    readonly options: Omit<ExecSpec, "command">
    readonly serve: (client: ProcessClient) => Effect.Effect<void>
  }
  | {
    readonly _tag: "Forward"
    /** Those a WebSocket asks for in its query; over SPDY each connection names its own. */
    readonly ports: ReadonlyArray<number>
    readonly serve: (client: ForwardClient) => Effect.Effect<void>
  }

export const words = (status: number, text: string): KubeletAnswer => ({
  _tag: "Text",
  status,
  contentType: "text/plain; charset=utf-8",
  text
})

/**
 * A refusal as an object of the API: `kubectl get --raw` shows its message whatever the status, while of plain words it shows
 * those of 403 and 500 alone.
 */
export const statusAnswer = (code: number, reason: string, message: string): KubeletAnswer => ({
  _tag: "Text",
  status: code,
  contentType: "application/json",
  text: JSON.stringify({ kind: "Status", apiVersion: "v1", metadata: {}, status: "Failure", message, reason, code })
})

export const jsonAnswer = (value: unknown): KubeletAnswer => ({
  _tag: "Text",
  status: 200,
  contentType: "application/json",
  text: JSON.stringify(value)
})

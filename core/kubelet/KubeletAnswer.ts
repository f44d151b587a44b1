/** What the kubelet API answers, before any socket: a status and words, or bytes that go on. */
import type { Stream } from "effect"

export type KubeletAnswer =
  | { readonly _tag: "Text"; readonly status: number; readonly contentType: string; readonly text: string }
  /** Always a 200, of plain text. Elements are sent as they come; one without bytes sends the headers. A failure breaks off. */
  | { readonly _tag: "Bytes"; readonly bytes: Stream.Stream<Uint8Array, { readonly message: string }> }

export const words = (status: number, text: string): KubeletAnswer => ({
  _tag: "Text",
  status,
  contentType: "text/plain; charset=utf-8",
  text
})

export const jsonAnswer = (value: unknown): KubeletAnswer => ({
  _tag: "Text",
  status: 200,
  contentType: "application/json",
  text: JSON.stringify(value)
})

/** One stored state of one object, with its JSON and watch lines made at most once. */
import type { KubeObject } from "../object/KubeObject.ts"

export type EventType = "ADDED" | "MODIFIED" | "DELETED"

const encoder = new TextEncoder()

export const watchLine = (type: string, json: string): Uint8Array =>
  encoder.encode(`{"type":"${type}","object":${json}}\n`)

export class Revision {
  readonly object: KubeObject
  readonly version: number
  #json: string | undefined
  readonly #lines = new Map<EventType, Uint8Array>()

  constructor(object: KubeObject, version: number) {
    this.object = object
    this.version = version
  }

  get json(): string {
    return this.#json ??= JSON.stringify(this.object)
  }

  line(type: EventType): Uint8Array {
    const made = this.#lines.get(type)
    if (made !== undefined) return made
    const line = watchLine(type, this.json)
    this.#lines.set(type, line)
    return line
  }
}

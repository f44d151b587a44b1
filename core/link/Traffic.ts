/** Bytes of a link by what they are for: counted as frames leave and come, sealed, so that nothing but the transport adds to them. */
import { Effect } from "effect"
import type { Packet, Segment } from "../gen/aranya/link/v1/link_pb.ts"
import type { Connection } from "./Transport.ts"

/**
 * `control`: what keeps device and pods going, with all that no stream asked for: handshakes, beats, acknowledgements.
 * `streams`: what people ask for: logs, exec, attach, port-forward. `metrics`: what scrapers ask for.
 */
export type TrafficClass = "control" | "streams" | "metrics"
export const trafficClasses: ReadonlyArray<TrafficClass> = ["control", "streams", "metrics"]

export interface Bytes {
  readonly sent: number
  readonly received: number
}
export type TrafficCount = { readonly [name in TrafficClass]: Bytes }

const none: Bytes = { sent: 0, received: 0 }
export const noTraffic: TrafficCount = { control: none, streams: none, metrics: none }

const combine = (one: TrafficCount, other: TrafficCount, bytes: (a: number, b: number) => number): TrafficCount => {
  const of = (name: TrafficClass): Bytes => ({
    sent: bytes(one[name].sent, other[name].sent),
    received: bytes(one[name].received, other[name].received)
  })
  return { control: of("control"), streams: of("streams"), metrics: of("metrics") }
}

export const plusTraffic = (one: TrafficCount, other: TrafficCount): TrafficCount =>
  combine(one, other, (a, b) => a + b)
export const lessTraffic = (one: TrafficCount, other: TrafficCount): TrafficCount =>
  combine(one, other, (a, b) => a - b)

/** Both directions of one class. */
export const bytesOf = (count: TrafficCount, name: TrafficClass): number => count[name].sent + count[name].received

/** A segment's own fields, about. */
const aroundSegment = 8

/** Frames of one session, over all connections that carried it. */
export class TrafficMeter {
  private total: TrafficCount = noTraffic
  private readonly classOf: (stream: number) => TrafficClass

  constructor(classOf: (stream: number) => TrafficClass) {
    this.classOf = classOf
  }

  get count(): TrafficCount {
    return this.total
  }

  /** A frame of so many bytes; what is around its segments counts for those, in proportion. */
  frame(direction: keyof Bytes, bytes: number, packet?: Packet): void {
    const segments = packet?.segments ?? []
    if (segments.length === 0) return this.add(direction, "control", bytes)
    const parts = { control: 0, streams: 0, metrics: 0 }
    let whole = 0
    for (const segment of segments) {
      const size = sizeOf(segment)
      parts[this.classOf(segment.stream)] += size
      whole += size
    }
    const streams = Math.round(bytes * parts.streams / whole)
    const metrics = Math.round(bytes * parts.metrics / whole)
    this.add(direction, "streams", streams)
    this.add(direction, "metrics", metrics)
    this.add(direction, "control", bytes - streams - metrics)
  }

  private add(direction: keyof Bytes, name: TrafficClass, bytes: number): void {
    if (bytes <= 0) return
    const before = this.total[name]
    this.total = { ...this.total, [name]: { ...before, [direction]: before[direction] + bytes } }
  }
}

const sizeOf = ({ data, detail }: Segment): number => data.length + detail.length + aroundSegment

/** The connection, and the bytes that passed it. */
export const countedConnection = (connection: Connection) => {
  const count = { sent: 0, received: 0 }
  const counted: Connection = {
    ...connection,
    send: (frame, options) =>
      Effect.suspend(() => {
        count.sent += frame.length
        return connection.send(frame, options)
      }),
    receive: Effect.map(connection.receive, (frame) => {
      count.received += frame.length
      return frame
    })
  }
  return { connection: counted, count: count as Readonly<Bytes> }
}

/**
 * A transport within this process, as bad as the test wants it: each direction may lose, repeat, reorder, delay, truncate,
 * corrupt or swallow frames, slowly or not; connections can be refused and cut. Every choice comes from Effect's Random.
 */
import { Context, Effect, Layer, Queue, Random, Scope } from "effect"
import {
  type Acceptor,
  Acceptors,
  type Connection,
  type Dialer,
  Dialers,
  TransportError
} from "../../core/link/Transport.ts"
import { outsideWork } from "./outsideWork.ts"
import { worldMillis } from "./worldClock.ts"

export interface Weather {
  /** Chances per frame, 0 to 1. */
  readonly loss: number
  readonly duplication: number
  readonly reorder: number
  readonly truncation: number
  readonly corruption: number
  /** Each frame takes between these. */
  readonly delayMillis: readonly [least: number, most: number]
  /** 0 is unlimited; otherwise frames queue, and `send` waits once ten seconds' worth does (bufferbloat). */
  readonly bytesPerSecond: number
  /** Nothing arrives, nobody notices. */
  readonly blackHole: boolean
}

export const fairWeather: Weather = {
  loss: 0,
  duplication: 0,
  reorder: 0,
  truncation: 0,
  corruption: 0,
  delayMillis: [0, 0],
  bytesPerSecond: 0,
  blackHole: false
}

/** What a reordered frame is late by, at most. */
const lateMillis = 200
const bufferMillis = 10_000

export type Direction = "toOperator" | "toDevice"

export interface MemoryTransportControls {
  readonly dialer: Dialer
  readonly acceptor: Acceptor
  /** Changes one or both directions from now on. */
  readonly weather: (change: Partial<Weather>, direction?: Direction) => Effect.Effect<void>
  /** While set, dialing fails for this reason; `undefined` ends it. */
  readonly refuse: (reason: TransportError["reason"] | undefined) => Effect.Effect<void>
  /** Breaks every connection that is up; both ends notice. */
  readonly cut: (why?: string) => Effect.Effect<void>
  /** What happened, each entry with the second of virtual time at which it did. */
  readonly diary: Effect.Effect<ReadonlyArray<string>>
  /** Frames that were handed to a direction, in order; kept only if `record` was asked for. */
  readonly recorded: (direction: Direction) => Effect.Effect<ReadonlyArray<Uint8Array>>
  /** Bytes and frames handed to each direction. */
  readonly traffic: Effect.Effect<
    { readonly [direction in Direction]: { readonly frames: number; readonly bytes: number } }
  >
  /** Connections whose ends are both up. */
  readonly open: Effect.Effect<number>
  /** Connects as a device would, for tests that speak by hand. */
  readonly connect: Effect.Effect<Connection, TransportError, Scope.Scope>
}

export interface MemoryTransportOptions {
  readonly method?: string
  readonly maxFrame?: number
  readonly record?: boolean
}

interface End {
  readonly inbox: Queue.Queue<Uint8Array, TransportError>
  busyUntil: number
  lastAt: number
}

interface Wire {
  readonly number: number
  readonly scope: Scope.Scope
  readonly ends: { readonly [direction in Direction]: End }
  open: boolean
  /** Ends that hung up unheard. */
  readonly left: Set<string>
}

export class MemoryTransport
  extends Context.Service<MemoryTransport, MemoryTransportControls>()("test/MemoryTransport")
{
  static readonly make = Effect.fnUntraced(function*(options: MemoryTransportOptions = {}) {
    const { maxFrame = 256 * 1024, method = "memory", record = false } = options
    const weather: { [direction in Direction]: Weather } = { toOperator: fairWeather, toDevice: fairWeather }
    const traffic = { toOperator: { frames: 0, bytes: 0 }, toDevice: { frames: 0, bytes: 0 } }
    const recorded: { [direction in Direction]: Array<Uint8Array> } = { toOperator: [], toDevice: [] }
    const entries: Array<string> = []
    const wires = new Set<Wire>()
    /** Of everybody who listens; a device that dials comes to one of them. */
    const doors: Array<Queue.Queue<Wire>> = []
    let refusal: TransportError["reason"] | undefined
    let numbers = 0

    const note = (what: string) => Effect.map(worldMillis, (now) => void entries.push(`${now / 1000}s ${what}`))

    const deliver = (wire: Wire, direction: Direction, frame: Uint8Array): Effect.Effect<void> =>
      Effect.suspend(() => wire.open ? Effect.asVoid(Queue.offer(wire.ends[direction].inbox, frame)) : Effect.void)

    /** The frame as it arrives, or undefined where it does not. */
    const weathered = Effect.fnUntraced(function*(now: Weather, frame: Uint8Array) {
      if (now.loss > 0 && (yield* Random.next) < now.loss) return undefined
      if (now.truncation > 0 && (yield* Random.next) < now.truncation) {
        return frame.slice(0, yield* Random.nextIntBetween(0, frame.length))
      }
      if (now.corruption > 0 && (yield* Random.next) < now.corruption) {
        const touched = frame.slice()
        const at = yield* Random.nextIntBetween(0, frame.length - 1)
        touched[at] = (touched[at] ?? 0) ^ (1 << (yield* Random.nextIntBetween(0, 7)))
        return touched
      }
      return frame
    })

    const pass = Effect.fnUntraced(function*(wire: Wire, direction: Direction, frame: Uint8Array) {
      const now = weather[direction]
      const end = wire.ends[direction]
      const arriving = yield* weathered(now, frame)
      if (arriving === undefined || now.blackHole) return
      const copies = now.duplication > 0 && (yield* Random.next) < now.duplication ? 2 : 1
      const time = yield* worldMillis
      for (let copy = 0; copy < copies; copy++) {
        const [least, most] = now.delayMillis
        let at = Math.max(time, end.busyUntil) + (least === most ? least : yield* Random.nextIntBetween(least, most))
        if (now.reorder > 0 && (yield* Random.next) < now.reorder) {
          at += yield* Random.nextIntBetween(1, lateMillis)
        } else {
          at = Math.max(at, end.lastAt)
          end.lastAt = at
        }
        if (at <= time) yield* deliver(wire, direction, arriving)
        else yield* outsideWork(Effect.forkIn(Effect.delay(deliver(wire, direction, arriving), at - time), wire.scope))
      }
    })

    const send = (wire: Wire, direction: Direction) => (frame: Uint8Array): Effect.Effect<void, TransportError> =>
      Effect.suspend(() => {
        if (!wire.open) return Effect.fail(new TransportError({ reason: "Lost", detail: "the connection is gone" }))
        if (frame.length > maxFrame) {
          return Effect.die(new Error(`a frame of ${frame.length} bytes is over ${maxFrame}`))
        }
        traffic[direction].frames += 1
        traffic[direction].bytes += frame.length
        if (record) recorded[direction].push(frame)
        if (weather[direction] === fairWeather) return deliver(wire, direction, frame)
        const { bytesPerSecond } = weather[direction]
        if (bytesPerSecond === 0) return pass(wire, direction, frame)
        return Effect.gen(function*() {
          const end = wire.ends[direction]
          const now = yield* worldMillis
          end.busyUntil = Math.max(end.busyUntil, now) + frame.length * 1000 / bytesPerSecond
          yield* pass(wire, direction, frame)
          if (end.busyUntil - now > bufferMillis) yield* Effect.sleep(end.busyUntil - now - bufferMillis)
        })
      })

    const connectionOf = (wire: Wire, outward: Direction): Connection => ({
      description: `${method} #${wire.number}`,
      maxFrame,
      send: send(wire, outward),
      receive: Queue.take(wire.ends[outward === "toOperator" ? "toDevice" : "toOperator"].inbox)
    })

    /** Ends a wire; in a black hole the other end does not hear of it. */
    const hangUp = (wire: Wire, why: string, hears: (direction: Direction) => boolean) =>
      Effect.gen(function*() {
        if (!wire.open) return
        if (weather.toOperator.blackHole && weather.toDevice.blackHole && why !== "cut") {
          yield* note(`#${wire.number} half-open: ${why}`)
          wire.left.add(why)
          // Once both ends have let go of it, it is nobody's.
          if (wire.left.size === 2) wires.delete(wire)
          return
        }
        wire.open = false
        wires.delete(wire)
        yield* note(`#${wire.number} ${why}`)
        for (const direction of ["toOperator", "toDevice"] as const) {
          if (!hears(direction)) continue
          yield* Queue.fail(wire.ends[direction].inbox, new TransportError({ reason: "Lost", detail: why }))
        }
      })

    const end = Effect.map(
      Queue.bounded<Uint8Array, TransportError>(256),
      (inbox): End => ({ inbox, busyUntil: 0, lastAt: 0 })
    )

    const connect = Effect.gen(function*() {
      const chosen = doors.length < 2 ? 0 : Math.floor((yield* Random.next) * doors.length)
      const door = doors[chosen]
      if (refusal !== undefined || door === undefined) {
        yield* note("refused")
        return yield* new TransportError({ reason: refusal ?? "Refused", detail: "nobody listens" })
      }
      const number = ++numbers
      yield* note(`#${number} dialed`)
      const wire: Wire = {
        number,
        scope: yield* Effect.scope,
        ends: { toOperator: yield* end, toDevice: yield* end },
        open: true,
        left: new Set()
      }
      wires.add(wire)
      yield* Effect.addFinalizer(() => hangUp(wire, "the device hung up", () => true))
      yield* Queue.offer(door, wire)
      return connectionOf(wire, "toOperator")
    })

    const acceptor: Acceptor = {
      method,
      run: (serve) =>
        Effect.gen(function*() {
          const listening = yield* Effect.scope
          const door = yield* Effect.acquireRelease(
            Effect.tap(Queue.bounded<Wire>(1024), (door) => Effect.sync(() => doors.push(door))),
            (door) =>
              Effect.gen(function*() {
                doors.splice(doors.indexOf(door), 1)
                for (const wire of yield* Queue.clear(door)) yield* hangUp(wire, "nobody listens any more", () => true)
              })
          )
          return yield* Queue.take(door).pipe(
            Effect.flatMap((wire) =>
              serve(connectionOf(wire, "toDevice")).pipe(
                Effect.ensuring(hangUp(wire, "the operator hung up", () => true)),
                Effect.scoped,
                Effect.forkIn(listening)
              )
            ),
            Effect.forever
          )
        }).pipe(Effect.scoped) as never
    }

    const controls: MemoryTransportControls = {
      dialer: { method, connect },
      acceptor,
      weather: (change, direction) =>
        Effect.sync(() => {
          for (const each of ["toOperator", "toDevice"] as const) {
            if (direction !== undefined && direction !== each) continue
            const next = { ...weather[each], ...change }
            const fair = (Object.keys(fairWeather) as Array<keyof Weather>).every((key) =>
              String(next[key]) === String(fairWeather[key])
            )
            weather[each] = fair ? fairWeather : next
          }
        }),
      refuse: (reason) => Effect.sync(() => void (refusal = reason)),
      cut: (why = "cut") =>
        Effect.suspend(() => Effect.forEach([...wires], (wire) => hangUp(wire, why, () => true), { discard: true })),
      diary: Effect.sync(() => [...entries]),
      recorded: (direction) => Effect.sync(() => [...recorded[direction]]),
      traffic: Effect.sync(() => structuredClone(traffic)),
      open: Effect.sync(() => wires.size),
      connect
    }
    return controls
  })

  /** One memory transport as both ends' only method. */
  static readonly layer = (options: MemoryTransportOptions = {}) =>
    Layer.effectContext(
      Effect.map(MemoryTransport.make(options), (transport) =>
        Context.make(MemoryTransport, transport).pipe(
          Context.add(Dialers, [transport.dialer]),
          Context.add(Acceptors, [transport.acceptor])
        ))
    )
}

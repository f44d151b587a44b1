/**
 * One end of a connection that a broker carries. The broker acknowledges before the peer has anything, and throws away what piles up
 * for a slow client (mosquitto beyond 1000 messages); so the peer tells how much it took, and `send` waits for that. What it
 * tells is a hint: it may be lost, count what others sent, or be forged; then frames are sent too fast and lost, and the session, which bounds
 * what it leaves unacknowledged, resends.
 */
import { type Clock, Effect } from "effect"
import { monotonic } from "../../core/link/session/LinkSession.ts"
import { type Connection, TransportError } from "../../core/link/Transport.ts"
import { Waiting } from "../../core/link/Waiting.ts"

/** A frame counts for this many bytes more than it has: brokers limit the number of messages they hold as well. */
const frameCost = 4096
export const costOf = (frame: Uint8Array): number => frameCost + frame.length

/** What may be on its way to the peer: 256 small frames, or 15 of 64 KiB. */
const window = 1024 * 1024
/** The peer tells what it took after each such part of the window. */
const quantum = window / 4
/** What was not taken after this was lost. */
const lossMillis = 5000

/**
 * The broker's confirmation of a shorter frame, with TCP's of that, costs as much as the frame. The session confirms and resends by itself; what
 * QoS 1 is for is to hold back what the broker cannot take yet, and there is nothing to hold back where it has confirmed all of it.
 */
const shortFrame = 512
/** What the broker confirmed it may not have passed on: mosquitto lets QoS 0 overtake what waits for its client. So long it may wait. */
const restMillis = 1000

/** Whether the broker is to confirm a frame. */
export interface Confirmation {
  /** Asked when it is the frame's turn. */
  readonly wanted: () => boolean
  /** It was, or never will be. */
  readonly settled: () => void
}

/** Memory that many connections use together. */
export interface Pool {
  used: number
  readonly most: number
}

export interface BrokeredEndOptions {
  readonly description: string
  readonly maxFrame: number
  readonly clock: Clock.Clock
  readonly pool: Pool
  /** Hands a frame to the broker. */
  readonly transmit: (frame: Uint8Array, confirmation: Confirmation) => Effect.Effect<void, TransportError>
  /** Whether the broker is to confirm even what is short; absent: no. */
  readonly confirmsAll?: () => boolean
  /** Tells the peer how much was taken altogether. */
  readonly tellTaken: (taken: number) => void
  readonly proven: Effect.Effect<void>
}

export interface BrokeredEnd {
  readonly connection: Connection
  /** A frame that arrived; dropped where there is no room. */
  readonly offer: (frame: Uint8Array) => void
  /** The peer says how much it took. */
  readonly taken: (total: number) => void
  /** Frames that have arrived can still be taken. */
  readonly lose: (error: TransportError) => void
  readonly isLost: () => boolean
  /** From now on the frames that wait count against another pool. */
  readonly moveTo: (pool: Pool) => void
  /** Forgets the frames that wait. */
  readonly discard: () => void
}

export const makeBrokeredEnd = (options: BrokeredEndOptions): BrokeredEnd => {
  const { confirmsAll = () => false, description, maxFrame, transmit } = options
  const now = monotonic(options.clock)
  let pool = options.pool
  let lost: TransportError | undefined
  const waiting = new Waiting()

  // What arrives.
  let inbox: Array<Uint8Array> = []
  let next = 0
  let held = 0
  const capacity = 2 * Math.max(window, frameCost + maxFrame)
  let takenHere = 0
  let told = 0

  const release = (frame: Uint8Array) => {
    held -= costOf(frame)
    pool.used -= costOf(frame)
  }

  const takeNext = (): Uint8Array | undefined => {
    const frame = inbox[next]
    if (frame === undefined) return undefined
    next += 1
    if (next === inbox.length || next > 256) {
      inbox = inbox.slice(next)
      next = 0
    }
    release(frame)
    takenHere += costOf(frame)
    if (takenHere - told >= quantum) {
      told = takenHere
      options.tellTaken(takenHere)
    }
    return frame
  }

  const offer = (frame: Uint8Array) => {
    const cost = costOf(frame)
    if (lost !== undefined || frame.length > maxFrame || held + cost > capacity || pool.used + cost > pool.most) return
    held += cost
    pool.used += cost
    inbox.push(frame)
    waiting.wake()
  }

  // What goes out.
  let sent = 0
  let takenThere = 0
  let missing = 0
  let mark = { at: now(), sent: 0 }

  const outstanding = () => Math.max(0, sent - missing - takenThere)

  const writeOff = () => {
    if (now() - mark.at < lossMillis) return
    missing += Math.max(0, mark.sent - missing - takenThere - quantum)
    mark = { at: now(), sent }
  }

  let unconfirmed = 0
  let confirmedAt = Number.NEGATIVE_INFINITY
  const quiet = () => unconfirmed === 0 && now() - confirmedAt >= restMillis
  const confirmation = (frame: Uint8Array, expendable: boolean): Confirmation => {
    let waits = false
    return {
      wanted: () => {
        waits = confirmsAll() || !expendable && (frame.length > shortFrame || !quiet())
        if (waits) unconfirmed += 1
        return waits
      },
      settled: () => {
        if (!waits) return
        unconfirmed -= 1
        confirmedAt = now()
      }
    }
  }

  const room = (cost: number): Effect.Effect<void, TransportError> =>
    Effect.suspend(() => {
      if (lost !== undefined) return Effect.fail(lost)
      const free = () => outstanding() === 0 || outstanding() + cost <= window
      writeOff()
      if (free()) {
        sent += cost
        return Effect.void
      }
      return waiting.when(() => lost !== undefined || free() ? Effect.void : undefined).pipe(
        Effect.timeoutOption(lossMillis),
        Effect.andThen(room(cost))
      )
    })

  return {
    connection: {
      description,
      maxFrame,
      strangers: true,
      proven: options.proven,
      send: (frame, { expendable = false } = {}) =>
        frame.length > maxFrame
          ? Effect.die(new Error(`a frame of ${frame.length} bytes was sent, at most ${maxFrame} are allowed`))
          : Effect.andThen(room(costOf(frame)), Effect.suspend(() => transmit(frame, confirmation(frame, expendable)))),
      receive: waiting.when(() => {
        const frame = takeNext()
        if (frame !== undefined) return Effect.succeed(frame)
        return lost === undefined ? undefined : Effect.fail(lost)
      })
    },
    offer,
    taken: (total) => {
      // What was delivered twice, or by strangers, the peer took as well: it may have taken more than was sent, and has room all the same.
      const most = Math.min(total, sent)
      if (!Number.isSafeInteger(total) || most <= takenThere) return
      takenThere = most
      missing = Math.min(missing, sent - takenThere)
      waiting.wake()
    },
    lose: (error) => {
      lost ??= error
      waiting.wake()
    },
    isLost: () => lost !== undefined,
    moveTo: (other) => {
      pool.used -= held
      pool = other
      pool.used += held
    },
    discard: () => {
      pool.used -= held
      held = 0
      inbox = []
      next = 0
    }
  }
}

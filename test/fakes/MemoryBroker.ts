/**
 * An MQTT broker within this process, below the shipped dialer and acceptor, as bad as the test wants it: it restarts, throws away
 * what was under way, delivers twice, keeps retained messages, says wills late. What each host has to it is a line of its own,
 * which may be slow, dark or cut. It is TCP: what a dark line holds back arrives when it is light again, if anybody still waits.
 */
import { Duration, Effect, FiberSet, Random, type Scope } from "effect"
import type { BrokerClient, BrokerEvents, OpenBrokerClient } from "../../adapters/mqtt/BrokerClient.ts"
import { TransportError } from "../../core/link/Transport.ts"
import { worldClock } from "./worldClock.ts"

export interface BrokerWeather {
  /** Chance that what is delivered is delivered again, up to `againMillis` later. */
  readonly duplication: number
  /** Chance that what was acknowledged reaches nobody, as where a queue is full. */
  readonly loss: number
  /** Each delivery takes between these; order is kept within a topic, and not across. */
  readonly delayMillis: readonly [least: number, most: number]
  /** A will that is due is said after so long, at most. */
  readonly willMillis: number
}

export const fairBroker: BrokerWeather = { duplication: 0, loss: 0, delayMillis: [1, 10], willMillis: 0 }

const againMillis = 3_000
/** Of a line on a good day. */
const lineMillis: readonly [number, number] = [2, 20]
const defaultKeepalive = 120_000

/** What one host has to the broker. */
export interface BrokerLine {
  readonly open: OpenBrokerClient
  /** Breaks what is up; both ends notice, and the broker says the will. */
  readonly cut: (why?: string) => Effect.Effect<void>
  /** Nothing arrives on either side, and nobody notices before its pings do. */
  readonly darken: (dark: boolean) => Effect.Effect<void>
  /** While set, the broker cannot be reached, or does not let this host in. */
  readonly refuse: (reason: TransportError["reason"] | undefined) => Effect.Effect<void>
  readonly delay: (delayMillis: readonly [least: number, most: number]) => Effect.Effect<void>
  /** Connections that the broker believes to be up. */
  readonly connected: () => number
  /** How often a connection began or ended there. */
  readonly changes: () => number
  /** How often it went dark or light, and which it is. */
  readonly darkness: () => { readonly times: number; readonly dark: boolean }
  readonly diary: Effect.Effect<ReadonlyArray<string>>
}

/** Things that come one after another, whatever turns at one instant. */
interface Way {
  /** When the newest of them comes. */
  newest: number
  readonly deeds: Array<() => void>
}

interface Client {
  readonly id: string
  readonly line: Line
  readonly events: BrokerEvents
  readonly will: { readonly topic: string; readonly payload: Uint8Array } | undefined
  readonly keepalive: number
  readonly filters: Set<string>
  /** What is on its way to it, by topic, and from it. */
  readonly arrives: Map<string, Way>
  readonly sends: Way
  /** Let in, and not let go yet, as the broker sees it. */
  known: boolean
  /** The host has heard that it is over, or has let go. */
  over: boolean
  readonly unanswered: Set<() => void>
}

interface Line {
  delayMillis: readonly [number, number]
  dark: boolean
  changes: number
  darkened: number
  refusal: TransportError["reason"] | undefined
  readonly held: Array<() => void>
  readonly clients: Set<Client>
  readonly diary: Array<string>
}

export interface MemoryBroker {
  readonly line: (name: string) => BrokerLine
  readonly weather: (change: Partial<BrokerWeather>) => Effect.Effect<void>
  /** Ends all connections; what was under way is gone, and so is what was retained, if it is to be forgotten. */
  readonly stop: (forget: boolean) => Effect.Effect<void>
  readonly start: Effect.Effect<void>
  /** Another client publishes this, as it may where access rules are missing. */
  readonly publish: (topic: string, payload: Uint8Array) => Effect.Effect<void>
  /** Something was left here while nobody listened: whoever subscribes gets it, marked as retained. */
  readonly retain: (topic: string, payload: Uint8Array) => Effect.Effect<void>
  /** Hears everything that is published, as a client does that subscribes to `#`. */
  readonly listen: (hear: (topic: string, payload: Uint8Array) => void) => void
  /** How often each kind of thing came to pass. */
  readonly counts: { retained: number; duplicates: number; lost: number; wills: number; takenOver: number }
}

const matches = (filter: string, topic: string): boolean => {
  const levels = topic.split("/")
  const parts = filter.split("/")
  return parts.length === levels.length && parts.every((part, i) => part === "+" || part === levels[i])
}

const lost = (detail: string) => new TransportError({ reason: "Lost", detail: `broker:1883: ${detail}` })

export const makeMemoryBroker: Effect.Effect<MemoryBroker, never, Scope.Scope> = Effect.gen(function*() {
  const random = yield* Random.Random
  const clock = yield* worldClock
  const fork = yield* FiberSet.makeRuntime()
  const now = () => clock.currentTimeMillisUnsafe()
  const chance = () => random.nextDoubleUnsafe()
  const between = ([least, most]: readonly [number, number]) => least + Math.floor(chance() * (most - least + 1))
  let weather = fairBroker
  let up = true
  /** Of the broker's process: what one had under way the next knows nothing of. */
  let life = 0
  const clients = new Map<string, Client>()
  const retained = new Map<string, Uint8Array>()
  const ears: Array<(topic: string, payload: Uint8Array) => void> = []
  const counts = { retained: 0, duplicates: 0, lost: 0, wills: 0, takenOver: 0 }

  const at = (millis: number, deed: () => void): void =>
    void fork(Effect.andThen(clock.sleep(Duration.millis(Math.max(0, millis - now()))), Effect.sync(deed)))
  const note = (line: Line, what: string) => void line.diary.push(`${now() / 1000}s ${what}`)

  /** Over a line, in order with all else of this client; a dark one holds it. */
  const over = (client: Client, when: number, deed: () => void) =>
    at(when, () => {
      const { line } = client
      if (line.dark) line.held.push(deed)
      else deed()
    })

  const oneAfterAnother = (client: Client, way: Way, soonest: number, deed: () => void) => {
    way.newest = Math.max(way.newest, soonest)
    way.deeds.push(deed)
    over(client, way.newest, () => way.deeds.shift()?.())
  }

  const tellGone = (client: Client, error: TransportError) => {
    if (client.over) return
    client.over = true
    client.line.clients.delete(client)
    note(client.line, error.detail)
    for (const done of client.unanswered) done()
    client.unanswered.clear()
    client.events.gone(error)
  }

  const arriving = (client: Client, topic: string, payload: Uint8Array, isRetained: boolean) => {
    const born = life
    return () => {
      if (client.over || born !== life) return
      if (isRetained) counts.retained += 1
      client.events.message(topic, payload, isRetained)
    }
  }

  const route = (topic: string, payload: Uint8Array) => {
    for (const ear of ears) ear(topic, payload)
    for (const client of clients.values()) {
      if (![...client.filters].some((filter) => matches(filter, topic))) continue
      if (weather.loss > 0 && chance() < weather.loss) {
        counts.lost += 1
        continue
      }
      const way = client.arrives.get(topic) ?? { newest: 0, deeds: [] }
      client.arrives.set(topic, way)
      const soonest = now() + between(weather.delayMillis) + between(client.line.delayMillis)
      oneAfterAnother(client, way, soonest, arriving(client, topic, payload, false))
      if (weather.duplication > 0 && chance() < weather.duplication) {
        counts.duplicates += 1
        over(client, way.newest + between([0, againMillis]), arriving(client, topic, payload, false))
      }
    }
  }

  /** As the broker sees it, this client is gone; `politely` leaves its will unsaid. */
  const drop = (client: Client, politely: boolean) => {
    if (!client.known) return
    client.known = false
    client.line.changes += 1
    if (clients.get(client.id) === client) clients.delete(client.id)
    const { will } = client
    if (politely || will === undefined) return
    counts.wills += 1
    const born = life
    at(now() + between([0, weather.willMillis]), () => {
      if (born === life && up) route(will.topic, will.payload)
    })
  }

  const admit = (client: Client) => {
    const former = clients.get(client.id)
    if (former !== undefined) {
      counts.takenOver += 1
      drop(former, false)
      over(former, now(), () => tellGone(former, lost("another client with the same client id has connected")))
    }
    client.known = true
    client.line.changes += 1
    clients.set(client.id, client)
    note(client.line, `${client.id} is let in`)
    over(client, now() + between(client.line.delayMillis), () => {
      if (!client.over) client.events.accepted({})
    })
  }

  const openOn = (line: Line): OpenBrokerClient => (options, events): BrokerClient => {
    const { clientId, keepalive } = options.broker
    const client: Client = {
      id: clientId,
      line,
      events,
      will: options.will,
      keepalive: typeof keepalive === "number" ? keepalive : defaultKeepalive,
      filters: new Set(),
      arrives: new Map(),
      sends: { newest: 0, deeds: [] },
      known: false,
      over: false,
      unanswered: new Set()
    }
    line.clients.add(client)
    /** What the host sends reaches the broker in order, and is answered after that. */
    const ask = (deed: () => void, answer?: () => void) => {
      if (client.over) return answer?.()
      if (answer !== undefined) client.unanswered.add(answer)
      oneAfterAnother(client, client.sends, now() + between(line.delayMillis), () => {
        if (!client.known) return
        deed()
        if (answer === undefined) return
        over(client, now() + between(line.delayMillis), () => {
          if (client.unanswered.delete(answer)) answer()
        })
      })
    }
    at(now() + between(line.delayMillis), () => {
      if (client.over) return
      const where = "broker:1883"
      if (line.dark) return void line.held.push(() => client.over || !up || admit(client))
      if (line.refusal !== undefined || !up) {
        const reason = line.refusal ?? "Refused"
        return tellGone(client, new TransportError({ reason, detail: `${where}: connect ECONNREFUSED` }))
      }
      admit(client)
    })
    const letGo = (politely: boolean) => {
      if (client.over) return
      client.over = true
      client.unanswered.clear()
      note(line, `${client.id} hangs up`)
      oneAfterAnother(client, client.sends, now() + between(line.delayMillis), () => {
        line.clients.delete(client)
        drop(client, politely)
      })
    }
    return {
      publish: (topic, payload, qos, done) => {
        const deed = () => route(topic, payload)
        if (qos === 1) return ask(deed, () => done(undefined))
        ask(deed)
        // It has left, which is all there is to know of it.
        at(now(), () => done(undefined))
      },
      subscribe: (topics, done) => {
        const codes = topics.map(() => 1)
        ask(() => {
          for (const filter of topics) client.filters.add(filter)
          for (const [topic, payload] of retained) {
            if (topics.some((filter) => matches(filter, topic))) {
              over(client, now() + between(line.delayMillis), arriving(client, topic, payload, true))
            }
          }
        }, () => client.over || done(codes))
      },
      unsubscribe: (topics, done) =>
        ask(() => {
          for (const filter of topics) client.filters.delete(filter)
        }, () => done()),
      leave: Effect.sync(() => letGo(true)),
      cut: () => letGo(false)
    }
  }

  const breakAll = (line: Line, why: string) => {
    line.held.length = 0
    for (const client of [...line.clients]) {
      drop(client, false)
      tellGone(client, lost(why))
    }
    line.clients.clear()
  }

  const lines: Array<Line> = []
  const broker: MemoryBroker = {
    counts,
    line: (name) => {
      const line: Line = {
        delayMillis: lineMillis,
        dark: false,
        changes: 0,
        darkened: 0,
        refusal: undefined,
        held: [],
        clients: new Set(),
        diary: []
      }
      lines.push(line)
      const darken = (dark: boolean) => {
        if (line.dark === dark) return
        line.dark = dark
        const time = ++line.darkened
        note(line, dark ? "goes dark" : "is light again")
        if (!dark) { for (const deed of line.held.splice(0)) deed() }
        for (const client of dark ? line.clients : []) {
          const since = now()
          // Nobody hears the other's pings.
          at(since + 1.5 * client.keepalive, () => line.dark && line.darkened === time && drop(client, false))
          at(since + 2 * client.keepalive, () => {
            if (line.dark && line.darkened === time) tellGone(client, lost("Keepalive timeout"))
          })
        }
      }
      return {
        open: openOn(line),
        cut: (why = `the line of ${name} is cut`) => Effect.sync(() => breakAll(line, why)),
        darken: (dark) => Effect.sync(() => darken(dark)),
        refuse: (reason) => Effect.sync(() => void (line.refusal = reason)),
        delay: (delayMillis) => Effect.sync(() => void (line.delayMillis = delayMillis)),
        connected: () => [...clients.values()].filter((client) => client.line === line).length,
        changes: () => line.changes,
        darkness: () => ({ times: line.darkened, dark: line.dark }),
        diary: Effect.sync(() => [...line.diary])
      }
    },
    weather: (change) => Effect.sync(() => void (weather = { ...weather, ...change })),
    stop: (forget) =>
      Effect.sync(() => {
        up = false
        life += 1
        if (forget) retained.clear()
        for (const client of [...clients.values()]) {
          client.known = false
          client.line.changes += 1
          // Over a dark line nobody hears of it before its pings do.
          over(client, now(), () => tellGone(client, lost("the broker ended the connection")))
        }
        clients.clear()
      }),
    start: Effect.sync(() => void (up = true)),
    publish: (topic, payload) => Effect.sync(() => up && route(topic, payload)),
    retain: (topic, payload) => Effect.sync(() => void retained.set(topic, payload)),
    listen: (hear) => void ears.push(hear)
  }
  return broker
})

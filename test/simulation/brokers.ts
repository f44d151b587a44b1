/** The broker of a storm: everybody's line to it, what its other clients overhear and say, and what must never come of that. */
import { Effect } from "effect"
import { decode, Kind, type Message, provesEnd } from "../../adapters/mqtt/envelope.ts"
import { topicsOf } from "../../adapters/mqtt/topics.ts"
import { SecureRandom } from "../../core/link/SecureRandom.ts"
import { type BrokerLine, fairBroker, makeMemoryBroker, type MemoryBroker } from "../fakes/MemoryBroker.ts"
import type { MemoryTransportControls } from "../fakes/MemoryTransport.ts"
import type { Count } from "./coverage.ts"
import { directly, type Method, type Reach, through, topicNamespaceOf } from "./ways.ts"
import { secretText } from "./workload.ts"

export const brokerRules = [
  "what is retained is answered by nobody",
  "a stranger's word ends no connection",
  "what is overheard cannot be read",
  "what a broker says twice is heard once"
]

/** What was overheard of one device, newest last. */
interface Overheard {
  readonly messages: Array<{ readonly topic: string; readonly payload: Uint8Array }>
  /** Of the connection that it had last. */
  id: string | undefined
  /** Connections that the operator said it has, and those of which it said the contrary. */
  readonly here: Set<string>
  readonly ended: Set<string>
  /** Connections that their device ended, or whose will said so. */
  readonly hungUp: Set<string>
}

export interface Brokers {
  readonly broker: MemoryBroker
  readonly reach: (
    device: string,
    methods: ReadonlyArray<Method> | undefined
  ) => (direct: MemoryTransportControls) => Reach
  readonly host: (operator: string) => BrokerLine
  readonly hosts: () => ReadonlyArray<BrokerLine>
  readonly overheard: (device: string) => Overheard | undefined
  /** A stranger publishes this. */
  readonly say: (topic: string, payload: Uint8Array) => Effect.Effect<void>
  /** Whoever answers to this connection answers to what was retained. */
  readonly retains: (id: string) => void
  /** A stranger says that this connection is over, and asks whether it is. */
  readonly denies: (device: string, id: string) => Effect.Effect<void>
  readonly heal: Effect.Effect<void>
}

/** Messages of each device that a stranger remembers. */
const remembered = 64

export const makeBrokers = Effect.fnUntraced(function*({ count, holderOf, note, violated }: {
  readonly count: Count
  /** Which process has this device now; one that takes it over keeps no connection of the former one. */
  readonly holderOf: (device: string) => string | undefined
  readonly note: (what: string) => Effect.Effect<void>
  readonly violated: (what: string) => void
}) {
  const broker = yield* makeMemoryBroker
  const random = yield* SecureRandom
  const heard = new Map<string, Overheard>()
  const byTopic = new Map<string, { readonly device: string; readonly down: boolean }>()
  const retained = new Set<string>()
  const hosts = new Map<string, BrokerLine>()
  const lines = new Map<string, BrokerLine>()

  const take = (each: Overheard, { body, id, kind }: Message, down: boolean) => {
    if (id === "") return
    if (down && kind === Kind.Here) each.here.add(id)
    if (down && kind === Kind.End) each.ended.add(id)
    if (!down && kind === Kind.Frame && body.length > 0) each.id = id
    if (!down && kind === Kind.End && provesEnd({ body, id, kind })) each.hungUp.add(id)
  }
  let strange = false
  const say = (topic: string, payload: Uint8Array) =>
    Effect.suspend(() => {
      strange = true
      return broker.publish(topic, payload)
    }).pipe(Effect.ensuring(Effect.sync(() => void (strange = false))))
  broker.listen((topic, payload) => {
    if (strange) return
    const place = byTopic.get(topic)
    const each = place && heard.get(place.device)
    if (place === undefined || each === undefined) return
    if (place.down && payload.length > secretText.length) {
      count("rule: what is overheard cannot be read")
      if (Buffer.from(payload).includes(secretText)) violated(`who listens at the broker reads a Secret on ${topic}`)
    }
    each.messages.push({ topic, payload })
    if (each.messages.length > remembered) each.messages.shift()
    const message = decode(payload)
    if (message === undefined) return
    take(each, message, place.down)
    if (place.down && retained.has(message.id)) {
      violated(`an operator answers on ${topic} to what was retained (${message.id})`)
    }
  })

  const learn = (device: string) => {
    const { command, message, status } = topicsOf(topicNamespaceOf(device))
    heard.set(device, { messages: [], id: undefined, here: new Set(), ended: new Set(), hungUp: new Set() })
    byTopic.set(command, { device, down: true })
    for (const topic of [message, status]) byTopic.set(topic, { device, down: false })
  }

  const denies = Effect.fnUntraced(function*(device: string, id: string) {
    const each = heard.get(device)
    if (each === undefined) return
    const { message, status } = topicsOf(topicNamespaceOf(device))
    const ask = say(message, envelope(Kind.Ask, id))
    each.here.delete(id)
    const line = lines.get(device)
    const seen = () =>
      [line, ...hosts.values()].reduce((sum, each) => sum + (each?.changes() ?? 0), broker.counts.lost)
      + (line?.darkness().times ?? 0)
    // What lies on a dark line may be given up at any moment, and nobody else has said so.
    if (line?.darkness().dark === true) return
    const [before, holder] = [seen(), holderOf(device)]
    yield* ask
    yield* Effect.sleep(answerMillis)
    if (!each.here.delete(id) || each.ended.has(id)) return
    yield* say(status, envelope(Kind.End, id))
    yield* say(message, envelope(Kind.End, id, new Uint8Array(16)))
    yield* Effect.sleep(answerMillis)
    yield* ask
    yield* Effect.sleep(answerMillis)
    if (seen() !== before || holderOf(device) !== holder || each.hungUp.has(id)) return
    if (each.here.has(id)) count("rule: a stranger's word ends no connection")
    else if (each.ended.has(id)) violated(`${device}'s connection ${id} is over, because a stranger said so`)
  })

  const brokers: Brokers = {
    broker,
    reach: (device, methods) => {
      if (methods === undefined) return directly
      learn(device)
      const line = broker.line(device)
      lines.set(device, line)
      return through(device, line, methods, random)
    },
    host: (operator) => {
      const line = hosts.get(operator) ?? broker.line(operator)
      hosts.set(operator, line)
      return line
    },
    hosts: () => [...hosts.values()],
    overheard: (device) => heard.get(device),
    say,
    retains: (id) => void retained.add(id),
    denies,
    heal: Effect.gen(function*() {
      yield* broker.weather(fairBroker)
      yield* broker.start
      for (const line of hosts.values()) {
        yield* line.darken(false)
        yield* line.refuse(undefined)
      }
      const { duplicates, retained: left } = broker.counts
      count("rule: what is retained is answered by nobody", left)
      count("rule: what a broker says twice is heard once", duplicates)
      yield* note(`at the broker: ${JSON.stringify(broker.counts)}`)
    })
  }
  return brokers
})

/** Longer than it takes from one client through the broker to another and back. */
const answerMillis = 700

export const envelope = (kind: Kind, id: string, body: Uint8Array = new Uint8Array(0)): Uint8Array =>
  Buffer.concat([Buffer.of(kind), Buffer.from(id, "hex"), body])

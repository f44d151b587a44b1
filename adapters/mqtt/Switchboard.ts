/** Which of an operator's connections a message is for: makes new ones within limits, ends them, and forgets what strangers make up. */
import { type Clock, Effect } from "effect"
import { type Connection, TransportError } from "../../core/link/Transport.ts"
import type { BrokerConnection } from "./brokerConnection.ts"
import { type BrokeredEnd, makeBrokeredEnd, type Pool } from "./brokeredEnd.ts"
import { creditIn, decode, encode, encodeCredit, Kind, type Message, provesEnd } from "./envelope.ts"
import { topicsOf } from "./topics.ts"

/** Connections whose device has not proven its key: in one namespace, and altogether. One of them makes room for the next. */
const unprovenInNamespace = 64
const unprovenAtAll = 8192
/** New connections in one namespace: at once, and per second after that. */
const newAtOnce = 100
const newPerSecond = 50
/** Bytes that wait to be read: of connections that have proven nothing, and of the others. */
const unprovenMemory = 16 * 1024 * 1024
const provenMemory = 256 * 1024 * 1024

interface Peer {
  readonly topicNamespace: string
  readonly key: string
  readonly id: string
  readonly end: BrokeredEnd
  readonly through: BrokerConnection
  proven: boolean
}

interface Namespace {
  readonly unproven: Set<Peer>
  readonly command: string
  tokens: number
  filledAt: number
}

export interface SwitchboardOptions {
  readonly broker: string
  readonly maxFrame: number
  readonly maxConnections: number
  readonly clock: Clock.Clock
  readonly random: { readonly nextDoubleUnsafe: () => number }
  /** Others may have connections in this namespace: what is not known here may be known to them. Absent: in none. */
  readonly isShared?: ((topicNamespace: string) => boolean) | undefined
  /** Serves a connection until it is done with it, then calls `done`. */
  readonly serve: (connection: Connection, done: () => void) => void
}

const keyOf = (topicNamespace: string, id: string) => `${topicNamespace}\0${id}`

export class Switchboard {
  private readonly options: SwitchboardOptions
  private readonly peers = new Map<string, Peer>()
  private readonly namespaces = new Map<string, Namespace>()
  private readonly routes = new Map<string, { readonly topicNamespace: string; readonly dying: boolean }>()
  private readonly unproven = new Set<Peer>()
  private readonly young: Pool = { used: 0, most: unprovenMemory }
  private readonly grown: Pool = { used: 0, most: provenMemory }

  constructor(options: SwitchboardOptions) {
    this.options = options
  }

  /** All namespaces whose messages count; connections of others are lost. */
  serveNamespaces(served: ReadonlySet<string>): void {
    for (const topicNamespace of served) {
      if (this.namespaces.has(topicNamespace)) continue
      const { command, message, status } = topicsOf(topicNamespace)
      const filledAt = this.options.clock.currentTimeMillisUnsafe()
      this.namespaces.set(topicNamespace, { unproven: new Set(), command, tokens: newAtOnce, filledAt })
      this.routes.set(message, { topicNamespace, dying: false })
      this.routes.set(status, { topicNamespace, dying: true })
    }
    for (const topicNamespace of [...this.namespaces.keys()]) {
      if (served.has(topicNamespace)) continue
      const { message, status } = topicsOf(topicNamespace)
      this.namespaces.delete(topicNamespace)
      this.routes.delete(message)
      this.routes.delete(status)
      for (const peer of this.peers.values()) {
        if (peer.topicNamespace === topicNamespace) this.lose(peer, "its topic namespace is not served any more")
      }
    }
  }

  /** What came from the broker. */
  deliver(through: BrokerConnection, topic: string, payload: Uint8Array): void {
    const route = this.routes.get(topic)
    const namespace = route && this.namespaces.get(route.topicNamespace)
    const message = namespace && decode(payload)
    if (route === undefined || namespace === undefined || message === undefined) return
    if (route.dying && message.kind !== Kind.End) return
    const peer = this.peers.get(keyOf(route.topicNamespace, message.id))
    if (peer === undefined) this.unknown(through, route.topicNamespace, namespace, message)
    else if (!peer.end.isLost()) this.known(peer, namespace, message, route.dying)
    else if (message.kind !== Kind.End) this.hintEnd(through, route.topicNamespace, namespace, message.id)
  }

  private hintEnd(through: BrokerConnection, topicNamespace: string, { command }: Namespace, id: string): void {
    if (this.options.isShared?.(topicNamespace) !== true) through.hint(command, encode(Kind.End, id))
  }

  /** The broker is gone, and with it every connection through it. */
  loseAll(through: BrokerConnection, error: TransportError): void {
    for (const peer of this.peers.values()) if (peer.through === through) peer.end.lose(error)
  }

  private known(peer: Peer, namespace: Namespace, message: Message, dying: boolean): void {
    switch (message.kind) {
      case Kind.Open:
      case Kind.Frame:
        return peer.end.offer(message.body)
      case Kind.Credit:
        return peer.end.taken(creditIn(message))
      case Kind.Ask:
        return peer.through.hint(namespace.command, encode(Kind.Here, peer.id))
      case Kind.End:
        if (provesEnd(message)) this.lose(peer, dying ? "the broker lost the device" : "the device hung up")
    }
  }

  private unknown(through: BrokerConnection, topicNamespace: string, namespace: Namespace, message: Message): void {
    if (message.kind === Kind.Open) return this.open(through, topicNamespace, namespace, message)
    if (message.kind === Kind.Frame || message.kind === Kind.Ask) {
      this.hintEnd(through, topicNamespace, namespace, message.id)
    }
  }

  private open(through: BrokerConnection, topicNamespace: string, namespace: Namespace, { body, id }: Message): void {
    const { broker, clock, maxConnections, maxFrame, serve } = this.options
    if (this.peers.size >= maxConnections || !this.mayOpen(namespace)) return
    if (namespace.unproven.size >= unprovenInNamespace) this.makeRoom(namespace.unproven)
    if (this.unproven.size >= unprovenAtAll) this.makeRoom(this.unproven)

    const key = keyOf(topicNamespace, id)
    const end = makeBrokeredEnd({
      description: `mqtt ${broker} ${topicNamespace} ${id}`,
      maxFrame,
      clock,
      pool: this.young,
      transmit: (frame, confirmation) =>
        through.publish(namespace.command, encode(Kind.Frame, id, frame), {
          confirmation,
          refused: (error) => this.lose(peer, error.detail)
        }),
      tellTaken: (taken) => through.hint(namespace.command, encodeCredit(id, taken)),
      proven: Effect.sync(() => {
        if (peer.proven) return
        peer.proven = true
        this.unproven.delete(peer)
        namespace.unproven.delete(peer)
        if (this.peers.get(key) === peer) end.moveTo(this.grown)
      })
    })
    const peer: Peer = { topicNamespace, key, id, end, through, proven: false }
    this.peers.set(key, peer)
    this.unproven.add(peer)
    namespace.unproven.add(peer)
    end.offer(body)
    serve({ ...end.connection, place: topicNamespace }, () => {
      if (!end.isLost()) this.hintEnd(through, topicNamespace, namespace, id)
      this.lose(peer, "the operator hung up")
      end.discard()
      this.peers.delete(key)
      this.unproven.delete(peer)
      namespace.unproven.delete(peer)
    })
  }

  private mayOpen(namespace: Namespace): boolean {
    const now = this.options.clock.currentTimeMillisUnsafe()
    const grown = namespace.tokens + Math.max(0, now - namespace.filledAt) / 1000 * newPerSecond
    namespace.tokens = Math.min(newAtOnce, grown)
    namespace.filledAt = now
    if (namespace.tokens < 1) return false
    namespace.tokens -= 1
    return true
  }

  /** Any of them, by chance: under a flood the oldest would always be the one that means it. */
  private makeRoom(peers: Set<Peer>): void {
    let left = Math.floor(this.options.random.nextDoubleUnsafe() * peers.size)
    for (const peer of peers) {
      if (left-- > 0) continue
      this.unproven.delete(peer)
      this.namespaces.get(peer.topicNamespace)?.unproven.delete(peer)
      return this.lose(peer, "too many connections have proven nothing yet")
    }
  }

  private lose(peer: Peer, detail: string): void {
    peer.end.lose(new TransportError({ reason: "Lost", detail }))
  }
}

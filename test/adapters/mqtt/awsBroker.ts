/**
 * A broker that enforces what AWS IoT Core does (its "message broker and protocol" quotas and policies) and cuts off whoever does
 * not keep to it: a certificate for each thing, client id = thing name, topics by policy, 128 KiB, QoS 0 and 1, nothing retained,
 * a hundred publishes a second.
 */
import type { AuthenticateError, Client } from "aedes"
import { Effect, type Scope } from "effect"
import { createServer, type TLSSocket } from "node:tls"
import type { Authority } from "../grpc/certificates.ts"
import { aedesBroker } from "./aedesBroker.ts"

export interface Policy {
  readonly publish: ReadonlyArray<string>
  readonly subscribe: ReadonlyArray<string>
}

export interface AwsBroker {
  readonly port: number
  /** What clients were cut off for. */
  readonly offences: ReadonlyArray<string>
  /** Names of those connected. */
  readonly connected: ReadonlySet<string>
  readonly subscriptions: ReadonlyMap<string, ReadonlySet<string>>
}

const mostPayload = 128 * 1024
const mostTopicBytes = 256
const mostSlashes = 7
const mostTopicsAtOnce = 8
const mostSubscriptions = 50
const mostPublishes = 100

const matches = (filter: string, topic: string) => {
  const levels = topic.split("/")
  const wanted = filter.split("/")
  return wanted.length === levels.length && wanted.every((level, at) => level === "+" || level === levels[at])
}

/** `policies`: by thing name, which is the common name of its certificate. */
export const awsBroker = Effect.fnUntraced(function*(
  authority: Authority,
  policies: Readonly<Record<string, Policy>>,
  options: { readonly alpn?: boolean } = {}
): Effect.fn.Return<AwsBroker, never, Scope.Scope> {
  const { alpn = true } = options
  const own = authority.issue("iot.example")
  const offences: Array<string> = []
  const connected = new Set<string>()
  const subscriptions = new Map<string, Set<string>>()
  const things = new WeakMap<object, string>()
  /** When each client published lately. */
  const publishes = new Map<string, Array<number>>()
  const isTooFast = (id: string): boolean => {
    const now = performance.now()
    const lately = [...publishes.get(id)?.filter((at) => at > now - 1000) ?? [], now]
    publishes.set(id, lately)
    return lately.length > mostPublishes
  }

  const offend = (what: string) => {
    offences.push(what)
    return new Error(what)
  }
  const wrongTopic = (topic: string) =>
    Buffer.byteLength(topic) > mostTopicBytes || topic.split("/").length - 1 > mostSlashes

  const { broker, port } = yield* aedesBroker({
    preConnect: (client, packet, done) => {
      const thing = things.get(client.conn)
      if (thing === undefined || policies[thing] === undefined) return done(offend("no policy"), false)
      if (packet.clientId !== thing) return done(offend(`client id ${packet.clientId} of thing ${thing}`), false)
      if (packet.will?.retain) return done(offend("a retained will"), false)
      if ((packet.will?.qos ?? 0) > 1) return done(offend("a will of QoS 2"), false)
      const { keepalive = 0 } = packet
      if (keepalive < 30 || keepalive > 1200) return done(offend(`a keepalive of ${keepalive} s`), false)
      done(null, true)
    },
    authenticate: (_, username, __, done) => {
      if (username === undefined || username === null) return done(null, true)
      done(Object.assign(offend("a username"), { returnCode: 5 }) as AuthenticateError, false)
    },
    authorizePublish: (client, packet, done) => {
      const policy = policies[client?.id ?? ""]
      if (client === null || policy === undefined) return done(null)
      if (isTooFast(client.id)) return done(offend(`more than ${mostPublishes} publishes in a second`))
      if (packet.retain) return done(offend("a retained message"))
      if (packet.qos > 1) return done(offend("QoS 2"))
      if (packet.payload.length > mostPayload) return done(offend(`a payload of ${packet.payload.length} bytes`))
      if (wrongTopic(packet.topic)) return done(offend(`topic ${packet.topic}`))
      if (!policy.publish.some((filter) => matches(filter, packet.topic))) {
        return done(offend(`publishing on ${packet.topic}`))
      }
      done(null)
    },
    authorizeSubscribe: (client: Client, subscription, done) => {
      const { qos, topic } = subscription
      const mine = subscriptions.get(client.id) ?? new Set()
      subscriptions.set(client.id, mine)
      if (wrongTopic(topic) || qos > 1) return done(offend(`subscribing to ${topic} with QoS ${qos}`), null)
      if (mine.size >= mostSubscriptions) {
        offences.push(`more than ${mostSubscriptions} subscriptions`)
        return done(null, null)
      }
      if (!policies[client.id]?.subscribe.some((filter) => filter === topic || matches(filter, topic))) {
        offences.push(`subscribing to ${topic}`)
        return done(null, null)
      }
      mine.add(topic)
      done(null, subscription)
    }
  }, (handle) =>
    createServer({
      key: Buffer.from(own.key),
      cert: Buffer.from(own.cert),
      ca: Buffer.from(authority.cert),
      requestCert: true,
      rejectUnauthorized: true,
      // On 443 whoever does not ask for it gets no MQTT.
      ALPNCallback: ({ protocols }) => protocols.includes("x-amzn-mqtt-ca") ? "x-amzn-mqtt-ca" : undefined
    }, (socket: TLSSocket) => {
      socket.on("error", () => {})
      if (alpn && socket.alpnProtocol !== "x-amzn-mqtt-ca") {
        offences.push("no ALPN")
        return void socket.destroy()
      }
      things.set(socket, String(socket.getPeerCertificate().subject.CN))
      handle(socket)
    }))
  broker.on("client", ({ id }: Client) => connected.add(id))
  broker.on("clientDisconnect", ({ id }: Client) => {
    connected.delete(id)
    subscriptions.delete(id)
  })
  broker.on("unsubscribe", (topics: ReadonlyArray<string>, { id }: Client) => {
    for (const topic of topics) subscriptions.get(id)?.delete(topic)
  })
  broker.on("subscribe", (asked: ReadonlyArray<unknown>, client: Client) => {
    if (asked.length > mostTopicsAtOnce) {
      offences.push(`${asked.length} topics in one SUBSCRIBE`)
      client.close()
    }
  })
  return { port, offences, connected, subscriptions }
})

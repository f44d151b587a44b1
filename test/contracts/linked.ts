/** Real link servers and clients over whatever carries them, which echo requests and count them. */
import { Effect, Layer, Option, Stream, SubscriptionRef } from "effect"
import { Cryptography } from "../../core/link/Cryptography.ts"
import { Admission, LinkMemory } from "../../core/link/Hello.ts"
import { LinkClient } from "../../core/link/LinkClient.ts"
import { LinkServer } from "../../core/link/LinkServer.ts"
import { defaultTimings, LinkTimings, type LinkTimings as Timings } from "../../core/link/LinkTimings.ts"
import type { Handlers, Session } from "../../core/link/Session.ts"
import { type Acceptor, Acceptors, type Dialer, Dialers } from "../../core/link/Transport.ts"

const operatorKey = new Uint8Array(32).fill(21)
const deviceKey = new Uint8Array(32).fill(22)

/** Tries again soon, and lets nobody who asks one thing after the other wait. */
export const hasty: Timings = {
  ...defaultTimings,
  backoffFirstMillis: 100,
  backoffMostMillis: 1000,
  replyDelayMillis: 0
}

export interface Served {
  /** Requests in the order of their coming, as text. */
  readonly asked: Array<string>
  /** The operator's ends of the sessions, each time one began. */
  readonly sessions: Array<Session>
  /** Devices that were given a session, each time. */
  readonly admitted: Array<string>
  /** Connections that are served, and the most there ever were. */
  now: number
  most: number
}

export const operatorOn = Effect.fnUntraced(function*(acceptor: Acceptor, timings: Timings = hasty) {
  const served: Served = { asked: [], sessions: [], admitted: [], now: 0, most: 0 }
  const counting: Acceptor = {
    method: acceptor.method,
    run: (serve) =>
      acceptor.run((connection) =>
        Effect.suspend(() => {
          served.now += 1
          served.most = Math.max(served.most, served.now)
          return serve(connection)
        }).pipe(Effect.ensuring(Effect.sync(() => void (served.now -= 1))))
      )
  }
  const echo: Handlers = {
    onRequest: (message) =>
      Effect.sync(() => {
        served.asked.push(new TextDecoder().decode(message))
        return message
      }),
    onOpen: (_, channel) => Stream.runForEach(channel.messages, channel.send)
  }
  const server = yield* LinkServer.make({
    privateKey: operatorKey,
    operatorVersion: "test",
    onSession: (session) =>
      Effect.sync(() => {
        served.sessions.push(session)
        return echo
      })
  }).pipe(Effect.provide(Layer.mergeAll(
    Layer.succeed(LinkTimings, timings),
    Layer.succeed(Acceptors, [counting]),
    Layer.succeed(Admission, {
      challenge: () => Effect.succeed({ psk: undefined }),
      admit: (hello) =>
        Effect.sync(() => {
          served.admitted.push(hello.device)
          return { epoch: 1, lineage: Uint8Array.of(1) }
        })
    })
  )))
  const running = yield* Effect.forkScoped(server.run)
  return { server, served, running }
})

export const deviceOn = Effect.fnUntraced(function*(
  device: string,
  dialer: Dialer,
  timings: Timings = hasty,
  /** Echoes unless told. */
  handlers: Effect.Effect<Handlers> = Effect.succeed<Handlers>({
    onRequest: (message) => Effect.succeed(message),
    onOpen: (_, channel) => Stream.runForEach(channel.messages, channel.send)
  })
) {
  const cryptography = yield* Cryptography
  const client = yield* LinkClient.make({
    namespace: "edge",
    device,
    privateKey: deviceKey,
    operatorPublic: cryptography.x25519Public(operatorKey),
    agentVersion: "test",
    capabilities: [],
    onSession: () => handlers
  }).pipe(Effect.provide(Layer.mergeAll(
    Layer.succeed(LinkTimings, timings),
    Layer.succeed(Dialers, [dialer]),
    Layer.succeed(LinkMemory, {
      load: Effect.succeed({ journalId: device, bootId: "boot", epoch: 0, lineage: new Uint8Array(0) }),
      save: () => Effect.void,
      digest: Effect.succeed(new Uint8Array(0))
    })
  )))
  const running = yield* Effect.forkScoped(client.run)
  /** The session there is, or the next one. */
  const session = SubscriptionRef.changes(client.current).pipe(
    Stream.filter(Option.isSome),
    Stream.map(({ value }): Session => value),
    Stream.runHead,
    Effect.map(Option.getOrThrow),
    Effect.timeout("40 seconds")
  )
  return { client, running, session }
})

/** An operator and a device with a memory transport between them, and what both remember. */
import { Cause, Effect, Exit, type Latch, Layer, Logger, Option, References, type Scope, Stream } from "effect"
import { NodeCryptography } from "../../../adapters/crypto/NodeCryptography.ts"
import { Cryptography } from "../../../core/link/Cryptography.ts"
import { Admission, type DeviceHello, LinkMemory, type OperatorHello } from "../../../core/link/Hello.ts"
import { LinkClient } from "../../../core/link/LinkClient.ts"
import { defaultLimits, LinkLimits } from "../../../core/link/LinkLimits.ts"
import { LinkServer } from "../../../core/link/LinkServer.ts"
import { defaultTimings, LinkTimings } from "../../../core/link/LinkTimings.ts"
import { type LinkUsage, LinkWitness } from "../../../core/link/LinkUsage.ts"
import type { SecureRandom } from "../../../core/link/SecureRandom.ts"
import type { Handlers, LinkError, Session } from "../../../core/link/Session.ts"
import { type Acceptor, Acceptors, type Dialer, Dialers } from "../../../core/link/Transport.ts"
import {
  MemoryTransport,
  type MemoryTransportControls,
  type MemoryTransportOptions
} from "../../fakes/MemoryTransport.ts"
import { SeededSecureRandom } from "../../fakes/SeededSecureRandom.ts"
import { simulate } from "../../simulation/VirtualTime.ts"

export const text = (value: string) => new TextEncoder().encode(value)
export const string = (value: Uint8Array) => new TextDecoder().decode(value)

export const operatorKey = Uint8Array.from({ length: 32 }, (_, index) => index + 1)
export const deviceKey = Uint8Array.from({ length: 32 }, (_, index) => 100 + index)

/** Echoes requests and channels. */
export const echo: Handlers = {
  onRequest: (message) => Effect.succeed(message),
  onOpen: (_, channel) => Stream.runForEach(channel.messages, channel.send)
}

export interface WorldOptions {
  /** Given what asks a session how much it holds, for each session. */
  readonly witness?: (usage: () => LinkUsage) => void
  readonly operator?: (session: Session, hello: DeviceHello) => Effect.Effect<Handlers>
  readonly device?: (session: Session, hello: OperatorHello) => Effect.Effect<Handlers>
  readonly admit?: Admission["Service"]["admit"]
  readonly challenge?: Admission["Service"]["challenge"]
  readonly timings?: Partial<LinkTimings>
  /** Where the operator's differ from those the device was started with. */
  readonly operatorTimings?: Partial<LinkTimings>
  readonly limits?: Partial<LinkLimits>
  readonly capabilities?: { readonly device: ReadonlyArray<string>; readonly operator: ReadonlyArray<string> }
  readonly transport?: MemoryTransportOptions
  /** A second method, `backup`, behind the first. */
  readonly backup?: boolean | MemoryTransportOptions
  /** Another choice of ways to the operator than the world's own, best first. */
  readonly dialers?: (own: ReadonlyArray<Dialer>) => ReadonlyArray<Dialer>
  /** Other doors of the operator than the world's own. */
  readonly acceptors?: (own: ReadonlyArray<Acceptor>) => ReadonlyArray<Acceptor>
  /** Whom connections let in, by place. */
  readonly admits?: (device: { readonly namespace: string; readonly device: string }) => Effect.Effect<boolean>
  /** Takes what the device warns of. */
  readonly warnings?: Array<string>
  readonly memory?: { epoch: number; lineage: Uint8Array }
  readonly privateKey?: Uint8Array
  readonly operatorPublic?: Uint8Array
  readonly psk?: Uint8Array
}

/** Everything that a test of the link wants to see. */
export const makeWorld = Effect.fnUntraced(function*(options: WorldOptions = {}) {
  const cryptography = yield* Cryptography
  const transport: MemoryTransportControls = yield* MemoryTransport.make(options.transport)
  const { backup: second = false } = options
  const backup = yield* MemoryTransport.make({ method: "backup", ...(second === true ? {} : second || {}) })
  const both = second === false ? [transport] : [transport, backup]
  const admitted: Array<{ readonly hello: DeviceHello; readonly live: { readonly instance: string } | undefined }> = []
  const saved: Array<number> = []
  const memory = options.memory ?? { epoch: 0, lineage: new Uint8Array(0) }
  const sessions: { readonly operator: Array<Session>; readonly device: Array<Session> } = { operator: [], device: [] }

  const services = Layer.mergeAll(
    Layer.succeed(LinkWitness, (_, usage) => Effect.sync(() => options.witness?.(usage))),
    Layer.succeed(LinkTimings, { ...defaultTimings, ...options.timings }),
    Layer.succeed(LinkLimits, { ...defaultLimits, ...options.limits }),
    Layer.succeed(Dialers, (options.dialers ?? ((own) => own))(both.map(({ dialer }) => dialer))),
    Layer.succeed(
      Acceptors,
      (options.acceptors ?? ((own) => own))(both.map(({ acceptor }): Acceptor => ({
        ...acceptor,
        run: (serve) =>
          acceptor.run((met) => serve(options.admits === undefined ? met : { ...met, admits: options.admits }))
      })))
    ),
    Layer.succeed(Admission, {
      challenge: options.challenge ?? (() => Effect.succeed({ psk: undefined })),
      admit: (hello, proven, live) =>
        Effect.suspend(() => {
          admitted.push({ hello, live })
          return options.admit?.(hello, proven, live) ??
            Effect.succeed({ epoch: 1, lineage: Uint8Array.of(admitted.length) })
        })
    }),
    Layer.succeed(LinkMemory, {
      load: Effect.sync(() => ({ journalId: "journal", bootId: "boot", ...memory })),
      save: (accepted) =>
        Effect.sync(() => {
          saved.push(accepted.epoch)
          Object.assign(memory, accepted)
        }),
      digest: Effect.succeed(Uint8Array.of(7))
    })
  )

  const server = yield* LinkServer.make({
    privateKey: operatorKey,
    operatorVersion: "test",
    ...(options.capabilities === undefined ? {} : { capabilities: options.capabilities.operator }),
    onSession: (session, hello) => {
      sessions.operator.push(session)
      return options.operator?.(session, hello) ?? Effect.succeed(echo)
    }
  }).pipe(
    Effect.provideService(LinkTimings, { ...defaultTimings, ...options.timings, ...options.operatorTimings }),
    Effect.provide(services)
  )

  const makeClient = (changed: Partial<{ device: string; privateKey: Uint8Array; operatorPublic: Uint8Array }> = {}) =>
    LinkClient.make({
      namespace: "default",
      device: "edge-1",
      privateKey: options.privateKey ?? deviceKey,
      operatorPublic: options.operatorPublic ?? cryptography.x25519Public(operatorKey),
      psk: options.psk,
      agentVersion: "test",
      capabilities: options.capabilities?.device ?? [],
      onSession: (session, hello) => {
        sessions.device.push(session)
        return options.device?.(session, hello) ?? Effect.succeed(echo)
      },
      ...changed
    }).pipe(Effect.provide(services))

  const client = yield* makeClient()
  const serving = yield* Effect.forkScoped(server.run)
  // The listener must be there before the first dial.
  yield* Effect.sleep(1)
  const { warnings } = options
  const dialing = yield* Effect.forkScoped(
    warnings === undefined ? client.run : client.run.pipe(
      Effect.provide(Logger.layer([Logger.make(({ message }) => void warnings.push(String(message)))])),
      Effect.provideService(References.MinimumLogLevel, "Warn")
    )
  )

  const session = (side: "operator" | "device", number = 1): Effect.Effect<Session> =>
    Effect.gen(function*() {
      for (let tries = 0; tries < 100_000; tries++) {
        const found = sessions[side][number - 1]
        if (found !== undefined) return found
        yield* Effect.sleep(50)
      }
      return yield* Effect.die(new Error(`no session ${number} on the ${side}'s side`))
    })

  return {
    transport,
    backup,
    server,
    client,
    makeClient,
    serving,
    dialing,
    admitted,
    saved,
    memory,
    sessions,
    session,
    services
  }
})

/**
 * What a broker can make of the first connection: one frame of it, counted from 1, arrives only when the latch opens, be the device
 * there or not, and nothing after it.
 */
export const lateFrame = (number: number, latch: Latch.Latch) => (acceptor: Acceptor): Acceptor => {
  let connections = 0
  return {
    ...acceptor,
    run: (serve) =>
      acceptor.run((connection) => {
        if (connections++ > 0) return serve(connection)
        let frames = 0
        return serve({
          ...connection,
          send: (frame) => Effect.ignore(connection.send(frame)),
          receive: Effect.suspend(() =>
            frames === number
              ? Effect.never
              : Effect.tap(connection.receive, () => ++frames === number ? latch.await : Effect.void)
          )
        })
      })
  }
}

/** The error an effect fails with; anything else is a defect of the test. */
export const failure = <A>(effect: Effect.Effect<A, LinkError>): Effect.Effect<LinkError> =>
  Effect.flatMap(Effect.exit(effect), (exit) => {
    if (Exit.isSuccess(exit)) return Effect.die(new Error("it succeeded"))
    const found = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
    return found === undefined ? Effect.failCause(exit.cause as Cause.Cause<never>) : Effect.succeed(found)
  })

const base = Layer.mergeAll(NodeCryptography.layer, SeededSecureRandom.layer)

export type World = Effect.Success<ReturnType<typeof makeWorld>>

/** Runs the body in a world of its own, in virtual time, every choice drawn from the seed. */
export const inWorld = <A, E>(
  options: WorldOptions,
  body: (world: World) => Effect.Effect<A, E, Scope.Scope | Cryptography | SecureRandom>,
  seed = 1
): Effect.Effect<A, E> =>
  simulate(seed, () => Effect.scoped(Effect.flatMap(makeWorld(options), body)).pipe(Effect.provide(base)))

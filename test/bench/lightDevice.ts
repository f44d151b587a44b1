/** A device light enough to have hundreds of: the shipped agent over gRPC with TLS, on an in-memory runtime, journal and files. */
import { Context, Effect, Layer } from "effect"
import { Base64 } from "effect/encoding"
import { NodeCryptography } from "../../adapters/crypto/NodeCryptography.ts"
import { makeGrpcDialer } from "../../adapters/grpc/GrpcDialer.ts"
import { makeMqttDialer } from "../../adapters/mqtt/MqttDialer.ts"
import { agent, mailLayer } from "../../core/agent/Agent.ts"
import { AgentSettings } from "../../core/agent/AgentSettings.ts"
import { deviceMemory } from "../../core/agent/deviceMemory.ts"
import { Cryptography } from "../../core/link/Cryptography.ts"
import { SecureRandom } from "../../core/link/SecureRandom.ts"
import { type Dialer, Dialers } from "../../core/link/Transport.ts"
import { PodMachine } from "../../core/pod/machine/PodMachine.ts"
import { MemoryFiles } from "../fakes/MemoryFiles.ts"
import { MemoryHost } from "../fakes/MemoryHost.ts"
import { MemoryJournal } from "../fakes/MemoryJournal.ts"
import { MemoryRuntime } from "../fakes/MemoryRuntime.ts"
import type { DeviceSetting } from "./FleetMessage.ts"

/** A dialer whose connections count the bytes of their frames. */
const counting = (dialer: Dialer, count: (bytes: number) => void): Dialer => ({
  method: dialer.method,
  connect: Effect.map(dialer.connect, (connection) => ({
    ...connection,
    send: (frame, options) => Effect.andThen(Effect.sync(() => count(frame.length)), connection.send(frame, options)),
    receive: Effect.tap(connection.receive, (frame) => Effect.sync(() => count(frame.length)))
  }))
})

/** The name in the certificates of the bench. */
const serverName = "localhost"

const dialerOf = ({ ca, host = serverName, mqtt, name, port }: DeviceSetting & { readonly ca: Uint8Array }): Dialer =>
  mqtt === undefined
    ? makeGrpcDialer({ target: `${host}:${port}`, tls: { ca, serverName } })
    : makeMqttDialer({
      topicNamespace: mqtt.topicNamespace,
      broker: {
        host,
        port,
        version: "3.1.1",
        clientId: `arhat-${name}`,
        ...(mqtt.ca === undefined
          ? { transport: "tcp" }
          : { transport: "tls", tls: { ca: mqtt.ca, serverName } })
      }
    })

export const lightDevice = Effect.fnUntraced(function*(
  options: DeviceSetting & {
    readonly operatorPublic: Uint8Array
    /** Of the operator's door. */
    readonly ca: Uint8Array
  }
) {
  const { x25519Public } = yield* Cryptography
  const privateKey = yield* Effect.flatMap(SecureRandom, ({ bytes }) => bytes(32))
  let payload = 0
  const dialer = counting(
    dialerOf(options),
    (bytes) => payload += bytes
  )
  // What outlives the agent: the machine it runs on.
  const hardware = yield* Layer.build(Layer.fresh(
    Layer.mergeAll(
      MemoryRuntime.layerWith({ diaryLength: 16 }),
      MemoryJournal.layer,
      MemoryFiles.layer,
      // Facts that stay: what comes and goes on the bench's machine (bridges of containers) is no device's cost.
      MemoryHost.layer
    )
  ))
  const software = Layer.fresh(deviceMemory).pipe(
    Layer.provideMerge(Layer.fresh(mailLayer)),
    Layer.provideMerge(Layer.fresh(PodMachine.layer)),
    Layer.provideMerge(
      Layer.mergeAll(Layer.succeed(Dialers, [dialer]), Layer.succeedContext(hardware), NodeCryptography.layer)
    )
  )
  const run = agent({ privateKey, operatorKey: options.operatorPublic, enrolment: undefined }).pipe(
    Effect.provide(software),
    Effect.provideService(AgentSettings, {
      version: "0.1.0",
      namespace: "edge",
      device: options.name,
      hostPoll: "1 minute",
      reportTimeout: "1 minute",
      reportsAtOnce: 4,
      retireGrace: "30 seconds"
    })
  )
  return {
    run,
    runtime: Context.get(hardware, MemoryRuntime),
    payload: () => payload,
    publicKey: Base64.encode(x25519Public(privateKey))
  }
})
export type LightDevice = Effect.Success<ReturnType<typeof lightDevice>>

/** Puts the agent together from a configuration: keys, journal, files, runtime, link; and runs it until it is told to stop. */
import { Duration, Effect, Layer, Result, Schema } from "effect"
import { Base64 } from "effect/encoding"
import { mkdirSync } from "node:fs"
import { NodeCryptography } from "../../adapters/crypto/NodeCryptography.ts"
import * as LogSink from "../../adapters/logging/LogSink.ts"
import { loadOrCreateDeviceKey } from "../../adapters/store/DeviceKeys.ts"
import { DiskPodFiles } from "../../adapters/store/DiskPodFiles.ts"
import { NodeHostFacts } from "../../adapters/store/NodeHostFacts.ts"
import { SqliteJournal } from "../../adapters/store/SqliteJournal.ts"
import { agent, mailLayer } from "../../core/agent/Agent.ts"
import { AgentSettings } from "../../core/agent/AgentSettings.ts"
import { deviceMemory } from "../../core/agent/deviceMemory.ts"
import { defaultTimings, LinkTimings } from "../../core/link/LinkTimings.ts"
import { Dialers } from "../../core/link/Transport.ts"
import { PodMachine } from "../../core/pod/machine/PodMachine.ts"
import { version } from "../shared/version.ts"
import type { ArhatConfig } from "./ArhatConfig.ts"
import { containerRuntime } from "./containerRuntime.ts"
import { dialers } from "./dialers.ts"
import { hostAccess } from "./hostAccess.ts"
import { readBytes } from "./readFile.ts"

export class BadKey extends Schema.TaggedError<BadKey>()("BadKey", { detail: Schema.String }) {
  override get message() {
    return this.detail
  }
}

const keyBytes = 32

const keyFrom = (text: string, what: string) => {
  const decoded = Base64.decode(text.trim())
  return Result.isSuccess(decoded) && decoded.success.length === keyBytes
    ? Effect.succeed(decoded.success)
    : Effect.fail(new BadKey({ detail: `${what} must be ${keyBytes} bytes in base64` }))
}

export const keyFile = (dataDir: string) => `${dataDir}/device.key`

/** Nobody but root looks into the agent's directory. */
export const makeDataDir = (path: string) =>
  Effect.try({
    try: () => mkdirSync(path, { recursive: true, mode: 0o700 }),
    catch: (cause) =>
      new BadKey({ detail: `arhat.dataDir ${path}: ${cause instanceof Error ? cause.message : String(cause)}` })
  })

export const agentTimings = ({ connectivity }: ArhatConfig): LinkTimings => ({
  ...defaultTimings,
  connectTimeoutMillis: Duration.toMillis(connectivity.dialTimeout),
  backoffFirstMillis: Duration.toMillis(connectivity.initialBackoff),
  backoffFactor: connectivity.backoffFactor,
  backoffMostMillis: Duration.toMillis(connectivity.maxBackoff)
})

export const runAgent = Effect.fnUntraced(function*(config: ArhatConfig) {
  const { dataDir, device, namespace } = config.arhat
  yield* makeDataDir(dataDir)
  const privateKey = yield* loadOrCreateDeviceKey(keyFile(dataDir))
  const operatorKey = yield* keyFrom(config.connectivity.operatorKey, "connectivity.operatorKey")
  const tokenFile = config.connectivity.enrolmentTokenFile
  const enrolment = tokenFile === undefined
    ? undefined
    : yield* Effect.flatMap(
      readBytes("connectivity.enrolmentTokenFile", tokenFile),
      (bytes) => keyFrom(new TextDecoder().decode(bytes), `connectivity.enrolmentTokenFile ${tokenFile}`)
    )

  const outside = Layer.mergeAll(
    NodeCryptography.layer,
    SqliteJournal.layer({ path: `${dataDir}/journal.db`, deviceKey: privateKey }),
    DiskPodFiles.layer({ root: `${dataDir}/pods` }),
    NodeHostFacts.layer({ storage: dataDir }),
    containerRuntime(config),
    hostAccess(config),
    Layer.effect(Dialers, dialers(config))
  )
  const inside = deviceMemory.pipe(Layer.provideMerge(mailLayer), Layer.provideMerge(PodMachine.layer))

  const running = agent({ privateKey, operatorKey, enrolment }).pipe(
    Effect.provide(inside.pipe(Layer.provideMerge(outside))),
    Effect.provideService(AgentSettings, {
      version,
      namespace,
      device,
      hostPoll: "1 minute",
      reportTimeout: "1 minute",
      reportsAtOnce: 4,
      retireGrace: "30 seconds"
    }),
    Effect.provideService(LinkTimings, agentTimings(config))
  )
  return yield* Effect.logInfo(`arhat ${version} is device ${namespace}/${device}`).pipe(
    Effect.andThen(running),
    Effect.provide(LogSink.layer(config.arhat.log))
  )
})

/** The fleet: many light devices in one process, told over IPC what to do. */
import { Effect, FiberMap, References } from "effect"
import { NodeCryptography } from "../../adapters/crypto/NodeCryptography.ts"
import type { Answered, Asked } from "./FleetMessage.ts"
import { type LightDevice, lightDevice } from "./lightDevice.ts"

const fleet = Effect.gen(function*() {
  const devices = new Map<string, LightDevice>()
  const agents = yield* FiberMap.make<string>()

  const device = (name: string) => {
    const found = devices.get(name)
    return found === undefined ? Effect.die(new Error(`there is no device ${name}`)) : Effect.succeed(found)
  }
  const start = Effect.fnUntraced(function*(name: string) {
    yield* FiberMap.run(agents, name, Effect.orDie((yield* device(name)).run))
  })

  const handle = Effect.fnUntraced(function*(asked: Asked) {
    switch (asked.op) {
      case "prepare": {
        const ca = Buffer.from(asked.caData, "base64")
        const operatorPublic = new Uint8Array(Buffer.from(asked.operatorKey, "base64"))
        return yield* Effect.forEach(
          asked.devices,
          (setting) =>
            Effect.map(lightDevice({ ...setting, operatorPublic, ca }), (made) => {
              devices.set(setting.name, made)
              return made.publicKey
            })
        )
      }
      case "start":
        return yield* Effect.forEach(asked.names, start, { discard: true })
      case "stop":
        return yield* Effect.forEach(asked.names, (name) => FiberMap.remove(agents, name), { discard: true })
      case "payload":
        return asked.names.reduce((sum, name) => sum + (devices.get(name)?.payload() ?? 0), 0)
      case "crash": {
        const { runtime } = yield* device(asked.name)
        return yield* runtime.crash(({ container, pod }) => pod === asked.pod && container === asked.container, 1)
      }
      case "powerCut": {
        const { runtime } = yield* device(asked.name)
        yield* FiberMap.remove(agents, asked.name)
        return yield* runtime.reboot("exited")
      }
      case "startUntilRunning": {
        const { runtime } = yield* device(asked.name)
        const before = (yield* runtime.runs).length
        const began = performance.now()
        yield* start(asked.name)
        while ((yield* runtime.runs).length < before + asked.containers) yield* Effect.sleep("1 millis")
        return performance.now() - began
      }
    }
  })

  const answer = (answered: Answered) => void process.send?.(answered)
  const context = yield* Effect.context<Effect.Services<ReturnType<typeof handle>>>()
  process.on("message", (asked: Asked) => {
    Effect.runForkWith(context)(
      handle(asked).pipe(
        Effect.match({
          onFailure: (error) => answer({ id: asked.id, problem: String(error) }),
          onSuccess: (value) => answer({ id: asked.id, value: value ?? null })
        })
      )
    )
  })
  process.send?.({ id: 0, value: null })
  return yield* Effect.never
}).pipe(
  Effect.scoped,
  Effect.provide(NodeCryptography.layer),
  Effect.provideService(References.MinimumLogLevel, "Error"),
  Effect.provideService(References.LogToStderr, true)
)

process.on("disconnect", () => process.exit(0))
Effect.runFork(fleet)

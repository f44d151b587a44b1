/** Pods of the bare host on a device whose owner allows them and takes that back, from one life of the agent to the next. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { ContainerRuntime } from "../../../../core/pod/ContainerRuntime.ts"
import { withHostExec } from "../../../../core/pod/withHostExec.ts"
import { MemoryRuntime } from "../../../fakes/MemoryRuntime.ts"
import { forever } from "../../../fakes/runtime/Program.ts"
import { Device, pass } from "./Device.ts"
import { container, only, pod } from "./pods.ts"

const image = "virtualimage.arhat.dev/hostexec"
const ofHost = pod({ containers: [container("app", { image })] })

/** `MemoryRuntime` is the host; the engine runs nothing here. */
const world = () => {
  let current: ContainerRuntime["Service"]
  let allow = (_allowed: boolean): void => {}
  const switched = Layer.effect(
    ContainerRuntime,
    Effect.gen(function*() {
      const host = yield* ContainerRuntime
      yield* (yield* MemoryRuntime).script(() => true, { run: forever })
      const engine = Context.get(yield* Layer.build(Layer.fresh(MemoryRuntime.layer)), ContainerRuntime)
      allow = (allowed) => (current = withHostExec(engine, allowed ? host : undefined))
      allow(false)
      return new Proxy(host, { get: (_, key) => Reflect.get(current, key) })
    })
  )
  return {
    allow: (allowed: boolean) => Effect.sync(() => allow(allowed)),
    layer: Device.layerOver(Layer.provideMerge(switched, MemoryRuntime.layer))
  }
}

describe("a pod of hostexec", () => {
  it.effect("waits with the key that allows it while its owner has not set that, and runs as soon as he has", () =>
    Effect.suspend(() => {
      const { allow, layer } = world()
      return Effect.gen(function*() {
        const device = yield* Device
        const host = yield* MemoryRuntime
        yield* (yield* device.start).ensure(ofHost)
        for (const attempt of [1, 2]) {
          yield* pass(30)
          const { state } = only(device.newest()) ?? {}
          assert.include(state?.waiting?.message, "runtime.hostexec.enabled: true", `${attempt}`)
          yield* allow(true)
          yield* device.start
          yield* pass(30)
          assert.isDefined(only(device.newest())?.state?.running, `${attempt}`)
          assert.strictEqual((yield* host.runs).length, attempt)
          // What is left of it goes before an agent begins that does not allow it.
          yield* device.kill
          yield* host.prune(() => true)
          yield* allow(false)
          yield* device.start
        }
      }).pipe(Effect.provide(layer))
    }))
})

/** What every HostFacts must say, in the words that a Node's status wants. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import { isIP } from "node:net"
import { HostFacts } from "../../core/agent/HostFacts.ts"

export const hostFactsContract = (name: string, layer: Layer.Layer<HostFacts>): void => {
  describe(`${name} as HostFacts`, () => {
    it.live("speaks of the system as Go does, and of sizes as whole numbers of a real device", () =>
      Effect.gen(function*() {
        const info = yield* (yield* HostFacts).info
        assert.strictEqual(info.operatingSystem, "linux")
        assert.include(["amd64", "arm64", "arm", "386", "riscv64", "ppc64le", "s390x"], info.architecture)
        assert.isNotEmpty(info.kernelVersion)
        assert.isNotEmpty(info.hostname)
        for (const size of [info.cpuMillis, info.memoryBytes, info.storageBytes]) {
          assert.isTrue(Number.isSafeInteger(size) && size > 0, `${size}`)
        }
        assert.strictEqual(info.cpuMillis % 1000, 0)
      }).pipe(Effect.provide(layer)))

    it.live("names addresses that another host could reach", () =>
      Effect.gen(function*() {
        const { addresses } = yield* (yield* HostFacts).info
        for (const address of addresses) {
          assert.isAbove(isIP(address), 0, address)
          assert.notMatch(address, /^(127\.|::1$|fe80:|0\.0\.0\.0$|::$)/i)
        }
      }).pipe(Effect.provide(layer)))

    it.live("has one identity as long as the device runs", () =>
      Effect.gen(function*() {
        const { info } = yield* HostFacts
        const identity = Effect.map(info, ({ bootId, machineId, systemUuid }) => ({ bootId, machineId, systemUuid }))
        const first = yield* identity
        assert.isNotEmpty(first.bootId)
        assert.deepStrictEqual(yield* identity, first)
      }).pipe(Effect.provide(layer)))

    it.live("tells pressure of memory, disk and process numbers, each by itself", () =>
      Effect.gen(function*() {
        const pressure = yield* (yield* HostFacts).pressure
        assert.deepStrictEqual(Object.keys(pressure).toSorted(), ["disk", "memory", "pids"])
        for (const pressed of Object.values(pressure)) assert.isBoolean(pressed)
      }).pipe(Effect.provide(layer)))

    it.live("measures what the host has used: counters that grow, and no more than there is", () =>
      Effect.gen(function*() {
        const host = yield* HostFacts
        const { memoryBytes, storageBytes } = yield* host.info
        const first = yield* host.usage
        for (const figure of [first.cpuNanoseconds, first.memoryUsedBytes, first.processes, first.storageUsedBytes]) {
          assert.isTrue(Number.isSafeInteger(figure) && figure > 0, `${figure}`)
        }
        assert.isAtMost(first.memoryUsedBytes, memoryBytes)
        assert.isAtMost(first.memoryWorkingSetBytes, first.memoryUsedBytes)
        assert.isAtMost(first.storageUsedBytes + first.storageAvailableBytes, storageBytes)
        assert.isAtMost(first.inodesFree, first.inodes)
        yield* Effect.sleep("50 millis") // a tick of the processor's clock is 10 ms
        const second = yield* host.usage
        assert.isAbove(second.cpuNanoseconds, first.cpuNanoseconds)
        assert.isAtLeast(second.network.receivedBytes, first.network.receivedBytes)
        assert.isAtMost(Math.abs(second.bootedAt - first.bootedAt), 2000)
      }).pipe(Effect.provide(layer)))
  })
}

import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fs from "node:fs"
import { derivedKey, loadOrCreateDeviceKey, wipeDeviceKey } from "../../../adapters/store/DeviceKeys.ts"
import { temporary } from "./temporary.ts"

describe("the device key", () => {
  it.live("is made once, for its owner's eyes only, and stays the same", () =>
    Effect.gen(function*() {
      const folder = `${yield* temporary}/state`
      const path = `${folder}/device.key`
      const first = yield* loadOrCreateDeviceKey(path)
      assert.strictEqual(first.length, 32)
      assert.strictEqual(fs.statSync(path).mode & 0o777, 0o600)
      assert.deepStrictEqual(yield* loadOrCreateDeviceKey(path), first)
      assert.deepStrictEqual(fs.readdirSync(folder), ["device.key"])
    }))

  it.live("is refused where others can read it, or where it is damaged, and never made anew over it", () =>
    Effect.gen(function*() {
      const path = `${yield* temporary}/device.key`
      yield* loadOrCreateDeviceKey(path)
      fs.chmodSync(path, 0o640)
      assert.match((yield* Effect.flip(loadOrCreateDeviceKey(path))).message, /can be read by others: chmod 600/)
      fs.writeFileSync(path, "half a k")
      fs.chmodSync(path, 0o600)
      assert.match((yield* Effect.flip(loadOrCreateDeviceKey(path))).message, /is damaged/)
      assert.strictEqual(fs.readFileSync(path, "utf8"), "half a k")
    }))

  it.live("yields a different key for each purpose", () =>
    Effect.sync(() => {
      const key = new Uint8Array(32).fill(1)
      assert.notDeepEqual(derivedKey(key, "a"), derivedKey(key, "b"))
      assert.deepStrictEqual(derivedKey(key, "a"), derivedKey(key, "a"))
    }))

  it.live("can be wiped", () =>
    Effect.gen(function*() {
      const path = `${yield* temporary}/device.key`
      const first = yield* loadOrCreateDeviceKey(path)
      yield* wipeDeviceKey(path)
      yield* wipeDeviceKey(path)
      assert.isFalse(fs.existsSync(path))
      assert.notDeepEqual(yield* loadOrCreateDeviceKey(path), first)
    }))
})

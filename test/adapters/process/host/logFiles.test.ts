/** Log files of the host: below one folder, of one kind, so many bytes, as one user. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Scope, Stream } from "effect"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import { mostLogBytes, mostLogNames } from "../../../../adapters/process/host/logFiles.ts"
import { mostReaders } from "../../../../adapters/process/host/readLogs.ts"
import { whyNotRoot } from "../processWorld.ts"
import { hostWorld } from "./hostWorld.ts"

if (whyNotRoot !== undefined) console.warn(`SKIPPED log files of the host: ${whyNotRoot}`)

const world = Effect.fnUntraced(function*(account?: { readonly uid: number }) {
  const { host, rootfs } = yield* hostWorld(account)
  const log = `${rootfs}/var/log`
  fs.mkdirSync(`${log}/pods`, { recursive: true })
  fs.writeFileSync(`${log}/boot.log`, "booted\n")
  fs.writeFileSync(`${log}/pods/web`, "served\n")
  const shown = (path: string) =>
    Effect.scoped(Effect.gen(function*() {
      const { bytes, directory } = yield* host.logFile(path)
      const parts = yield* Stream.runCollect(bytes)
      return { directory, content: Buffer.concat(parts) }
    })).pipe(Effect.match({
      onFailure: (error) => `${"reason" in error ? error.reason : ""}: ${error.message}`,
      onSuccess: ({ content, directory }) => `${directory ? "directory" : "file"} ${content.toString()}`
    }))
  return { host, rootfs, log, shown }
})

describe.skipIf(whyNotRoot !== undefined)("log files of the host", () => {
  it.live("are the files of one folder, its directories listed by name", () =>
    Effect.gen(function*() {
      const { log, shown } = yield* world()
      fs.writeFileSync(`${log}/empty`, "")
      assert.strictEqual(yield* shown(""), "directory boot.log\0empty\0pods/\0")
      assert.strictEqual(yield* shown("pods"), "directory web\0")
      assert.strictEqual(yield* shown("boot.log"), "file booted\n")
      assert.strictEqual(yield* shown("pods/web"), "file served\n")
      assert.strictEqual(yield* shown("empty"), "file ")
      assert.strictEqual(yield* shown("other"), "NotFound: /var/log/other does not exist on the device")
      assert.strictEqual(yield* shown("boot.log/x"), "NotFound: /var/log/boot.log/x does not exist on the device")
    }))

  it.live("are not what links outside lead to, while links within are followed", () =>
    Effect.gen(function*() {
      const { log, rootfs, shown } = yield* world()
      fs.mkdirSync(`${rootfs}/etc`)
      fs.writeFileSync(`${rootfs}/etc/shadow`, "secret\n")
      const links = {
        up: "../../etc/shadow",
        absolute: "/etc/shadow",
        outwards: "../../etc",
        current: "pods/web",
        folder: "./pods",
        loop: "loop"
      }
      for (const [name, target] of Object.entries(links)) fs.symlinkSync(target, `${log}/${name}`)
      for (const path of ["up", "absolute", "outwards/shadow", "../../etc/shadow", "pods/../../../etc/shadow"]) {
        assert.match(yield* shown(path), /^NotFound: /, path)
      }
      assert.match(yield* shown("loop"), /^Refused: .*too many links/)
      assert.strictEqual(yield* shown("current"), "file served\n")
      assert.strictEqual(yield* shown("folder/web"), "file served\n")
      assert.strictEqual(yield* shown("folder"), "directory web\0")
    }))

  it.live("are files: a pipe without a writer holds nobody up, a device is not opened", () =>
    Effect.gen(function*() {
      const { log, shown } = yield* world()
      execFileSync("mkfifo", [`${log}/pipe`])
      execFileSync("mknod", [`${log}/zero`, "c", "1", "5"])
      for (const name of ["pipe", "zero"]) {
        assert.strictEqual(yield* shown(name), `Refused: /var/log/${name} is neither a file nor a directory`)
      }
    }))

  it.live("are no longer than they may be: the last bytes, and so many names", () =>
    Effect.gen(function*() {
      const { log, shown } = yield* world()
      fs.writeFileSync(`${log}/long`, Buffer.concat([Buffer.alloc(1000, "a"), Buffer.alloc(mostLogBytes, "b")]))
      const line = `arhat: the last ${mostLogBytes} of ${mostLogBytes + 1000} bytes follow\n`
      const content = (yield* shown("long")).slice("file ".length)
      assert.strictEqual(content.slice(0, line.length), line)
      assert.strictEqual(content.length, line.length + mostLogBytes)
      assert.match(content.slice(line.length), /^b+$/)
      for (let i = 0; i <= mostLogNames; i++) fs.writeFileSync(`${log}/pods/${i}`, "")
      const names = (yield* shown("pods")).split("\0")
      assert.deepStrictEqual([names.length, names.at(-2)], [mostLogNames + 2, ""])
    }), 60_000)

  it.live("are read as the user that the owner gave", () =>
    Effect.gen(function*() {
      const { log, rootfs, shown } = yield* world({ uid: 65_534 })
      for (const folder of [rootfs, `${rootfs}/..`]) fs.chmodSync(folder, 0o755)
      fs.writeFileSync(`${log}/root-only`, "secret\n", { mode: 0o600 })
      assert.strictEqual(yield* shown("boot.log"), "file booted\n")
      assert.match(yield* shown("root-only"), /^Refused: \/var\/log\/root-only may not be read by .*arhat\.host\.uid/)
    }))

  it.live("are read a few at a time, and by nobody once nobody asks", () =>
    Effect.gen(function*() {
      const { host, log } = yield* world()
      fs.writeFileSync(`${log}/long`, Buffer.alloc(4_000_000, "a"))
      const scope = yield* Scope.make()
      for (let i = 0; i < mostReaders; i++) yield* Scope.provide(host.logFile("long"), scope)
      const refused = yield* Effect.flip(Effect.scoped(host.logFile("long")))
      assert.include(refused.message, `${mostReaders} log files of this device are being read already`)
      yield* Scope.close(scope, Exit.void)
      yield* Effect.scoped(host.logFile("long"))
    }))
})

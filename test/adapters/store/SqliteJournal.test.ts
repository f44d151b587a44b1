import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import { spawn, spawnSync } from "node:child_process"
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { DatabaseSync } from "node:sqlite"
import { fileURLToPath } from "node:url"
import { make, type SqliteJournalOptions } from "../../../adapters/store/SqliteJournal.ts"
import type { Change, Table } from "../../../core/agent/Journal.ts"
import { temporary } from "./temporary.ts"

const deviceKey = new Uint8Array(32).fill(7)
const put = (table: Table, key: string, value: string | Uint8Array, secret = false): Change => ({
  _tag: "Put",
  table,
  key,
  value: typeof value === "string" ? new TextEncoder().encode(value) : value,
  secret
})
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)

/** Opens, works, closes: what is read after it was on the disk. */
const session = <A, E>(
  options: Partial<SqliteJournalOptions> & { readonly path: string },
  work: (journal: Effect.Success<ReturnType<typeof make>>) => Effect.Effect<A, E>
) => Effect.scoped(Effect.flatMap(make({ deviceKey, ...options }), work))

const everyByte = (directory: string) =>
  readdirSync(directory).map((name) => readFileSync(`${directory}/${name}`, "latin1")).join("")

describe("the journal on SQLite", () => {
  it.live("keeps rows over a restart, in key order, each table for itself", () =>
    Effect.gen(function*() {
      const path = `${yield* temporary}/state/journal.db`
      yield* session({ path }, (journal) =>
        journal.commit([put("pods", "b", "2"), put("pods", "a", "1"), put("link", "a", "other"), put("pods", "c", "")]))
      yield* session({ path }, (journal) =>
        Effect.gen(function*() {
          const rows = (yield* journal.rows("pods")).map(({ key, value }) => [key, text(value)])
          assert.deepStrictEqual(rows, [["a", "1"], ["b", "2"], ["c", ""]])
          yield* journal.commit([put("pods", "a", "new"), { _tag: "Remove", table: "pods", key: "b" }, {
            _tag: "Remove",
            table: "pods",
            key: "never was"
          }])
          assert.deepStrictEqual(
            (yield* journal.rows("pods")).map(({ value }) =>
              text(value)
            ),
            ["new", ""]
          )
          assert.deepStrictEqual(yield* journal.rows("attempts"), [])
        }))
    }))

  it.live("is closed to others: folder 0700, files 0600, secrets sealed and bound to their row", () =>
    Effect.gen(function*() {
      const directory = `${yield* temporary}/state`
      const path = `${directory}/journal.db`
      yield* session({ path }, (journal) =>
        Effect.gen(function*() {
          yield* journal.commit([put("assignments", "a", "the s3cr3t", true), put("assignments", "b", "plain text")])
          assert.strictEqual(statSync(directory).mode & 0o777, 0o700)
          for (const name of readdirSync(directory)) {
            assert.strictEqual(statSync(`${directory}/${name}`).mode & 0o777, 0o600, name)
          }
          assert.notInclude(everyByte(directory), "s3cr3t")
          assert.include(everyByte(directory), "plain text")
          assert.strictEqual(text((yield* journal.rows("assignments"))[0]!.value), "the s3cr3t")
        }))
      const other = yield* Effect.flip(
        session({ path, deviceKey: new Uint8Array(32) }, (journal) => journal.rows("assignments"))
      )
      assert.match(other.message, /row a of assignments does not open with this device's key/)
      const db = new DatabaseSync(path)
      db.exec("update entry set key = 'moved' where key = 'a'")
      db.close()
      const moved = yield* Effect.flip(session({ path }, (journal) => journal.rows("assignments")))
      assert.strictEqual(moved.reason, "Broken")
    }))

  it.live("keeps nothing of a batch that does not fit, says Full, and goes on", () =>
    Effect.gen(function*() {
      const path = `${yield* temporary}/journal.db`
      yield* session({ path, mostBytes: 200_000 }, (journal) =>
        Effect.gen(function*() {
          yield* journal.commit([put("pods", "a", "before")])
          const error = yield* Effect.flip(
            journal.commit([put("pods", "a", "after"), put("pods", "b", new Uint8Array(400_000))])
          )
          assert.strictEqual(error.reason, "Full")
          assert.deepStrictEqual((yield* journal.rows("pods")).map(({ value }) => text(value)), ["before"])
          yield* journal.commit([put("pods", "a", "small")])
          assert.deepStrictEqual((yield* journal.rows("pods")).map(({ value }) => text(value)), ["small"])
        }))
    }))

  it.live("says Full on a disk without space", (context) =>
    Effect.gen(function*() {
      const disk = yield* temporary
      const { status } = spawnSync("mount", ["-t", "tmpfs", "-o", "size=512k", "tiny", disk])
      if (status !== 0) return context.skip("needs the right to mount a tmpfs")
      yield* Effect.addFinalizer(() => Effect.sync(() => spawnSync("umount", ["-l", disk])))
      yield* session({ path: `${disk}/journal.db` }, (journal) =>
        Effect.gen(function*() {
          yield* journal.commit([put("pods", "a", "before")])
          const error = yield* Effect.flip(journal.commit([put("pods", "b", new Uint8Array(1_000_000))]))
          assert.strictEqual(error.reason, "Full", error.message)
          assert.deepStrictEqual((yield* journal.rows("pods")).map(({ key }) => key), ["a"])
          yield* journal.commit([put("pods", "c", "after")])
        }))
    }))

  it.live("tells a damaged or foreign file, and what to do", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const noDatabase = `${directory}/text.db`
      writeFileSync(noDatabase, "this is no database, it is a sentence.".repeat(100))
      const first = yield* Effect.flip(session({ path: noDatabase }, (journal) => journal.rows("pods")))
      assert.match(first.message, /text\.db is damaged .*move it and its -wal file away/)

      const torn = `${directory}/torn.db`
      yield* session({ path: torn }, (journal) =>
        journal.commit(Array.from({ length: 200 }, (_, i) => put("pods", `pod-${i}`, "x".repeat(500)))))
      const bytes = readFileSync(torn)
      bytes.fill(0xff, 8192, bytes.length - 4096)
      writeFileSync(torn, bytes)
      const second = yield* Effect.flip(session({ path: torn }, (journal) =>
        journal.rows("pods")))
      assert.match(second.message, /torn\.db is damaged/)

      const newer = `${directory}/newer.db`
      yield* session({ path: newer }, (journal) => journal.commit([put("pods", "a", "1")]))
      const db = new DatabaseSync(newer)
      db.exec("update schema set version = 99")
      db.close()
      const third = yield* Effect.flip(session({ path: newer }, (journal) => journal.rows("pods")))
      assert.match(third.message, /written by another version of arhat \(schema 99/)
    }))

  it.live("lets one process in at a time, and leaves nothing open", () =>
    Effect.gen(function*() {
      const path = `${yield* temporary}/journal.db`
      const scope = yield* Scope.make()
      yield* Scope.provide(make({ path, deviceKey }), scope)
      const child = spawnSync(process.execPath, [
        "-e",
        `const { DatabaseSync } = require("node:sqlite")
         try { new DatabaseSync(${
          JSON.stringify(path)
        }).exec("begin immediate"); console.log("in") } catch (e) { console.log(e.message) }`
      ], { encoding: "utf8" })
      assert.match(child.stdout, /locked/)
      yield* Scope.close(scope, Exit.void)
      yield* session({ path }, (journal) => journal.rows("pods"))
    }))

  it.live("is empty after a wipe, on the disk too, and can be used again", () =>
    Effect.gen(function*() {
      const directory = `${yield* temporary}/state`
      const path = `${directory}/journal.db`
      yield* session({ path }, (journal) =>
        Effect.gen(function*() {
          yield* journal.commit(
            Array.from({ length: 300 }, (_, i) => put("assignments", `k${i}`, `remember me ${i} `.repeat(40)))
          )
          yield* journal.wipe
          assert.notInclude(everyByte(directory), "remember me")
          assert.deepStrictEqual(yield* journal.rows("assignments"), [])
          yield* journal.commit([put("link", "a", "1")])
          assert.strictEqual((yield* journal.rows("link")).length, 1)
        }))
    }))

  it.live("holds all or nothing of every commit when the process is killed", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      mkdirSync(`${directory}/state`)
      const path = `${directory}/state/journal.db`
      let next = 0
      for (let round = 0; round < 8; round++) {
        const confirmed = yield* Effect.callback<number>((resume) => {
          const child = spawn(process.execPath, [
            fileURLToPath(new URL("committer.ts", import.meta.url)),
            path,
            String(next)
          ], { stdio: ["ignore", "pipe", "inherit"] })
          let output = ""
          const killAfter = next + 20 + round * 13
          child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
            output += chunk
            const last = Number(output.trimEnd().split("\n").at(-1))
            // Somewhere within the commits that follow.
            if (last >= killAfter) setTimeout(() => child.kill("SIGKILL"), round)
          })
          child.on("close", () => resume(Effect.succeed(Number(output.split("\n").at(-2)))))
        })
        yield* session({ path }, (journal) =>
          Effect.gen(function*() {
            const seen = new Set<number>()
            let rows = 0
            for (const table of ["assignments", "pods", "attempts", "reports"] as const) {
              for (const { value } of yield* journal.rows(table)) {
                seen.add(Number.parseInt(text(value), 10))
                rows += 1
              }
            }
            assert.strictEqual(rows, 20)
            assert.strictEqual(seen.size, 1, `a torn commit: ${[...seen].join(", ")}`)
            const [kept = -1] = seen
            assert.isAtLeast(kept, confirmed, "a confirmed commit was lost")
            next = kept + 1
          }))
      }
    }), 60_000)
})

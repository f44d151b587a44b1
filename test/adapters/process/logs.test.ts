import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Stream } from "effect"
import { appendFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { isDrained } from "../../../adapters/process/containerFolder.ts"
import { readLogs } from "../../../adapters/process/logs.ts"
import { textOf } from "../../contracts/runtimeWorld.ts"
import { temporaryFolder } from "./processWorld.ts"

/** As a pump does: the piece, then its size and time. */
const segment = (folder: string, number: number, text: string, stream = "stdout") => {
  const path = join(folder, `${stream}.${number}`)
  appendFileSync(path, text)
  appendFileSync(`${path}.index`, `${text.length} 2026-11-21 02:47:0${number}.123456789 +0000\n`)
}

/** Of lines that were each written by themselves. Returns how many bytes that makes, with the index. */
const segmentOfLines = (folder: string, number: number, lines: ReadonlyArray<string>): number => {
  const path = join(folder, `stdout.${number}`)
  let size = 0
  const index = lines.map((line) => `${size += line.length} 2026-11-21 02:47:0${number}.123456789 +0000\n`).join("")
  writeFileSync(path, lines.join(""))
  writeFileSync(`${path}.index`, index)
  return size + index.length
}

/** How many bytes this process has read so far, from whatever file. */
const bytesRead = (): number => Number(/^rchar: (\d+)$/m.exec(readFileSync("/proc/self/io", "utf8"))?.[1])

const drop = (folder: string, number: number) => {
  for (const end of ["", ".index"]) rmSync(join(folder, `stdout.${number}${end}`))
}

const line = (word: string) => `${word} ${"x".repeat(1000)}\n`
const many = (word: string) => Array.from({ length: 100 }, (_, index) => line(`${word}${index}`)).join("")

/** Reads until it has something, lets `meanwhile` happen, and goes on. */
const interrupted = Effect.fnUntraced(function*(folder: string, meanwhile: () => void) {
  const begun = yield* Deferred.make<void>()
  const goOn = yield* Deferred.make<void>()
  let text = ""
  const following = yield* Effect.forkChild(
    Effect.exit(Stream.runForEach(readLogs(folder, { follow: false }, Effect.succeed(true)), (chunk) => {
      text += textOf([chunk])
      return Effect.andThen(Deferred.succeed(begun, undefined), Deferred.await(goOn))
    })),
    { startImmediately: true }
  )
  yield* Deferred.await(begun)
  meanwhile()
  yield* Deferred.succeed(goOn, undefined)
  return { exit: yield* Fiber.join(following), text }
})

describe("the log of a process", () => {
  it.live("is read to the end of a piece that rotation drops meanwhile", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      segment(folder, 1, many("a"))
      segment(folder, 2, many("b"))
      const { exit, text } = yield* interrupted(folder, () => drop(folder, 1))
      assert.isTrue(Exit.isSuccess(exit))
      assert.strictEqual(text, many("a") + many("b"))
    }).pipe(Effect.scoped))

  it.live("says so where rotation has dropped what comes next, and never goes on behind it", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      for (const [number, word] of ["a", "b", "c"].entries()) segment(folder, number + 1, many(word))
      const { exit, text } = yield* interrupted(folder, () => {
        drop(folder, 1)
        drop(folder, 2)
      })
      assert.isTrue(Exit.isFailure(exit))
      assert.match(String(Exit.isFailure(exit) ? exit.cause : ""), /dropped by rotation: ask for it again/)
      assert.strictEqual(text, many("a"))
    }).pipe(Effect.scoped))

  it.live("costs no more to read than it is long, however many pieces it was written in", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const lines = Array.from({ length: 20_000 }, (_, at) => `line ${at}\n`)
      const length = [1, 2, 3].reduce((sum, number) => sum + segmentOfLines(folder, number, lines), 0)
      const reading = Effect.fnUntraced(function*(query: { readonly tail?: number }) {
        const before = bytesRead()
        const chunks = yield* Stream.runCollect(readLogs(folder, { follow: false, ...query }, Effect.succeed(true)))
        return { chunks, cost: bytesRead() - before }
      })
      const all = yield* reading({})
      assert.strictEqual(textOf(all.chunks), [...lines, ...lines, ...lines].join(""))
      assert.deepStrictEqual(
        [0, 20_000, 59_999].map((at) => all.chunks[at]?.time),
        [1, 2, 3].map((number) => `2026-11-21T02:47:0${number}.123456789Z`)
      )
      // The rest is for what else this process reads meanwhile.
      assert.isBelow(all.cost, 2 * length)
      const some = yield* reading({ tail: 10 })
      assert.strictEqual(textOf(some.chunks), lines.slice(-10).join(""))
      assert.isBelow(some.cost, 3 * length)
    }).pipe(Effect.scoped))

  it.live("is read whole where a full disk tore lines of its index", () =>
    Effect.gen(function*() {
      const stamp = "2026-11-21 02:47:01.123456789 +0000"
      const torn = [`10 ${stamp}\n420 ${stamp}\n`, `10 ${stamp}\n20 2026-11-230 ${stamp}\n`, `10 ${stamp}\n2`]
      for (const index of torn) {
        const folder = yield* temporaryFolder
        const lines = ["a", "b"].map((word) => `${word.repeat(9)}\n`)
        writeFileSync(join(folder, "stdout.1"), lines.join(""))
        writeFileSync(join(folder, "stdout.1.index"), index)
        segment(folder, 2, "later\n")
        for (const [query, text] of [[{}, [...lines, "later\n"].join("")], [{ tail: 1 }, "later\n"]] as const) {
          const chunks = yield* Stream.runCollect(readLogs(folder, { follow: false, ...query }, Effect.succeed(true)))
          assert.strictEqual(textOf(chunks), text)
          for (const { time } of chunks) assert.match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/)
        }
      }
    }).pipe(Effect.scoped))

  it.live("says so where its container was removed", () =>
    Effect.gen(function*() {
      const folder = join(yield* temporaryFolder, "container")
      mkdirSync(folder)
      segment(folder, 1, many("a"))
      const { exit } = yield* interrupted(folder, () => rmSync(folder, { recursive: true }))
      assert.match(String(Exit.isFailure(exit) ? exit.cause : ""), /the container was removed/)
    }).pipe(Effect.scoped))

  it.live("is whole when both streams have said that they end, or long after the process has", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const exited = { state: "exited", process: undefined, shim: undefined, finishedAt: 50_000 } as const
      assert.isFalse(isDrained(folder, { ...exited, state: "running" }, 100_000))
      assert.isFalse(isDrained(folder, exited, 51_000))
      assert.isTrue(isDrained(folder, exited, 61_000))
      writeFileSync(join(folder, "stdout.end"), "\n")
      assert.isFalse(isDrained(folder, exited, 51_000))
      writeFileSync(join(folder, "stderr.end"), "\n")
      assert.isTrue(isDrained(folder, exited, 51_000))
    }).pipe(Effect.scoped))
})

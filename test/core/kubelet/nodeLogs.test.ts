/** Log files of a device as a kubelet shows them: pages of links, bytes, and words where there are none. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"
import type { NodeLogFile, StreamFailure } from "../../../core/kubelet/KubeletBackend.ts"
import { listingPage } from "../../../core/kubelet/listingPage.ts"
import { nodeLogs } from "../../../core/kubelet/nodeLogs.ts"
import { PodStreamError } from "../../../core/pod/PodRuntime.ts"

const bytes = (text: string) => new TextEncoder().encode(text)
const at = (path: string) => ({ path, query: [], patience: "10 seconds" as const })

const page = (lines: string) =>
  `<!doctype html>\n<meta name="viewport" content="width=device-width">\n<pre>\n${lines}</pre>\n`

const shown = (found: Effect.Effect<NodeLogFile, StreamFailure>, path = "/logs/") =>
  Effect.gen(function*() {
    const answer = yield* nodeLogs(found, at(path))
    if (answer._tag === "Text" && answer.contentType === "application/json") {
      const { code, kind, message, reason } = JSON.parse(answer.text) as Readonly<Record<string, unknown>>
      assert.deepStrictEqual([kind, code], ["Status", answer.status])
      return `${answer.status} ${reason}: ${message}`
    }
    if (answer._tag === "Text") return `${answer.status} ${answer.contentType.split(";")[0]} ${answer.text}`
    assert.strictEqual(answer._tag, "Bytes")
    if (answer._tag !== "Bytes") return ""
    const parts: Array<Uint8Array> = []
    const end = yield* Effect.exit(Stream.runForEach(answer.bytes, (part) => Effect.sync(() => parts.push(part))))
    return `${end._tag} ${Buffer.concat(parts).toString()}`
  }).pipe(Effect.scoped)

describe("/logs/", () => {
  it.effect("lists a directory in whatever pieces its names come", () =>
    Effect.gen(function*() {
      const names = bytes("boot.log\0pods/\0\u00fcber\0")
      const listed = yield* shown(Effect.succeed({
        directory: true,
        bytes: Stream.fromIterable([...names].map((byte) => Uint8Array.of(byte)))
      }))
      const links =
        "<a href=\"boot.log\">boot.log</a>\n<a href=\"pods/\">pods/</a>\n<a href=\"%C3%BCber\">\u00fcber</a>\n"
      assert.strictEqual(listed, `200 text/html ${page(links)}`)
    }))

  it.effect("says that there are more names, and keeps no more of them than it may", () =>
    Effect.gen(function*() {
      const more = yield* shown(Effect.succeed({ directory: true, bytes: Stream.succeed(bytes("a\0\0")) }))
      assert.strictEqual(more, `200 text/html ${page("<a href=\"a\">a</a>\nand more\n")}`)
      let asked = 0
      const endless = Stream.fromEffectRepeat(Effect.sync(() => {
        asked++
        return bytes(`${"n".repeat(65_000)}\0`)
      }))
      assert.match(
        yield* shown(Effect.succeed({ directory: true, bytes: endless })),
        /^500 .*names of more than 1048576/
      )
      assert.isBelow(asked, 20)
    }))

  it("takes nothing that a device calls a file for markup, and leads from a directory without its slash, too", () => {
    const odd = "<script src='//x'>&\"a b\"#?%"
    const text = listingPage("/logs/of%20web", { names: [odd], more: false })
    assert.strictEqual(
      text,
      page(
        "<a href=\"of%20web/%3Cscript%20src%3D&#39;//x&#39;%3E%26%22a%20b%22%23%3F%25\">"
          + "&lt;script src=&#39;//x&#39;&gt;&amp;&#34;a b&#34;#?%</a>\n"
      )
    )
  })

  it.effect("shows a file as it comes, and breaks off with a line that says why", () =>
    Effect.gen(function*() {
      const lost = new PodStreamError({ reason: "Failed", detail: "the link to device edge-1 was lost" })
      const file = (end: Stream.Stream<Uint8Array, StreamFailure>) =>
        Effect.succeed({ directory: false, bytes: Stream.concat(Stream.succeed(bytes("one\n")), end) })
      assert.strictEqual(yield* shown(file(Stream.empty), "/logs/boot.log"), "Success one\n")
      const broken = yield* Effect.forkChild(shown(file(Stream.fail(lost)), "/logs/boot.log"))
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(broken), "Failure one\naranya: the link to device edge-1 was lost\n")
    }))

  it.effect("answers in words that kubectl shows: what is refused, what is not there, what the device does not say in time", () =>
    Effect.gen(function*() {
      const failing = (reason: PodStreamError["reason"]) =>
        shown(Effect.fail(new PodStreamError({ reason, detail: `it is ${reason}` })))
      assert.strictEqual(yield* failing("Refused"), "403 Forbidden: it is Refused")
      assert.strictEqual(yield* failing("NotFound"), "404 NotFound: it is NotFound")
      assert.strictEqual(yield* failing("Failed"), "500 InternalError: it is Failed")
      assert.strictEqual(yield* failing("NotReady"), "503 ServiceUnavailable: it is NotReady")
      const silent = yield* Effect.forkChild(shown(Effect.never))
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(
        yield* Fiber.join(silent),
        "500 InternalError: the device did not show its log files in time"
      )
    }))
})

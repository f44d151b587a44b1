/** What is left of Secrets on a plain disk, where no memory could be mounted for them. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fs from "node:fs"
import { make } from "../../../adapters/store/DiskPodFiles.ts"
import { unmountBelow } from "../../../adapters/store/mounts.ts"
import type { AssignedVolume } from "../../../core/pod/PodAssignment.ts"
import { temporary } from "./temporary.ts"

const uid = "0b6d3c7e-5a52-4a8e-9f3b-2a1c4d5e6f70"
const nobody = 65_534
const isRoot = process.getuid?.() === 0

const secret = (content: string, mode = 0o644): Extract<AssignedVolume, { _tag: "Files" }> => ({
  _tag: "Files",
  name: "s",
  secret: true,
  files: [{ path: "password", mode, content: new TextEncoder().encode(content) }]
})

const zeros = (length: number) => "\0".repeat(length)

/** What a file holds when it is gone, for as long as the test runs. */
const watch = (path: string) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => fs.openSync(path, "r")),
      (file) => Effect.sync(() => fs.closeSync(file))
    ),
    (file) => () => {
      const content = Buffer.alloc(64)
      return content.toString("utf8", 0, fs.readSync(file, content, 0, content.length, 0))
    }
  )

/** Runs one step without the powers of root. */
const powerless = <A, E>(step: Effect.Effect<A, E>): A => {
  if (isRoot) process.seteuid?.(nobody)
  try {
    return Effect.runSync(step)
  } finally {
    if (isRoot) process.seteuid?.(0)
  }
}

describe("a Secret on a plain disk", () => {
  it.live("is overwritten when its pod goes, also where its mode forbids it and arhat is not root", () =>
    Effect.gen(function*() {
      const root = yield* temporary
      if (isRoot) fs.chownSync(root, nobody, nobody)
      const pods = powerless(make({ root: `${root}/arhat`, memory: "never" }))
      const path = powerless(pods.volume(uid, secret("s3cr3t", 0o400), {}))
      const content = yield* watch(`${path}/password`)
      powerless(pods.remove(uid))
      assert.strictEqual(content(), zeros(6))
      assert.deepStrictEqual(yield* pods.pods, [])
    }))

  it.live("is overwritten when another version replaces it", () =>
    Effect.gen(function*() {
      const pods = yield* make({ root: `${yield* temporary}/arhat`, memory: "never" })
      const path = yield* pods.volume(uid, secret("s3cr3t"), {})
      const first = yield* watch(`${path}/password`)
      yield* pods.volume(uid, secret("other"), {})
      assert.strictEqual(first(), zeros(6))
      const second = yield* watch(`${path}/password`)
      assert.strictEqual(second(), "other")
      const renewed = { path: "password", mode: 0o644, content: new TextEncoder().encode("third") }
      yield* pods.replace(uid, "s", [renewed])
      assert.strictEqual(second(), zeros(5))
      assert.strictEqual(fs.readFileSync(`${path}/password`, "utf8"), "third")
    }))

  it.live("stays what it was for a container that a subPath shows it, until its pod goes", () =>
    Effect.gen(function*() {
      const root = `${yield* temporary}/arhat`
      const pods = yield* make({ root, memory: "never" })
      const path = yield* pods.volume(uid, secret("s3cr3t"), {})
      yield* Effect.addFinalizer(() => Effect.sync(() => unmountBelow(root)))
      const mounted = yield* watch(yield* pods.subPath(uid, "web-0", path, "password"))
      // As after a restart of the agent.
      const again = yield* make({ root, memory: "never" })
      yield* again.volume(uid, secret("other"), {})
      assert.strictEqual(mounted(), "s3cr3t")
      const last = yield* watch(`${path}/password`)
      yield* again.remove(uid)
      assert.strictEqual(last(), zeros(5))
    }))

  it.live("and only that: other files go as they are", () =>
    Effect.gen(function*() {
      const pods = yield* make({ root: `${yield* temporary}/arhat`, memory: "never" })
      const path = yield* pods.volume(uid, { ...secret("plain"), secret: false }, {})
      const content = yield* watch(`${path}/password`)
      yield* pods.volume(uid, { ...secret("other"), secret: false }, {})
      assert.strictEqual(content(), "plain")
    }))

  it.live("goes from its volume when that holds secrets no more, as a token that is no longer allowed", () =>
    Effect.gen(function*() {
      const pods = yield* make({ root: `${yield* temporary}/arhat`, memory: "never" })
      const path = yield* pods.volume(uid, secret("token"), {})
      const content = yield* watch(`${path}/password`)
      assert.strictEqual(yield* pods.volume(uid, { ...secret(""), secret: false, files: [] }, {}), path)
      assert.isFalse(fs.existsSync(`${path}/password`))
      assert.strictEqual(content(), zeros(5))
    }))
})

import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { spawn, spawnSync } from "node:child_process"
import * as fs from "node:fs"
import { createServer } from "node:net"
import { make } from "../../../adapters/store/DiskPodFiles.ts"
import { onDisk } from "../../../adapters/store/filesystem.ts"
import { isMemoryBacked, mountsBelow, unmountBelow } from "../../../adapters/store/mounts.ts"
import { withSubPath } from "../../../adapters/store/subPath.ts"
import type { AssignedVolume, VolumeFile } from "../../../core/pod/PodAssignment.ts"
import { temporary } from "./temporary.ts"

const uid = "0b6d3c7e-5a52-4a8e-9f3b-2a1c4d5e6f70"
const isRoot = process.getuid?.() === 0
const bytes = (words: string) => new TextEncoder().encode(words)
const file = (path: string, content: string, mode = 0o644): VolumeFile => ({ path, mode, content: bytes(content) })
const files = (name: string, list: ReadonlyArray<VolumeFile>, secret = false): AssignedVolume => ({
  _tag: "Files",
  name,
  secret,
  files: list
})
const emptyDir = (name: string, medium: "" | "Memory" = "", sizeLimit?: number): AssignedVolume => ({
  _tag: "EmptyDir",
  name,
  medium,
  ...(sizeLimit === undefined ? {} : { sizeLimit })
})
const mode = (path: string) => fs.statSync(path).mode & 0o7777
const read = (path: string) => fs.readFileSync(path, "utf8")

/** Secrets without mounts; the tests that need them say so. */
const fresh = Effect.gen(function*() {
  const root = yield* temporary
  yield* Effect.addFinalizer(() => Effect.sync(() => unmountBelow(root)))
  return { root, pods: yield* make({ root: `${root}/arhat`, memory: "never" }) }
})

describe("volumes of files", () => {
  it.live("look as a kubelet's do: links into ..data, which is a link to a dated directory", () =>
    Effect.gen(function*() {
      const { pods } = yield* fresh
      const path = yield* pods.volume(uid, files("c", [file("a.conf", "A"), file("sub/b.conf", "B", 0o400)]), {})
      assert.strictEqual(fs.readlinkSync(`${path}/a.conf`), "..data/a.conf")
      assert.strictEqual(fs.readlinkSync(`${path}/sub`), "..data/sub")
      assert.match(fs.readlinkSync(`${path}/..data`), /^\.\.\d{4}_\d\d_\d\d_\d\d_\d\d_\d\d\.\d{9}$/)
      assert.strictEqual(read(`${path}/a.conf`), "A")
      assert.strictEqual(read(`${path}/sub/b.conf`), "B")
      assert.strictEqual(mode(`${path}/a.conf`), 0o644)
      assert.strictEqual(mode(`${path}/sub/b.conf`), 0o400)
      assert.strictEqual(mode(`${path}/..data/`), 0o755)
    }))

  it.live("have a place for what is mounted below them, which stays when they change", () =>
    Effect.gen(function*() {
      const { pods } = yield* fresh
      const mountPoints = ["cache/deep", "a.conf", "sub/data"].map((path) => ({ path, kind: "directory" as const }))
      const filePoint = { path: "tls.crt", kind: "file" as const }
      const list = [file("a.conf", "A"), file("sub/b.conf", "B")]
      const path = yield* pods.volume(uid, files("c", list), { mountPoints: [...mountPoints, filePoint] })
      assert.strictEqual(mode(`${path}/cache`), 0o755)
      assert.isTrue(fs.statSync(`${path}/cache/deep`).isDirectory())
      assert.strictEqual(read(`${path}/a.conf`), "A")
      assert.isFalse(fs.existsSync(`${path}/sub/data`))
      yield* pods.volume(uid, files("c", [file("a.conf", "C")]), {})
      yield* pods.replace(uid, "c", [file("a.conf", "D")])
      assert.isTrue(fs.statSync(`${path}/tls.crt`).isFile())
      assert.isTrue(fs.statSync(`${path}/cache/deep`).isDirectory())
      assert.strictEqual(read(`${path}/a.conf`), "D")
      assert.strictEqual(
        (yield* Effect.flip(pods.volume(uid, files("c", list), { mountPoints: [{ ...filePoint, path: "../up" }] })))
          .reason,
        "Unsafe"
      )
    }))

  it.live("change as one, drop what is no longer there, and keep no old directory", () =>
    Effect.gen(function*() {
      const { pods } = yield* fresh
      const path = yield* pods.volume(uid, files("c", [file("a", "1"), file("b", "1"), file("d/e", "1")]), {})
      const before = fs.readlinkSync(`${path}/..data`)
      assert.strictEqual(yield* pods.volume(uid, files("c", [file("a", "2"), file("c", "2")]), {}), path)
      assert.notStrictEqual(fs.readlinkSync(`${path}/..data`), before)
      assert.deepStrictEqual(
        fs.readdirSync(path).toSorted(),
        [
          fs.readlinkSync(`${path}/..data`),
          "..data",
          "a",
          "c"
        ].toSorted()
      )
      assert.strictEqual(read(`${path}/a`), "2")
    }))

  it.live("are left alone when nothing changed, so that no watcher wakes", () =>
    Effect.gen(function*() {
      const { pods } = yield* fresh
      const volume = files("c", [file("a", "1")])
      const path = yield* pods.volume(uid, volume, {})
      const before = fs.readlinkSync(`${path}/..data`)
      yield* pods.volume(uid, volume, {})
      assert.strictEqual(fs.readlinkSync(`${path}/..data`), before)
      yield* pods.volume(uid, files("c", [file("a", "1", 0o600)]), {})
      assert.notStrictEqual(fs.readlinkSync(`${path}/..data`), before)
    }))

  it.live("heal what a crash left half-made", () =>
    Effect.gen(function*() {
      const { pods } = yield* fresh
      const path = yield* pods.volume(uid, files("c", [file("a", "1")]), {})
      fs.mkdirSync(`${path}/..2020_01_01_00_00_00.000000001`)
      fs.symlinkSync("..2020_01_01_00_00_00.000000001", `${path}/..data_tmp`)
      fs.unlinkSync(`${path}/a`)
      yield* pods.volume(uid, files("c", [file("a", "1")]), {})
      assert.strictEqual(read(`${path}/a`), "1")
      assert.strictEqual(fs.readdirSync(path).length, 3)
    }))

  it.live("leave nothing of what a crash kept from being taken away, also where they are as they shall be", () =>
    Effect.gen(function*() {
      const { pods } = yield* fresh
      const path = yield* pods.volume(uid, files("c", [file("a", "1")]), {})
      fs.mkdirSync(`${path}/..2020_01_01_00_00_00.000000001`)
      const before = fs.readlinkSync(`${path}/..data`)
      yield* pods.volume(uid, files("c", [file("a", "1")]), {})
      assert.sameMembers(fs.readdirSync(path), ["..data", before, "a"])
    }))

  it.live("leave nothing of a write that came to nothing", () =>
    Effect.gen(function*() {
      const { pods } = yield* fresh
      const path = yield* pods.volume(uid, files("c", [file("a", "1")]), {})
      const before = fs.readdirSync(path)
      for (let i = 0; i < 3; i++) {
        yield* Effect.flip(pods.volume(uid, files("c", [file("a", "2"), file("x", "x"), file("x/y", "y")]), {}))
        assert.deepStrictEqual(fs.readdirSync(path), before)
      }
      yield* pods.volume(uid, files("c", [file("a", "2")]), {})
      assert.strictEqual(read(`${path}/a`), "2")
    }))

  it.live("refuse names that lead out or are reserved", () =>
    Effect.gen(function*() {
      const { pods } = yield* fresh
      for (const name of ["../x", "/x", "a/../../x", "..data", "..x/y", "", "a\0b"]) {
        const error = yield* Effect.flip(pods.volume(uid, files("c", [file(name, "x")]), {}))
        assert.strictEqual(error.reason, "Unsafe", name)
      }
      for (const name of ["..", "a/b", ""]) {
        assert.strictEqual((yield* Effect.flip(pods.volume(uid, files(name, []), {}))).reason, "Unsafe")
        assert.strictEqual((yield* Effect.flip(pods.volume(name, files("c", []), {}))).reason, "Unsafe")
        assert.strictEqual((yield* Effect.flip(pods.write(uid, name, bytes(""), 0o644))).reason, "Unsafe")
      }
    }))

  it.live("belong to the fsGroup: 0600 becomes 0640, directories setgid", (context) =>
    Effect.gen(function*() {
      if (!isRoot) return context.skip("needs root to give files away")
      const { pods } = yield* fresh
      const path = yield* pods.volume(uid, files("s", [file("token", "t", 0o600), file("d/x", "t", 0o400)]), {
        fsGroup: 2000
      })
      assert.strictEqual(mode(`${path}/token`), 0o640)
      assert.strictEqual(mode(`${path}/d/x`), 0o440)
      assert.strictEqual(mode(`${path}/..data/d`), 0o2755)
      assert.strictEqual(fs.statSync(`${path}/token`).gid, 2000)
      yield* pods.replace(uid, "s", [file("token", "u", 0o600)])
      assert.strictEqual(mode(`${path}/token`), 0o640)
      assert.strictEqual(fs.statSync(`${path}/token`).gid, 2000)
      assert.strictEqual(read(`${path}/d/x`), "t")

      const scratch = yield* pods.volume(uid, emptyDir("e"), { fsGroup: 2000 })
      assert.strictEqual(mode(scratch), 0o2777)
      assert.strictEqual(fs.statSync(scratch).gid, 2000)
    }))

  it.live("take a rotated token without touching the rest", () =>
    Effect.gen(function*() {
      const { pods } = yield* fresh
      const path = yield* pods.volume(
        uid,
        files("access", [file("token", "one", 0o600), file("ca.crt", "CA")], true),
        {}
      )
      yield* pods.replace(uid, "access", [file("token", "two", 0o600)])
      assert.strictEqual(read(`${path}/token`), "two")
      assert.strictEqual(read(`${path}/ca.crt`), "CA")
      assert.match((yield* Effect.flip(pods.replace(uid, "other", []))).message, /has no volume other/)
    }))
})

describe("other volumes", () => {
  it.live("an empty directory is open to all, whatever the umask, and kept on a repeat", () =>
    Effect.gen(function*() {
      const { pods } = yield* fresh
      const path = yield* pods.volume(uid, emptyDir("e"), {})
      assert.strictEqual(mode(path), 0o777)
      fs.writeFileSync(`${path}/kept`, "yes")
      yield* pods.volume(uid, emptyDir("e"), {})
      assert.strictEqual(read(`${path}/kept`), "yes")
    }))

  it.live("memory is a tmpfs of its size, secrets lie in memory, and both go with the pod", (context) =>
    Effect.gen(function*() {
      const root = `${yield* temporary}/arhat`
      fs.mkdirSync(`${root}/memory`, { recursive: true })
      if (spawnSync("mount", ["-t", "tmpfs", "probe", `${root}/memory`]).status !== 0) {
        return context.skip("needs the right to mount a tmpfs")
      }
      spawnSync("umount", [`${root}/memory`])
      const pods = yield* make({ root })
      yield* Effect.addFinalizer(() => Effect.sync(() => spawnSync("umount", ["-l", `${root}/memory`])))
      const memory = yield* pods.volume(uid, emptyDir("m", "Memory", 1024 * 1024), {})
      yield* pods.volume(uid, emptyDir("m", "Memory", 1024 * 1024), {})
      assert.isTrue(isMemoryBacked(memory))
      assert.strictEqual(mode(memory), 0o777)
      const { bsize, blocks } = fs.statfsSync(memory)
      assert.strictEqual(bsize * blocks, 1024 * 1024)
      const secret = yield* pods.volume(uid, files("s", [file("password", "x")], true), {})
      assert.isTrue(isMemoryBacked(secret))
      assert.isFalse(isMemoryBacked(yield* pods.volume(uid, files("c", [file("a", "x")]), {})))
      assert.deepStrictEqual(yield* pods.pods, [uid])
      // As after a restart of the agent.
      yield* make({ root })
      assert.strictEqual(read(`${secret}/password`), "x")
      yield* pods.remove(uid)
      assert.deepStrictEqual(yield* pods.pods, [])
      assert.isFalse(fs.existsSync(memory) || fs.existsSync(secret))
      assert.notInclude(fs.readFileSync("/proc/self/mountinfo", "utf8"), uid)
    }))

  it.live("host paths are checked, and made where their type says so, with a kubelet's words", () =>
    Effect.gen(function*() {
      const { pods, root } = yield* fresh
      const at = (path: string, type: Extract<AssignedVolume, { _tag: "HostPath" }>["type"]) =>
        pods.volume(uid, { _tag: "HostPath", name: "h", path, type }, {})
      const refused = (path: string, type: Parameters<typeof at>[1]) =>
        Effect.map(Effect.flip(at(path, type)), (e) => e.message)
      assert.strictEqual(
        yield* refused(`${root}/nowhere`, "Directory"),
        `hostPath type check failed: ${root}/nowhere is not a directory`
      )
      assert.strictEqual(yield* refused(root, "File"), `hostPath type check failed: ${root} is not a file`)
      assert.strictEqual(yield* refused(root, "Socket"), `hostPath type check failed: ${root} is not a socket file`)
      assert.strictEqual(
        yield* refused(root, "CharDevice"),
        `hostPath type check failed: ${root} is not a character device`
      )
      assert.strictEqual(
        yield* refused(root, "BlockDevice"),
        `hostPath type check failed: ${root} is not a block device`
      )
      yield* at(`${root}/made/deep`, "DirectoryOrCreate")
      assert.isTrue(fs.statSync(`${root}/made/deep`).isDirectory())
      yield* at(`${root}/made/file`, "FileOrCreate")
      assert.strictEqual(mode(`${root}/made/file`), 0o644)
      assert.strictEqual(yield* at("/dev/null", "CharDevice"), "/dev/null")
      const socket = `${root}/s.sock`
      const server = createServer()
      yield* Effect.callback<void>((resume) => void server.listen(socket, () => resume(Effect.void)))
      yield* Effect.addFinalizer(() => Effect.sync(() => server.close()))
      assert.strictEqual(yield* at(socket, "Socket"), socket)
      assert.match(yield* refused("relative", ""), /must be absolute/)
      assert.match(yield* refused("/a/../etc", ""), /must not contain/)
    }))

  it.live("a host path without a type becomes a directory where nothing is, and stays what it is elsewhere", () =>
    Effect.gen(function*() {
      const { pods, root } = yield* fresh
      const at = (path: string) => pods.volume(uid, { _tag: "HostPath", name: "h", path, type: "" }, {})
      assert.strictEqual(yield* at(`${root}/data/deep`), `${root}/data/deep`)
      assert.isTrue(fs.statSync(`${root}/data/deep`).isDirectory())
      assert.strictEqual(mode(`${root}/data`), 0o755)
      assert.strictEqual(mode(`${root}/data/deep`), 0o755)
      fs.writeFileSync(`${root}/data/file`, "kept")
      yield* at(`${root}/data/file`)
      assert.strictEqual(read(`${root}/data/file`), "kept")
      fs.symlinkSync(`${root}/data`, `${root}/link`)
      yield* at(`${root}/link/through`)
      assert.isTrue(fs.statSync(`${root}/data/through`).isDirectory())
      // Nothing is made for a link that leads nowhere: whoever put it there meant something else.
      fs.symlinkSync(`${root}/elsewhere`, `${root}/dangling`)
      assert.strictEqual((yield* Effect.flip(at(`${root}/dangling`))).reason, "Failed")
      assert.isFalse(fs.existsSync(`${root}/elsewhere`))
    }))
})

describe("subPath", () => {
  const volumeWith = (work: (path: string, outside: string) => void) =>
    Effect.gen(function*() {
      const { pods, root } = yield* fresh
      const path = yield* pods.volume(uid, emptyDir("e"), {})
      fs.mkdirSync(`${root}/outside/below`, { recursive: true })
      work(path, `${root}/outside`)
      return { pods, path, root, outside: `${root}/outside` }
    })

  const same = (one: string, other: string) => {
    const [a, b] = [fs.statSync(one), fs.statSync(other)]
    assert.deepStrictEqual([a.dev, a.ino], [b.dev, b.ino], `${one} is not ${other}`)
  }

  it.live("is made with the mode of its volume", () =>
    Effect.gen(function*() {
      const { path, pods } = yield* volumeWith(() => {})
      same(yield* pods.subPath(uid, "web-0", path, "a/b"), `${path}/a/b`)
      assert.strictEqual(mode(`${path}/a`), 0o777)
      assert.strictEqual(mode(`${path}/a/b`), 0o777)
    }))

  it.live("finds files and follows links that stay within", () =>
    Effect.gen(function*() {
      const { path, pods } = yield* volumeWith((path) => {
        fs.mkdirSync(`${path}/real/deep`, { recursive: true })
        fs.symlinkSync("real", `${path}/relative`)
        fs.symlinkSync(`${path}/real`, `${path}/absolute`)
        fs.symlinkSync("../../relative/deep", `${path}/real/deep/up`)
      })
      same(yield* pods.subPath(uid, "web-0", path, "relative/deep"), `${path}/real/deep`)
      same(yield* pods.subPath(uid, "web-1", path, "absolute/new"), `${path}/real/new`)
      same(yield* pods.subPath(uid, "web-2", path, "real/deep/up"), `${path}/real/deep`)
      const config = yield* pods.volume(uid, files("c", [file("a.conf", "A")]), {})
      assert.strictEqual(read(yield* pods.subPath(uid, "web-3", config, "a.conf")), "A")
    }))

  it.live("stays what it was when a container swaps it for a link before it is mounted", (context) =>
    Effect.gen(function*() {
      if (!isRoot) return context.skip("needs the right to mount")
      const { outside, path, pods } = yield* volumeWith((path) => {
        fs.mkdirSync(`${path}/swap`)
        fs.writeFileSync(`${path}/swap/mine`, "")
      })
      const given = yield* pods.subPath(uid, "web-0", path, "swap")
      fs.renameSync(`${path}/swap`, `${path}/held`)
      fs.symlinkSync(outside, `${path}/swap`)
      assert.notStrictEqual(fs.realpathSync(given), fs.realpathSync(outside))
      same(given, `${path}/held`)
      assert.deepStrictEqual(fs.readdirSync(given), ["mine"])
    }))

  it.live("is held once for each mount, anew where another is meant, and let go with the pod", (context) =>
    Effect.gen(function*() {
      if (!isRoot) return context.skip("needs the right to mount")
      const { path, pods, root } = yield* volumeWith(() => {})
      const held = () => mountsBelow(`${root}/arhat`).length
      const first = yield* pods.subPath(uid, "web-0", path, "a")
      assert.strictEqual(yield* pods.subPath(uid, "web-0", path, "a"), first)
      assert.strictEqual(held(), 1)
      fs.rmdirSync(`${path}/a`)
      fs.writeFileSync(`${path}/a`, "a file now")
      assert.strictEqual(read(yield* pods.subPath(uid, "web-0", path, "a")), "a file now")
      yield* pods.subPath(uid, "web-1", path, "b")
      assert.strictEqual(held(), 2)
      // What is mounted below it on the device later is the device's own.
      const host = `${root}/host`
      fs.mkdirSync(host)
      spawnSync("mount", ["-t", "tmpfs", "host", host])
      spawnSync("mount", ["--make-shared", host])
      fs.mkdirSync(`${host}/sub/disk`, { recursive: true })
      fs.writeFileSync(`${host}/sub/kept`, "")
      yield* pods.subPath(uid, "web-2", host, "sub")
      spawnSync("mount", ["-t", "tmpfs", "disk", `${host}/sub/disk`])
      yield* pods.remove(uid)
      assert.strictEqual(held(), 0)
      assert.deepStrictEqual(mountsBelow(host), [`${host}/sub/disk`, host])
      assert.isTrue(fs.existsSync(`${host}/sub/kept`))
      assert.deepStrictEqual(yield* pods.pods, [])
    }))

  it.live("never leads out of its volume", () =>
    Effect.gen(function*() {
      const { outside, path, pods } = yield* volumeWith((path, outside) => {
        fs.symlinkSync(outside, `${path}/absolute`)
        fs.symlinkSync("../../../../../..", `${path}/up`)
        fs.symlinkSync("/etc", `${path}/etc`)
        fs.symlinkSync("loop", `${path}/loop`)
        fs.symlinkSync(`${path}-sibling`, `${path}/sibling`)
      })
      for (
        const sub of ["absolute", "absolute/below", "absolute/new", "up", "up/etc", "etc/passwd", "loop", "sibling/x"]
      ) {
        assert.strictEqual((yield* Effect.flip(pods.subPath(uid, "web-0", path, sub))).reason, "Unsafe", sub)
      }
      for (const sub of ["..", "a/../../x", "/etc"]) {
        assert.strictEqual((yield* Effect.flip(pods.subPath(uid, "web-0", path, sub))).reason, "Unsafe", sub)
      }
      assert.deepStrictEqual(fs.readdirSync(outside), ["below"])
    }))

  it.live("gains nothing for a container that swaps a directory for a link meanwhile", () =>
    Effect.gen(function*() {
      const { outside, path } = yield* volumeWith((path) => {
        fs.mkdirSync(`${path}/swap`)
      })
      const attacker = yield* Effect.acquireRelease(
        Effect.sync(() =>
          spawn(process.execPath, [
            "-e",
            `const fs = require("fs"), swap = ${JSON.stringify(`${path}/swap`)}, held = ${
              JSON.stringify(`${path}/held`)
            }
             const attempt = (work) => { try { work() } catch {} }
             process.stdout.write("on")
             for (;;) {
               attempt(() => fs.renameSync(swap, held)); attempt(() => fs.symlinkSync(${JSON.stringify(outside)}, swap))
               attempt(() => fs.unlinkSync(swap)); attempt(() => fs.mkdirSync(swap))
               attempt(() => fs.rmSync(held, { recursive: true, force: true }))
             }`
          ], { stdio: ["ignore", "pipe", "ignore"] })
        ),
        (child) => Effect.sync(() => child.kill("SIGKILL"))
      )
      yield* Effect.callback<void>((resume) => void attacker.stdout.once("data", () => resume(Effect.void)))
      let refused = 0
      // On a busy machine the attacker may not be given a turn for a while: it is waited for, within reason.
      for (let i = 0; i < 4000 || (refused === 0 && i < 200_000); i++) {
        if (i % 500 === 0) yield* Effect.sleep("5 millis")
        const exit = yield* Effect.exit(onDisk(() => withSubPath(path, `swap/n${i % 50}`, (_file, place) => place)))
        if (exit._tag === "Success") assert.isTrue(exit.value.startsWith(`${path}/`), exit.value)
        else if (
          exit.cause.reasons.some((reason) => reason._tag === "Fail" && reason.error.reason === "Unsafe")
        ) refused++
      }
      assert.deepStrictEqual(fs.readdirSync(outside), ["below"])
      assert.isAbove(refused, 0, "the attacker was never seen: the test proves nothing")
    }), 60_000)
})

describe("small files of a pod", () => {
  it.live("are written in place, where containers have them mounted, and read from the end", () =>
    Effect.gen(function*() {
      const { pods } = yield* fresh
      assert.deepStrictEqual(yield* pods.readTail(uid, "termination-web", 10), new Uint8Array())
      const path = yield* pods.write(uid, "termination-web", bytes("0123456789abcdef"), 0o666)
      const { ino } = fs.statSync(path)
      assert.strictEqual(mode(path), 0o666)
      assert.deepStrictEqual(yield* pods.readTail(uid, "termination-web", 6), bytes("abcdef"))
      assert.deepStrictEqual(yield* pods.readTail(uid, "termination-web", 100), bytes("0123456789abcdef"))
      assert.strictEqual(yield* pods.write(uid, "termination-web", bytes(""), 0o666), path)
      assert.strictEqual(fs.statSync(path).ino, ino)
      assert.deepStrictEqual(yield* pods.readTail(uid, "termination-web", 100), new Uint8Array())
    }))

  it.live("are not read through a link, nor from a pipe", () =>
    Effect.gen(function*() {
      const { pods } = yield* fresh
      const path = yield* pods.write(uid, "log", bytes("x"), 0o644)
      fs.rmSync(path)
      fs.symlinkSync("/etc/passwd", path)
      assert.strictEqual((yield* Effect.flip(pods.readTail(uid, "log", 10))).reason, "Failed")
      assert.strictEqual((yield* Effect.flip(pods.write(uid, "log", bytes("x"), 0o644))).reason, "Failed")
      fs.rmSync(path)
      spawnSync("mkfifo", [path])
      assert.strictEqual((yield* Effect.flip(pods.readTail(uid, "log", 10))).reason, "WrongType")
    }))

  it.live("go with the pod, and only with it", () =>
    Effect.gen(function*() {
      const { pods, root } = yield* fresh
      fs.writeFileSync(`${root}/precious`, "mine")
      const path = yield* pods.volume(uid, emptyDir("e"), {})
      fs.symlinkSync(root, `${path}/link`)
      yield* pods.write("other", "f", bytes("x"), 0o644)
      yield* pods.volume(uid, files("s", [file("password", "s3cr3t")], true), {})
      assert.deepStrictEqual(yield* pods.pods, [uid, "other"].toSorted())
      yield* pods.remove(uid)
      yield* pods.remove(uid)
      assert.deepStrictEqual(yield* pods.pods, ["other"])
      assert.strictEqual(read(`${root}/precious`), "mine")
    }))
})

describe("where the device finds names", () => {
  it.live("is what lies behind a resolver of its own, where that tells it", () =>
    Effect.gen(function*() {
      const root = yield* temporary
      const [resolvConf, behindResolved] = [`${root}/resolv.conf`, `${root}/behind.conf`]
      const pods = yield* make({ root: `${root}/arhat`, memory: "never", resolvConf, behindResolved })
      assert.strictEqual(yield* pods.resolvConf, "")
      fs.writeFileSync(resolvConf, "# stub\nnameserver 127.0.0.53\noptions edns0\n")
      assert.include(yield* pods.resolvConf, "nameserver 127.0.0.53")
      fs.writeFileSync(behindResolved, "nameserver 192.168.7.1\n")
      assert.strictEqual(yield* pods.resolvConf, "nameserver 192.168.7.1\n")
      fs.writeFileSync(resolvConf, "nameserver 127.0.0.53\nnameserver 10.0.0.1\n")
      assert.include(yield* pods.resolvConf, "10.0.0.1")
    }))
})

/** Archives to and from the host, against the tar of this machine. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { Tar } from "effect/encoding"
import { execFileSync } from "node:child_process"
import { createHash, randomBytes } from "node:crypto"
import * as fs from "node:fs"
import { at, openRoot, walk } from "../../../../adapters/process/host/walk.ts"
import { whyNotRoot } from "../processWorld.ts"
import { hostWorld } from "./hostWorld.ts"

if (whyNotRoot !== undefined) console.warn(`SKIPPED copying as another user: ${whyNotRoot}`)
const asRoot = whyNotRoot === undefined ? it.live : it.live.skip

const digest = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex")

const archiveOf = (...entries: ReadonlyArray<Tar.Entry>) =>
  Stream.fromIterable(entries).pipe(
    Stream.pipeThroughChannel(Tar.encode()),
    Stream.runCollect,
    Effect.map((parts) => Buffer.concat(parts)),
    Effect.orDie
  )

/** Path to content, or to what else is there, as lstat(2) tells. */
const treeOf = (folder: string): Readonly<Record<string, string>> =>
  Object.fromEntries(
    fs.readdirSync(folder, { recursive: true, withFileTypes: true }).map((entry) => {
      const path = `${entry.parentPath}/${entry.name}`
      const shown = entry.isSymbolicLink()
        ? `-> ${fs.readlinkSync(path)}`
        : entry.isDirectory()
        ? "directory"
        : digest(fs.readFileSync(path))
      return [path.slice(folder.length + 1), `${shown} ${(fs.lstatSync(path).mode & 0o777).toString(8)}`]
    })
  )

const oddNames = [
  "a b",
  "-rf",
  "*",
  "quote'\"$(x)",
  "new\nline",
  "日本語",
  `${"long".repeat(40)}/${"deep".repeat(50)}`
]

describe.skipIf(whyNotRoot !== undefined)("copying from the host", () => {
  it.live(
    "gives what tar unpacks to the same: files of any name and length, folders, links",
    () =>
      Effect.gen(function*() {
        const { create, folder, rootfs } = yield* hostWorld()
        const site = `${rootfs}/srv/site`
        for (const [index, name] of oddNames.entries()) {
          const path = `${site}/${name}`
          fs.mkdirSync(path.slice(0, path.lastIndexOf("/")), { recursive: true })
          fs.writeFileSync(path, randomBytes(index * 511))
        }
        fs.mkdirSync(`${site}/empty`)
        fs.writeFileSync(`${site}/program`, randomBytes(3_000_001), { mode: 0o750 })
        fs.symlinkSync("/etc/passwd", `${site}/link`)
        execFileSync("mkfifo", [`${site}/pipe`])

        const said = yield* create("/srv/site")
        assert.match(said.stderr, /srv\/site\/pipe: neither a file nor a directory; left out/)
        assert.strictEqual(said.exitCode, 2)
        const out = `${folder}/out`
        fs.mkdirSync(out)
        execFileSync("tar", ["-xpf", "-", "-C", out], { input: said.stdout })
        fs.rmSync(`${site}/pipe`)
        assert.deepStrictEqual(treeOf(`${out}/srv/site`), treeOf(site))

        const one = yield* create("srv/../srv/site/program")
        assert.strictEqual(one.exitCode, 0, one.stderr)
        const listed = execFileSync("tar", ["-tf", "-"], { input: one.stdout, encoding: "utf8" })
        assert.strictEqual(listed, "srv/site/program\n")
        const rest = yield* create("/srv/site/program", 100_000)
        assert.isTrue(rest.stdout.equals(one.stdout.subarray(100_000)), "goes on where it broke off")
      }).pipe(Effect.scoped),
    60_000
  )

  it.live(
    "follows links on the way as the host itself would, and none of them out of its root",
    () =>
      Effect.gen(function*() {
        const { create, folder, isDirectory, rootfs } = yield* hostWorld()
        fs.writeFileSync(`${folder}/secret`, "outside")
        fs.mkdirSync(`${rootfs}/data`)
        fs.writeFileSync(`${rootfs}/data/file`, "inside")
        fs.symlinkSync("/data", `${rootfs}/absolute`)
        fs.symlinkSync("../../../../data", `${rootfs}/upwards`)
        fs.symlinkSync(`${folder}`, `${rootfs}/away`)
        fs.symlinkSync("loop", `${rootfs}/loop`)
        const root = openRoot(rootfs)
        const read = (path: string) => {
          const { directory, name } = walk(root, path, { links: true, last: true })
          return fs.readFileSync(at(directory, name ?? "."), "utf8")
        }
        for (const way of ["absolute/file", "upwards/file", "data/../data/./file"]) {
          assert.strictEqual(read(way), "inside")
        }
        for (const way of ["away/secret", "../secret", "../../../../../../etc/passwd", "loop/x", "data/file/x"]) {
          assert.throws(() => read(way), /ENOENT|not a directory|too many links/)
        }
        fs.closeSync(root)
        const said = yield* create("/absolute/file")
        assert.strictEqual(execFileSync("tar", ["-xOf", "-"], { input: said.stdout, encoding: "utf8" }), "inside")
        const none = yield* create("away/secret")
        assert.strictEqual(none.exitCode, 2)
        assert.match(none.stderr, /^tar: away\/secret: .*ENOENT/)
        assert.strictEqual(yield* isDirectory("absolute"), 0)
        assert.strictEqual(yield* isDirectory("data/file"), 1)
        assert.strictEqual(yield* isDirectory("away"), 1)
      }).pipe(Effect.scoped),
    60_000
  )

  it.live("carries a large file byte by byte, without holding it", () =>
    Effect.gen(function*() {
      const { create, extract, rootfs } = yield* hostWorld()
      const bytes = randomBytes(100 * 1024 * 1024)
      fs.writeFileSync(`${rootfs}/large`, bytes)
      const said = yield* create("/large")
      assert.strictEqual(said.exitCode, 0, said.stderr)
      fs.mkdirSync(`${rootfs}/tmp`)
      const back = yield* extract("/tmp", said.stdout)
      assert.deepStrictEqual({ ...back, stdout: back.stdout.length }, { exitCode: 0, stderr: "", stdout: 0 })
      assert.isTrue(fs.readFileSync(`${rootfs}/tmp/large`).equals(bytes))
    }).pipe(Effect.scoped), 120_000)
})

describe.skipIf(whyNotRoot !== undefined)("copying to the host", () => {
  it.live("unpacks what tar packs to the same, without the bits that change who runs it", () =>
    Effect.gen(function*() {
      const { extract, folder, rootfs } = yield* hostWorld()
      const from = `${folder}/from`
      for (const name of oddNames) {
        const path = `${from}/${name}`
        fs.mkdirSync(path.slice(0, path.lastIndexOf("/")), { recursive: true })
        fs.writeFileSync(path, randomBytes(1025))
      }
      fs.writeFileSync(`${from}/program`, "x", { mode: 0o755 })
      fs.symlinkSync("../elsewhere", `${from}/link`)
      fs.mkdirSync(`${rootfs}/tmp`)
      for (const format of ["gnu", "pax", "ustar"]) {
        const left = format === "ustar" ? ["--exclude", "long*", "--exclude", "日*"] : []
        const archive = execFileSync("tar", ["-C", folder, `--format=${format}`, ...left, "-cf", "-", "from"], {
          maxBuffer: 1e8
        })
        const said = yield* extract("tmp", archive)
        assert.deepStrictEqual({ ...said, stdout: "" }, { stdout: "", stderr: "", exitCode: 0 })
        assert.deepStrictEqual(treeOf(`${rootfs}/tmp/from`), treeOf(from))
      }
      fs.chmodSync(`${from}/program`, 0o4777)
      const archive = execFileSync("tar", ["-C", folder, "-cf", "-", "from/program"])
      yield* extract("/tmp", archive)
      assert.strictEqual(fs.statSync(`${rootfs}/tmp/from/program`).mode & 0o7777, 0o777)
      yield* extract("/tmp", archive, false)
      assert.strictEqual(fs.statSync(`${rootfs}/tmp/from/program`).mode & 0o7777, 0o755)
    }).pipe(Effect.scoped), 60_000)

  it.live("replaces what is there and never writes through it", () =>
    Effect.gen(function*() {
      const { extract, folder, rootfs } = yield* hostWorld()
      fs.writeFileSync(`${folder}/outside`, "untouched")
      fs.writeFileSync(`${rootfs}/other`, "untouched")
      fs.linkSync(`${rootfs}/other`, `${rootfs}/twin`)
      fs.symlinkSync("../outside", `${rootfs}/link`)
      const said = yield* extract("/", yield* archiveOf(Tar.file("twin", "new"), Tar.file("link", "new")))
      assert.strictEqual(said.exitCode, 0, said.stderr)
      assert.strictEqual(fs.readFileSync(`${folder}/outside`, "utf8"), "untouched")
      assert.strictEqual(fs.readFileSync(`${rootfs}/other`, "utf8"), "untouched")
      for (const name of ["twin", "link"]) assert.strictEqual(fs.readFileSync(`${rootfs}/${name}`, "utf8"), "new")
    }).pipe(Effect.scoped), 60_000)

  const hostile: ReadonlyArray<readonly [what: string, entries: ReadonlyArray<Tar.Entry>, why: RegExp]> = [
    ["goes upwards", [Tar.file("../outside", "x")], /"\.\." leads out/],
    ["goes upwards later", [Tar.file("a/../../../outside", "x")], /"\.\." leads out/],
    ["has an absolute name", [Tar.file("/outside", "x")], /an absolute name/],
    [
      "goes through a link of its own",
      [Tar.symlink("way", "../.."), Tar.file("way/outside", "x")],
      /way is a link, which is not followed/
    ],
    ["goes through a link that is there", [Tar.file("there/outside", "x")], /there is a link, which is not followed/],
    [
      "makes folders through a link",
      [Tar.symlink("way", "../.."), Tar.directory("way/outside/")],
      /way is a link, which is not followed/
    ]
  ]
  it.live.each(hostile)(
    "refuses an archive that %s, and all that follows in it",
    ([, entries, why]) =>
      Effect.gen(function*() {
        const { extract, folder, rootfs } = yield* hostWorld()
        fs.mkdirSync(`${rootfs}/tmp`)
        fs.symlinkSync("../..", `${rootfs}/tmp/there`)
        const said = yield* extract("/tmp", yield* archiveOf(...entries, Tar.file("after", "x")))
        assert.strictEqual(said.exitCode, 2)
        assert.match(said.stderr, why)
        assert.isFalse(fs.existsSync(`${folder}/outside`) || fs.existsSync(`${rootfs}/outside`))
        assert.isFalse(fs.existsSync(`${rootfs}/tmp/after`))
      }).pipe(Effect.scoped),
    60_000
  )

  it.live("says what it cannot unpack, and unpacks the rest", () =>
    Effect.gen(function*() {
      const { extract, rootfs } = yield* hostWorld()
      fs.mkdirSync(`${rootfs}/taken`)
      const archive = yield* archiveOf(
        Tar.hardlink("hard", "/etc/shadow"),
        Tar.file("taken", "x"),
        Tar.file("fine", "x")
      )
      const said = yield* extract("/", archive)
      assert.strictEqual(said.exitCode, 2)
      assert.match(said.stderr, /hard: a Hardlink is not unpacked\ntar: taken: E/)
      assert.strictEqual(fs.readFileSync(`${rootfs}/fine`, "utf8"), "x")
      assert.isFalse(fs.existsSync(`${rootfs}/hard`))
    }).pipe(Effect.scoped), 60_000)

  it.live(
    "ends with a sentence where the archive is none, or breaks off, or there is no such directory",
    () =>
      Effect.gen(function*() {
        const { extract } = yield* hostWorld()
        const archive = yield* archiveOf(Tar.file("file", randomBytes(5000)))
        for (
          const [directory, bytes] of [
            ["/", randomBytes(2000)],
            ["/", archive.subarray(0, 3000)],
            ["/nothing", archive]
          ] as const
        ) {
          const said = yield* extract(directory, bytes)
          assert.strictEqual(said.exitCode, 2)
          assert.match(said.stderr, /^tar: .+\n$/)
        }
      }).pipe(Effect.scoped),
    60_000
  )
})

describe("copying as the user that the owner gave", () => {
  asRoot("reads and writes what that user may, wherever the root itself lies", () =>
    Effect.gen(function*() {
      const { create, extract, folder, rootfs } = yield* hostWorld({ uid: 65_534 })
      // Nobody else finds the way to the root.
      fs.chmodSync(folder, 0o700)
      fs.mkdirSync(`${rootfs}/tmp`)
      fs.chownSync(`${rootfs}/tmp`, 65_534, 65_534)
      fs.mkdirSync(`${rootfs}/of-root`)
      fs.writeFileSync(`${rootfs}/of-root/secret`, "x", { mode: 0o600 })
      const archive = yield* archiveOf(Tar.file("file", "x"))
      const mine = yield* extract("/tmp", archive)
      assert.strictEqual(mine.exitCode, 0, mine.stderr)
      const { gid, uid } = fs.statSync(`${rootfs}/tmp/file`)
      assert.deepStrictEqual({ gid, uid }, { gid: 65_534, uid: 65_534 })
      const others = yield* extract("/of-root", archive)
      assert.strictEqual(others.exitCode, 2)
      assert.match(others.stderr, /file: EACCES/)
      const read = yield* create("/of-root/secret")
      assert.strictEqual(read.exitCode, 2)
      assert.match(read.stderr, /EACCES/)
    }).pipe(Effect.scoped), 60_000)
})

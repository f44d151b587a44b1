/** The "images" of process pods: the host itself, or root filesystems that the owner of the device put into a table. */
import { Effect, Semaphore } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { createHash } from "node:crypto"
import { existsSync, mkdirSync, readdirSync, renameSync, statSync } from "node:fs"
import { rm } from "node:fs/promises"
import { basename, join } from "node:path"
import { type ImageInfo, RuntimeError } from "../../core/pod/ContainerRuntime.ts"
import { limbo, listFolders, readKept } from "./containerFolder.ts"
import { onDisk, unavailable } from "./disk.ts"
import type { ProcessOptions } from "./ProcessOptions.ts"
import type { Tool, Tools } from "./tools.ts"

/** Runs right on the host. */
export const HOST_EXEC = "virtualimage.arhat.dev/hostexec"

const REFERENCE = /^[a-zA-Z0-9][a-zA-Z0-9._:@/+-]{0,511}$/

const withoutTag = (reference: string): string => {
  const name = reference.split("@")[0] ?? ""
  const slash = name.lastIndexOf("/")
  const colon = name.indexOf(":", slash)
  return colon < 0 ? name : name.slice(0, colon)
}

const EXTRACTION_LIMIT = 30 * 60_000
const KILLED_WITHIN = "5 seconds"
/** A disk that is full may be told for every file of an archive. */
const MOST_WORDS = 1000

export const makeImages = (options: ProcessOptions, tools: Tools) => {
  const folder = join(options.dataDir, "images")
  const containersFolder = join(options.dataDir, "containers")
  /** Two of the same archive would take each other's files away, and a disk writes no two sooner than one after the other. */
  const oneByOne = Semaphore.makeUnsafe(1).withPermit

  const tableEntry = (reference: string) => {
    const path = options.images[reference] ??
      (reference.endsWith(":latest") ? options.images[withoutTag(reference)] : undefined)
    return path === undefined ? undefined : path
  }

  const extractedPath = (archive: string): string => {
    const { mtimeMs, size } = statSync(archive)
    const key = createHash("sha256").update(`${archive}\0${size}\0${mtimeMs}`).digest("hex")
    return join(folder, key)
  }

  const check = (reference: string) =>
    REFERENCE.test(reference) && !reference.includes("//")
      ? Effect.void
      : Effect.fail(new RuntimeError({ reason: "InvalidImageName", detail: `invalid image name: ${reference}` }))

  const unknown = (reference: string) =>
    new RuntimeError({
      reason: "ImageUnavailable",
      detail: `a process pod can only use ${HOST_EXEC} or an image of this device's table: ` +
        `add ${reference} to runtime.process.images, or choose another runtime for the pod`
    })

  /** The folder to use as root, `undefined` for the host itself; fails with NotFound while it is not there. */
  const rootOf = Effect.fnUntraced(function*(reference: string) {
    yield* check(reference)
    if (withoutTag(reference) === HOST_EXEC) return undefined
    const notHere = new RuntimeError({ reason: "NotFound", detail: `image ${reference} is not on this device` })
    const path = tableEntry(reference)
    if (path === undefined || !existsSync(path)) return yield* notHere
    return yield* onDisk(`image ${reference}`, () => statSync(path).isDirectory() ? path : extractedPath(path)).pipe(
      Effect.filterOrFail((root) => existsSync(root), () => notHere)
    )
  })

  const image = Effect.fnUntraced(function*(reference: string) {
    const root = yield* rootOf(reference)
    const info: ImageInfo = {
      id: root === undefined ? HOST_EXEC : `dir:${root}`,
      sizeBytes: 0,
      // Each pod has one of its own out of these; that none of them is root is all anybody asks.
      ...(options.allowRoot ? {} : { user: `${options.uidRange.first}` })
    }
    return info
  })

  /** Interrupted or late, it is over when nothing writes any more, unless the disk lets nobody go. It may be as talkative as it likes. */
  const run = (tool: Tool, ...args: ReadonlyArray<string>) =>
    Effect.callback<void, RuntimeError>((resume) => {
      const fail = (why: string) =>
        resume(Effect.fail(new RuntimeError({ reason: "ImageUnavailable", detail: `${tool}: ${why}` })))
      let words = ""
      const child: ChildProcess = spawn(tools.path(tool), args, {
        stdio: ["ignore", "ignore", "pipe"],
        timeout: EXTRACTION_LIMIT,
        killSignal: "SIGKILL"
      })
      child.stderr?.setEncoding("utf8").on("data", (more: string) => (words = (words + more).slice(0, MOST_WORDS)))
      child.once("error", ({ message }) => fail(message))
      child.once("close", (code, signal) => {
        if (code === 0) return resume(Effect.void)
        const ended = signal === null ? `exit code ${code}` : `ended by ${signal}`
        fail(child.killed ? `killed after ${EXTRACTION_LIMIT / 60_000} minutes` : words.trim() || ended)
      })
      return Effect.callback<void>((gone) => {
        child.once("close", () => gone(Effect.void))
        child.kill("SIGKILL")
      }).pipe(Effect.timeoutOption(KILLED_WITHIN), Effect.asVoid)
    })

  const remove = (path: string) =>
    Effect.tryPromise({
      try: () => rm(path, { recursive: true, force: true, maxRetries: 3 }),
      catch: (cause) => unavailable(`${path} cannot be removed: ${String(cause)}`)
    })

  /** Of an extraction that came to nothing nothing stays: it may be what fills the disk. */
  const extract = (archive: string, target: string) => {
    const fresh = `${target}.new`
    return Effect.gen(function*() {
      yield* remove(fresh)
      yield* onDisk("images", () => mkdirSync(fresh, { recursive: true, mode: 0o755 }))
      yield* run("tar", "--extract", "--file", archive, "--directory", fresh, "--numeric-owner")
      // What is there under its name is taken for whole, also after a power cut.
      yield* run("sync", "-f", fresh)
      yield* onDisk("images", () => renameSync(fresh, target))
    }).pipe(Effect.onError(() => Effect.catch(remove(fresh), ({ detail }) => Effect.logWarning(detail))))
  }

  const pull = Effect.fnUntraced(function*(reference: string) {
    yield* check(reference)
    const path = withoutTag(reference) === HOST_EXEC ? undefined : tableEntry(reference)
    if (path === undefined && withoutTag(reference) !== HOST_EXEC) return yield* unknown(reference)
    if (path !== undefined) {
      if (!existsSync(path)) {
        return yield* new RuntimeError({
          reason: "ImageUnavailable",
          detail: `runtime.process.images names ${path} for ${reference}, and there is no such file`
        })
      }
      const target = yield* onDisk(
        `image ${reference}`,
        () => statSync(path).isDirectory() ? path : extractedPath(path)
      )
      if (!existsSync(target)) {
        yield* oneByOne(Effect.suspend(() => existsSync(target) ? Effect.void : extract(path, target)))
      }
    }
    return yield* image(reference)
  })

  /** What archives of the table were extracted to, as they are now, and what containers have as their root. */
  const inUse = Effect.gen(function*() {
    const archives = yield* onDisk(
      "runtime.process.images",
      () => Object.values(options.images).filter((path) => !statSync(path).isDirectory()).map(extractedPath)
    )
    const ids = yield* onDisk(containersFolder, () => listFolders(containersFolder))
    const kept = yield* Effect.forEach(ids, (id) => readKept(join(containersFolder, id)))
    const roots = kept.map((one) => one?.root)
    return new Set([...archives, ...roots].flatMap((path) => path === undefined ? [] : [basename(path)]))
  })

  /** Frees the space of what was left half made, and of former versions of archives that no container has any more. */
  const sweep = Effect.gen(function*() {
    const all = yield* onDisk(folder, () => existsSync(folder) ? readdirSync(folder) : [])
    const whole = all.filter((name) => /^[0-9a-f]+$/.test(name))
    yield* Effect.forEach(all, (name) => whole.includes(name) ? Effect.void : remove(join(folder, name)))
    if (whole.length === 0) return
    const used = yield* Effect.mapError(inUse, ({ detail }) => unavailable(`former images stay: ${detail}`))
    for (const name of whole.filter((name) => !used.has(name))) {
      // It may be wanted again, and is there whole or not at all.
      const gone = join(folder, limbo())
      yield* onDisk(folder, () => renameSync(join(folder, name), gone))
      yield* remove(gone)
    }
  }).pipe(oneByOne, Effect.catch(({ detail }) => Effect.logWarning(detail)))

  return { image, pull, rootOf, sweep }
}

/** The "images" of process pods: the host itself, or root filesystems that the owner of the device put into a table. */
import { Effect, Semaphore } from "effect"
import { execFile } from "node:child_process"
import { createHash } from "node:crypto"
import { existsSync, renameSync, rmSync, statSync } from "node:fs"
import { mkdir } from "node:fs/promises"
import { join } from "node:path"
import { type ImageInfo, RuntimeError } from "../../core/pod/ContainerRuntime.ts"
import { onDisk } from "./disk.ts"
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

const EXTRACTION_LIMIT = "30 minutes"
const KILLED_WITHIN = "5 seconds"

export const makeImages = (options: ProcessOptions, tools: Tools) => {
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
    return join(options.dataDir, "images", key)
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

  const run = (tool: Tool, ...args: ReadonlyArray<string>) =>
    Effect.callback<void, RuntimeError>((resume) => {
      const child = execFile(tools.path(tool), args, (error, _out, words) =>
        resume(
          error === null
            ? Effect.void
            : Effect.fail(
              new RuntimeError({ reason: "ImageUnavailable", detail: `${tool}: ${words.trim() || error.message}` })
            )
        ))
      // Whoever is next finds nobody writing, unless the disk lets nobody go.
      return Effect.callback<void>((gone) => {
        child.once("close", () => gone(Effect.void))
        child.kill("SIGKILL")
      }).pipe(Effect.timeoutOption(KILLED_WITHIN), Effect.asVoid)
    })

  const extract = (archive: string, target: string) =>
    Effect.gen(function*() {
      const fresh = `${target}.new`
      yield* onDisk("images", () => rmSync(fresh, { recursive: true, force: true }))
      yield* Effect.promise(() => mkdir(fresh, { recursive: true, mode: 0o755 }))
      yield* run("tar", "--extract", "--file", archive, "--directory", fresh, "--numeric-owner").pipe(
        // What is there under its name is taken for whole, also after a power cut.
        Effect.andThen(run("sync", "-f", fresh)),
        Effect.timeoutOrElse({
          duration: EXTRACTION_LIMIT,
          orElse: () =>
            Effect.fail(
              new RuntimeError({
                reason: "ImageUnavailable",
                detail: `${archive} took longer than ${EXTRACTION_LIMIT}`
              })
            )
        })
      )
      yield* onDisk("images", () => renameSync(fresh, target))
    })

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

  return { image, pull, rootOf }
}

/** Small synchronous steps on the disk, with failures as the port's error. */
import { Effect } from "effect"
import { lstatSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs"
import { RuntimeError } from "../../core/pod/ContainerRuntime.ts"

export const unavailable = (detail: string): RuntimeError => new RuntimeError({ reason: "Unavailable", detail })

export const onDisk = <A>(what: string, step: () => A): Effect.Effect<A, RuntimeError> =>
  Effect.try({ try: step, catch: (cause) => unavailable(`${what}: ${cause instanceof Error ? cause.message : cause}`) })

/** `undefined` where there is no such file; other failures throw. */
export const readIfThere = (path: string): string | undefined => {
  try {
    return readFileSync(path, "utf8")
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}

/** ESRCH: a process went away while its entry in /proc was read. */
export const isMissing = (error: unknown): boolean =>
  error instanceof Error && "code" in error && ["ENOENT", "ENOTDIR", "ESRCH"].includes(String(error.code))

/** Whole or not at all, and not lost by a power cut. */
export const writeWhole = (path: string, text: string): void => {
  writeFileSync(`${path}.new`, text, { mode: 0o600, flush: true })
  renameSync(`${path}.new`, path)
}

export const makeFolder = (path: string): void => {
  mkdirSync(path, { recursive: true, mode: 0o700 })
}

/** Overwrites a file with zeros: on the spot, which is all that a plain disk allows. Absent is success. */
export const blank = (path: string): void => {
  const found = lstatSync(path, { throwIfNoEntry: false })
  if (found?.isFile() === true) writeFileSync(path, new Uint8Array(found.size), { flag: "r+", flush: true })
}

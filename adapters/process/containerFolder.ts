/** A container's folder on the disk is all there is to know about it; what it says is read anew each time. */
import { Effect, Schema } from "effect"
import { randomUUID } from "node:crypto"
import { existsSync, lstatSync, readdirSync, readlinkSync, statSync } from "node:fs"
import { join } from "node:path"
import { type Container, type ContainerSpec, RuntimeError } from "../../core/pod/ContainerRuntime.ts"
import { ContainerSecurity } from "../../core/pod/PodAssignment.ts"
import type { Cgroups } from "./cgroups.ts"
import { blank, onDisk, readIfThere, writeWhole } from "./disk.ts"
import { isAlive, parseIdentity, type ProcessIdentity } from "./identity.ts"

const Spec = Schema.Struct({
  uid: Schema.String,
  namespace: Schema.String,
  pod: Schema.String,
  sandboxId: Schema.String,
  container: Schema.String,
  attempt: Schema.Number,
  specHash: Schema.String,
  image: Schema.String,
  imageId: Schema.String,
  command: Schema.Array(Schema.String),
  args: Schema.Array(Schema.String),
  workingDir: Schema.String,
  env: Schema.Array(Schema.Struct({ name: Schema.String, value: Schema.String })),
  mounts: Schema.Array(
    Schema.Struct({ source: Schema.String, target: Schema.String, readOnly: Schema.Boolean })
  ),
  resources: Schema.Struct({
    cpuRequest: Schema.Number,
    cpuLimit: Schema.Number,
    memoryRequest: Schema.Number,
    memoryLimit: Schema.Number
  }),
  oomScoreAdj: Schema.Number,
  security: ContainerSecurity,
  stdin: Schema.Boolean,
  stdinOnce: Schema.Boolean,
  tty: Schema.Boolean
})

/** What is kept of a container: its spec, and what was decided for it when it was made. */
const Kept = Schema.Struct({
  spec: Spec,
  createdAt: Schema.Number,
  boot: Schema.String,
  uid: Schema.Number,
  gid: Schema.Number,
  groups: Schema.Array(Schema.Number),
  /** The image's folder; absent for the host itself. */
  root: Schema.optionalKey(Schema.String)
})
export type Kept = typeof Kept.Type

const decodeKept = Schema.decodeUnknownEffect(Schema.fromJsonString(Kept))

export const encodeKept = (kept: Kept): string => JSON.stringify(kept)

/** Safe as a folder's name, and the deterministic name at the same time. */
export const idOf = ({ attempt, container, uid }: Pick<ContainerSpec, "uid" | "container" | "attempt">): string =>
  `${uid}_${container}_${attempt}`

export const isId = (id: string): boolean => /^[A-Za-z0-9][A-Za-z0-9._-]{0,254}$/.test(id)

/** What is damaged is `Invalid`, as it stays; what cannot be read just now is `Unavailable`. */
export const readKept = Effect.fnUntraced(function*(folder: string) {
  const text = yield* onDisk(folder, () => readIfThere(join(folder, "spec")))
  if (text === undefined) return undefined
  return yield* Effect.mapError(
    decodeKept(text),
    ({ message }) => new RuntimeError({ reason: "Invalid", detail: `${folder} is damaged: ${message}` })
  )
})

export interface Life {
  readonly state: "created" | "running" | "exited"
  readonly process: ProcessIdentity | undefined
  readonly shim: ProcessIdentity | undefined
  readonly startedAt?: number
  readonly finishedAt?: number
  readonly exitCode?: number
  readonly detail?: string
}

/** What a container is whose end nobody saw, as the kubelet says it: 137, and words about why. */
const LOST = 137

/**
 * `process` appears when the user's command is about to be executed, `exit` after it ended, `failed` where it came to neither.
 * Only their absence is interpreted: an identity that is not alive and left no `exit` has been lost with its shim or its boot.
 */
export const readLife = (folder: string, boot: string): Life => {
  const shim = parseIdentity(readIfThere(join(folder, "claim")))
  const process = parseIdentity(readIfThere(join(folder, "process")))
  const failed = readIfThere(join(folder, "failed"))
  if (process === undefined) {
    const state = "created"
    if (failed !== undefined) return { state, process, shim, detail: failed.trim() }
    if (shim !== undefined && !isAlive(shim, boot)) {
      return { state, process, shim, detail: "the shim ended before it could start the process" }
    }
    return { state, process, shim }
  }
  const startedAt = statSync(join(folder, "process")).mtimeMs
  const exit = readExit(folder)
  if (exit !== undefined) return { state: "exited", process, shim, startedAt, ...exit }
  // A shim that lives will write the exit code in a moment.
  if (isAlive(process, boot) || (shim !== undefined && isAlive(shim, boot))) {
    return { state: "running", process, shim, startedAt }
  }
  const words = process.boot === boot
    ? "the exit code was lost: the process and its shim ended together"
    : "the exit code was lost: the device was restarted"
  // Looked for once more, because the shim may have written it and gone since.
  if (readExit(folder) === undefined) noteIfPossible(join(folder, "exit"), `${LOST} ${words}\n`)
  return { state: "exited", process, shim, startedAt, ...(readExit(folder) ?? { exitCode: LOST, detail: words }) }
}

/** A full disk takes no note of an end that is one all the same: each look says so anew, and the moment is noted when there is space. */
const noteIfPossible = (path: string, text: string) => {
  try {
    writeWhole(path, text)
  } catch {
    // Whoever looks is told what it says.
  }
}

/** How long after its end the output of a process may still be on its way to the disk; what escaped may hold it open for ever. */
const DRAINED_WITHIN = 10_000

/** Whether nothing more will be written to the log, by what `readLife` said and the time it is now. */
export const isDrained = (folder: string, { finishedAt, state }: Life, now: number): boolean =>
  state !== "running" && (finishedAt === undefined || now - finishedAt > DRAINED_WITHIN ||
    ["stdout", "stderr"].every((stream) => existsSync(join(folder, `${stream}.end`))))

const readExit = (folder: string): Pick<Life, "exitCode" | "finishedAt" | "detail"> | undefined => {
  const path = join(folder, "exit")
  const found = lstatSync(path, { throwIfNoEntry: false })
  if (found === undefined) return undefined
  // A shim leaves its code as the text of a link, one of a former version in a file.
  const text = found.isSymbolicLink() ? readlinkSync(path) : readIfThere(path) ?? ""
  const [, code, words = ""] = /^(\d+) ?([^\n]*)/.exec(text) ?? []
  return {
    exitCode: code === undefined ? LOST : Number(code),
    finishedAt: found.mtimeMs,
    ...(words === "" ? {} : { detail: words })
  }
}

type Made = Omit<Container, "id" | "state" | "oomKilled">

const madeOf = ({ createdAt, spec }: Kept): Made => ({
  uid: spec.uid,
  namespace: spec.namespace,
  pod: spec.pod,
  sandboxId: spec.sandboxId,
  container: spec.container,
  attempt: spec.attempt,
  specHash: spec.specHash,
  image: spec.image,
  imageId: spec.imageId,
  createdAt
})

/** What the name of its folder tells of a container whose spec is damaged: enough to see it end, to stop and to remove it. */
const madeById = (id: string): Made => {
  const [, uid = id, container = "", attempt = "0"] = /^(.+)_([^_]+)_(\d+)$/.exec(id) ?? []
  const unknown = { namespace: "", pod: "", sandboxId: "", specHash: "", image: "", imageId: "", createdAt: 0 }
  return { uid, container, attempt: Number(attempt), ...unknown }
}

/** `kept` is undefined where it is damaged. */
export const containerOf = (id: string, kept: Kept | undefined, life: Life, cgroups: Cgroups): Container => ({
  id,
  ...(kept === undefined ? madeById(id) : madeOf(kept)),
  state: life.state,
  ...(life.startedAt === undefined ? {} : { startedAt: life.startedAt }),
  ...(life.finishedAt === undefined ? {} : { finishedAt: life.finishedAt }),
  ...(life.exitCode === undefined ? {} : { exitCode: life.exitCode }),
  oomKilled: life.exitCode === LOST && cgroups.oomKilled(id),
  ...(life.detail === undefined ? {} : { detail: life.detail })
})

/** Names of folders, those being made or removed left out. */
export const listFolders = (path: string): ReadonlyArray<string> => {
  if (!existsSync(path)) return []
  return readdirSync(path).filter(isId)
}

/** A place beside the folders, for one that is not whole yet or no more. */
export const limbo = (): string => `.${randomUUID()}`

/** Before a folder goes: what tells a container's environment, which may hold Secrets. It goes even where that cannot be done. */
export const blankSecrets = (folder: string): Effect.Effect<void> =>
  Effect.forEach(["spec", "spec.new", "argv"], (name) =>
    Effect.catch(
      onDisk(folder, () => blank(join(folder, name))),
      ({ detail }) => Effect.logWarning(`${join(folder, name)} goes as it is: ${detail}`)
    ), { discard: true })

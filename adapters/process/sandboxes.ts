/** Sandboxes of process pods: nothing but a name, the boot it was made in, and a user no other pod has. */
import { Effect, Schema, Semaphore } from "effect"
import { rmSync } from "node:fs"
import { networkInterfaces } from "node:os"
import { join } from "node:path"
import { RuntimeError, type Sandbox, type SandboxSpec } from "../../core/pod/ContainerRuntime.ts"
import { isId, listFolders, readKept } from "./containerFolder.ts"
import { onDisk, readIfThere, unavailable, writeWhole } from "./disk.ts"
import type { ProcessOptions } from "./ProcessOptions.ts"
import { unsupported } from "./tools.ts"

const SandboxFile = Schema.fromJsonString(Schema.Struct({
  uid: Schema.String,
  namespace: Schema.String,
  pod: Schema.String,
  attempt: Schema.Number,
  boot: Schema.String,
  user: Schema.Number
}))
type SandboxFile = typeof SandboxFile.Type

export const makeSandboxes = (options: ProcessOptions, boot: string) => {
  const folder = join(options.dataDir, "sandboxes")
  const containersFolder = join(options.dataDir, "containers")
  /** Two that look at the same moment would find the same user free. */
  const oneByOne = Semaphore.makeUnsafe(1).withPermit

  const fileOf = (id: string) => join(folder, id)

  const read = Effect.fnUntraced(function*(id: string) {
    const text = isId(id) ? yield* onDisk(fileOf(id), () => readIfThere(fileOf(id))) : undefined
    if (text === undefined) return undefined
    return yield* Effect.mapError(
      Schema.decodeUnknownEffect(SandboxFile)(text),
      (error) => unavailable(`${fileOf(id)} is damaged: ${error.message}`)
    )
  })

  const sandboxOf = (id: string, file: SandboxFile): Sandbox => {
    const ready = file.boot === boot
    return {
      id,
      uid: file.uid,
      namespace: file.namespace,
      pod: file.pod,
      attempt: file.attempt,
      ready,
      ips: ready ? [hostAddress()] : []
    }
  }

  const everyFile = Effect.gen(function*() {
    const ids = yield* onDisk(folder, () => listFolders(folder))
    const files = yield* Effect.forEach(ids, (id) => Effect.map(read(id), (file) => ({ id, file })))
    return files.flatMap(({ file, id }) => (file === undefined ? [] : [{ id, file }]))
  })

  /** Who containers run as: they outlive their sandbox, over a reboot or a while without one. */
  const everyAccount = Effect.gen(function*() {
    const ids = yield* onDisk(containersFolder, () => listFolders(containersFolder))
    // One that is damaged has the user of its pod's sandbox, which is there for as long as anything of it may run.
    const all = yield* Effect.forEach(ids, (id) =>
      Effect.catchIf(
        readKept(join(containersFolder, id)),
        ({ reason }) => reason === "Invalid",
        () => Effect.undefined
      ))
    return all.flatMap((kept) => (kept === undefined ? [] : [{ pod: kept.spec.uid, user: kept.uid }]))
  })

  /** A user for the pod that no other pod here has; the same one as before as long as anything of the pod is here. */
  const userFor = Effect.fnUntraced(function*(uid: string) {
    const { first, last } = options.uidRange
    const all = yield* everyFile
    const own = all.find(({ file }) => file.uid === uid)
    if (own !== undefined) return own.file.user
    const users = [...all.map(({ file }) => ({ pod: file.uid, user: file.user })), ...yield* everyAccount]
    const taken = new Set(users.filter(({ pod }) => pod !== uid).map(({ user }) => user))
    const free = (user: number) => user >= first && user <= last && !taken.has(user)
    const former = users.find(({ pod, user }) => pod === uid && free(user))
    if (former !== undefined) return former.user
    for (let user = first; user <= last; user++) if (!taken.has(user)) return user
    return yield* unavailable(`all users of runtime.process.firstUid and uids (${first} to ${last}) are taken`)
  })

  const ensure = Effect.fnUntraced(function*(spec: SandboxSpec) {
    const id = `${spec.uid}_${spec.attempt}`
    if (!isId(id)) return yield* new RuntimeError({ reason: "Invalid", detail: `not usable as a pod uid: ${spec.uid}` })
    const present = yield* read(id)
    if (present !== undefined) return sandboxOf(id, present)
    const port = spec.ports.find(({ containerPort, hostPort }) => hostPort > 0 && hostPort !== containerPort)
    if (port !== undefined) {
      return yield* unsupported(
        `process pods use the host's network: hostPort ${port.hostPort} cannot lead to port ${port.containerPort}`
      )
    }
    if (Object.keys(spec.sysctls).length > 0) return yield* unsupported("process pods cannot have sysctls of their own")
    const { attempt, namespace, pod, uid } = spec
    return yield* oneByOne(Effect.gen(function*() {
      const file: SandboxFile = { uid, namespace, pod, attempt, boot, user: yield* userFor(uid) }
      yield* onDisk(fileOf(id), () => writeWhole(fileOf(id), JSON.stringify(file)))
      return sandboxOf(id, file)
    }))
  })

  return {
    folder,
    read,
    ensure,
    all: Effect.map(everyFile, (all) => all.map(({ file, id }) => sandboxOf(id, file))),
    remove: (id: string) => isId(id) ? onDisk(fileOf(id), () => rmSync(fileOf(id), { force: true })) : Effect.void
  }
}

/** The first address others could use, else the loopback one. */
const hostAddress = (): string =>
  Object.values(networkInterfaces()).flatMap((all) => all ?? [])
    .find(({ family, internal }) => family === "IPv4" && !internal)?.address ?? "127.0.0.1"

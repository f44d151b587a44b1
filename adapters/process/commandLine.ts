/** Who a process runs as and what exactly is executed: an argument vector from the first program to the last, never a shell string. */
import { Effect } from "effect"
import { lstatSync } from "node:fs"
import { isAbsolute, join, resolve } from "node:path"
import { type ContainerSpec, RuntimeError } from "../../core/pod/ContainerRuntime.ts"
import type { ProcessOptions } from "./ProcessOptions.ts"
import { isExecutable, SYSTEM_PATH, type Tools, unsupported } from "./tools.ts"

export interface Account {
  readonly uid: number
  readonly gid: number
  readonly groups: ReadonlyArray<number>
}

const invalid = (detail: string) => new RuntimeError({ reason: "Invalid", detail })

/** `podUser` is the pod's own out of the range. */
export const accountOf = Effect.fnUntraced(function*(
  options: ProcessOptions,
  security: ContainerSpec["security"],
  podUser: number
) {
  const uid = security.runAsUser ?? (options.allowRoot ? 0 : podUser)
  const gid = security.runAsGroup ?? uid
  const groups = security.supplementalGroups
  if (!options.allowRoot) {
    // Another of the range may be another pod, whose processes and files would be open to this one.
    const other = [uid, gid, ...groups].find((id) => id !== podUser)
    if (other !== undefined) {
      return yield* invalid(
        `process pods run as a user of their own and can be no other user or group (${other}): leave out runAsUser, ` +
          `runAsGroup, fsGroup and supplementalGroups; runtime.process.allowRoot lifts this`
      )
    }
    if (security.privileged || security.addCapabilities.length > 0) {
      return yield* invalid("privileged process pods and added capabilities need runtime.process.allowRoot")
    }
  }
  if (security.runAsNonRoot && uid === 0) return yield* invalid("container has runAsNonRoot and would run as root")
  if (security.addCapabilities.length > 0 && uid !== 0) {
    return yield* unsupported("a process pod cannot add capabilities to a user that is not root")
  }
  const account: Account = { uid, gid, groups }
  return account
})

const capabilityName = (name: string): string => name.toLowerCase().replace(/^cap_/, "")

/** Capabilities that are taken away: what is added stays, whatever is dropped, as with every container runtime. */
const isDropped = ({ addCapabilities, dropCapabilities }: ContainerSpec["security"], capability: string): boolean => {
  const named = (names: ReadonlyArray<string>) =>
    names.map(capabilityName).some((name) => name === "all" || name === capability)
  return named(dropCapabilities) && !named(addCapabilities)
}

/** What chroot needs to enter a root filesystem and to become nobody else's group. */
const ENTERING = ["sys_chroot", "setgid"]

/** Root keeps the capabilities it came with: of what chroot needs it cannot be rid again, as no other user can. */
export const checkCapabilities = (
  security: ContainerSpec["security"],
  account: Account,
  root: string | undefined
): Effect.Effect<void, RuntimeError> =>
  root !== undefined && account.uid === 0 && !security.privileged &&
    ENTERING.some((capability) => isDropped(security, capability))
    ? Effect.fail(unsupported(
      "a process pod that is root enters its root filesystem with the capabilities SYS_CHROOT and SETGID and keeps them: " +
        "let it be another user, do not drop them, or add them again"
    ))
    : Effect.void

/** Everything between the shim and the user's own command; the same for the container and for what is run in it later. */
export const commandLine = (
  tools: Tools,
  asRoot: boolean,
  spec: ContainerSpec,
  account: Account,
  root: string | undefined,
  command: ReadonlyArray<string>
): ReadonlyArray<string> => {
  const { security } = spec
  const unprivileged = !security.privileged && !(security.allowPrivilegeEscalation && account.uid === 0)
  const dropped = security.dropCapabilities.map((name) => `-${capabilityName(name)}`).join(",")
  const added = security.addCapabilities.map((name) => `,+${capabilityName(name)}`).join("")
  // Chroot comes after this. Becoming another user it loses all it has, and with no_new_privs nothing of its bounds is ever got back.
  const entering = root === undefined || account.uid === 0 ? "" : ",+sys_chroot,+setgid,+setuid"
  const privileges = [
    ...(unprivileged ? ["--no-new-privs"] : []),
    ...(dropped === "" || security.privileged
      ? []
      : [`--bounding-set=${dropped}${added}${entering}`, `--inh-caps=${dropped}`])
  ]
  const groups = account.groups.join(",")
  const setpriv = !asRoot ? [] : [
    tools.path("setpriv"),
    ...privileges,
    ...(root !== undefined ? [] : [
      `--reuid=${account.uid}`,
      `--regid=${account.gid}`,
      groups === "" ? "--clear-groups" : `--groups=${groups}`
    ])
  ]
  const chroot = root === undefined
    ? []
    : [tools.path("chroot"), `--userspec=${account.uid}:${account.gid}`, `--groups=${groups}`, root]
  return [
    ...(setpriv.length > 1 ? setpriv : []),
    ...chroot,
    ...(root === undefined ? [tools.path("env"), "-C", workingDirOf(spec)] : ["env"]),
    "-i",
    "--",
    ...environment(spec).map(([name, value]) => `${name}=${value}`),
    // Small userlands have no `env -C`. The shell's text is fixed, directory and command are its parameters.
    ...(root !== undefined && workingDirOf(spec) !== "/"
      ? ["sh", "-c", "cd -- \"$1\" && shift && exec \"$@\"", "sh", workingDirOf(spec)]
      : []),
    ...command
  ]
}

const workingDirOf = (spec: ContainerSpec): string => (spec.workingDir === "" ? "/" : spec.workingDir)

const environment = (spec: ContainerSpec): ReadonlyArray<readonly [string, string]> => [
  ...new Map([
    ["PATH", SYSTEM_PATH],
    ["HOSTNAME", spec.pod],
    ...spec.env.map(({ name, value }) => [name, value] as const)
  ])
]

/** Docker's words for what cannot be executed, known before anything is started. */
export const findCommand = (spec: ContainerSpec, root: string | undefined): Effect.Effect<void, RuntimeError> =>
  Effect.suspend(() => {
    const [name] = [...spec.command, ...spec.args]
    const failed = (detail: string) => Effect.fail(new RuntimeError({ reason: "StartFailed", detail }))
    if (name === undefined || name === "") {
      return failed("no command specified: a process pod's image has none of its own")
    }
    if (name.includes("=")) return failed(`a command whose name contains "=" cannot be run as a process: ${name}`)
    const inRoot = (path: string) => (root === undefined ? path : join(root, path))
    // A link of a foreign root filesystem points into that one: whether its target runs shows when it is started.
    const runs = (path: string) => root === undefined ? isExecutable(path) : isThere(path)
    if (name.includes("/")) {
      const path = isAbsolute(name) ? name : resolve(workingDirOf(spec), name)
      return spec.mounts.some(({ target }) => path.startsWith(`${target}/`)) || runs(inRoot(path))
        ? Effect.void
        : failed(`exec: "${name}": stat ${name}: no such file or directory`)
    }
    const path = new Map(environment(spec)).get("PATH") ?? ""
    return path.split(":").some((folder) => runs(inRoot(join(folder, name))))
      ? Effect.void
      : failed(`exec: "${name}": executable file not found in $PATH`)
  })

const isThere = (path: string): boolean => {
  try {
    lstatSync(path)
    return true
  } catch {
    return false
  }
}

/** Bytes that no argument, path or variable can hold, and names that would be read as something else. */
export const checkText = (spec: ContainerSpec): Effect.Effect<void, RuntimeError> => {
  const texts = [
    ...spec.command,
    ...spec.args,
    spec.workingDir,
    ...spec.env.flatMap(({ name, value }) => [name, value])
  ]
    .concat(spec.mounts.flatMap(({ source, target }) => [source, target]))
  if (texts.some((text) => text.includes("\0"))) return Effect.fail(invalid("a NUL byte cannot be given to a process"))
  const name = spec.env.find(({ name }) => name === "" || name.includes("="))?.name
  if (name !== undefined) return Effect.fail(invalid(`no variable can be called "${name}"`))
  const mount = spec.mounts.find(({ source, target }) => !isAbsolute(source) || !isAbsolute(target))
  return mount === undefined ? Effect.void : Effect.fail(invalid(`mounts need absolute paths: ${mount.target}`))
}

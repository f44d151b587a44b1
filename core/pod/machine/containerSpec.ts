/** What the runtime is asked to create for one attempt; the files it needs are written on the way. */
import { Effect } from "effect"
import type { ContainerSpec, ImageInfo } from "../ContainerRuntime.ts"
import type { AssignedContainer, PodAssignment } from "../PodAssignment.ts"
import type { FilesError, PodFiles } from "../PodFiles.ts"
import { ContainerRefused } from "./ContainerRefused.ts"
import { type DeviceAddresses, expandText } from "./expandText.ts"
import { oomScoreAdj } from "./oomScore.ts"
import { addsToDevice, hostNetworkHostsFile, hostsFile, resolvConf } from "./podNetworkFiles.ts"

/** One file per container: its content is kept in the result before the next attempt empties it. */
export const terminationFile = (container: string): string => `termination-${container}`

export interface SpecInput {
  readonly assignment: PodAssignment
  readonly container: AssignedContainer
  readonly attempt: number
  readonly image: ImageInfo
  readonly sandboxId: string
  readonly addresses: DeviceAddresses
  /** Host paths by volume name. */
  readonly volumes: ReadonlyMap<string, string>
  readonly memoryCapacity: number
  /** Id of the container whose processes it shall see. */
  readonly processesOf?: string | undefined
}

const refused = (what: string) => (error: FilesError) =>
  new ContainerRefused({ reason: "CreateContainerConfigError", detail: `${what}: ${error.message}` })

const utf8 = new TextEncoder()

export const containerSpec = Effect.fnUntraced(function*(
  files: PodFiles["Service"],
  input: SpecInput
): Effect.fn.Return<ContainerSpec, ContainerRefused> {
  const { addresses, assignment, container } = input
  const { uid } = assignment
  const mounts: Array<ContainerSpec["mounts"][number]> = []
  // As a kubelet mounts them: who could write there could lead this device's own writing elsewhere.
  const written = new Set(assignment.volumes.filter(({ _tag }) => _tag === "Files").map(({ name }) => name))
  for (const { mountPath, readOnly, subPath, volume } of container.mounts) {
    const path = input.volumes.get(volume)
    if (path === undefined) {
      return yield* new ContainerRefused({
        reason: "CreateContainerConfigError",
        detail: `volume "${volume}" of container "${container.name}" does not exist`
      })
    }
    const source = subPath === "" ? path : yield* Effect.mapError(
      files.subPath(uid, `${container.name}-${mounts.length}`, path, subPath),
      refused(`failed to prepare subPath for volumeMount "${volume}" of container "${container.name}"`)
    )
    mounts.push({ source, target: mountPath, readOnly: readOnly || written.has(volume) })
  }
  const taken = new Set(mounts.map(({ target }) => target))
  const own = Effect.fnUntraced(function*(file: string, target: string, content: string, mode: number) {
    if (taken.has(target)) return
    const source = yield* Effect.mapError(files.write(uid, file, utf8.encode(content), mode), refused(target))
    mounts.push({ source, target, readOnly: false })
  })
  if (!assignment.hostNetwork) yield* own("etc-hosts", "/etc/hosts", hostsFile(assignment, addresses.podIPs), 0o644)
  // On the host's network the runtime shows the device's own file, unless the pod adds to it.
  else if (assignment.hostAliases.length > 0) {
    const ofDevice = yield* Effect.mapError(files.hostsFile, refused("/etc/hosts of the device"))
    yield* own("etc-hosts", "/etc/hosts", hostNetworkHostsFile(assignment, ofDevice), 0o644)
  }
  const resolver = resolvConf(
    assignment,
    addsToDevice(assignment)
      ? yield* Effect.mapError(files.resolvConf, refused("/etc/resolv.conf of the device"))
      : ""
  )
  if (resolver !== undefined) yield* own("resolv.conf", "/etc/resolv.conf", resolver, 0o644)
  if (container.terminationMessagePath !== "") {
    yield* own(terminationFile(container.name), container.terminationMessagePath, "", 0o666)
  }

  const expand = (texts: AssignedContainer["command"]) => texts.map((text) => expandText(text, addresses))
  return {
    uid,
    namespace: assignment.namespace,
    pod: assignment.name,
    sandboxId: input.sandboxId,
    container: container.name,
    attempt: input.attempt,
    specHash: container.specHash,
    image: container.image,
    imageId: input.image.id,
    command: expand(container.command),
    args: expand(container.args),
    workingDir: container.workingDir,
    env: container.env.map(({ name, value }) => ({ name, value: expandText(value, addresses) })),
    mounts,
    resources: container.resources,
    oomScoreAdj: oomScoreAdj(assignment.qosClass, container.resources.memoryRequest, input.memoryCapacity),
    security: container.security,
    stdin: container.stdin,
    stdinOnce: container.stdinOnce,
    tty: container.tty,
    ...(input.processesOf === undefined ? {} : { processesOf: input.processesOf })
  }
})

/** The pod assignment on the wire and in the journal, and the bytes under its content hash. */
import { create } from "@bufbuild/protobuf"
import { Effect } from "effect"
import {
  type Assignment,
  AssignmentSchema,
  type File,
  FileSchema,
  QosClass,
  RestartPolicy,
  type Volume,
  VolumeSchema
} from "../gen/aranya/wire/v1/assignment_pb.ts"
import { Cryptography } from "../link/Cryptography.ts"
import type { AssignedVolume, PodAssignment, VolumeFile } from "../pod/PodAssignment.ts"
import { containerMessage, containerValue } from "./assignedContainer.ts"
import { hashFields, hashOf, toHex, uidFields, uidOf } from "./identity.ts"
import { limits } from "./limits.ts"
import {
  bounded,
  count,
  decoding,
  encoding,
  long,
  number,
  optionalLong,
  present,
  reject,
  sortedEntries
} from "./message.ts"
import { choice } from "./words.ts"

const restartPolicy = choice<PodAssignment["restartPolicy"], RestartPolicy>("restart policy", [
  ["Always", RestartPolicy.UNSPECIFIED],
  ["OnFailure", RestartPolicy.ON_FAILURE],
  ["Never", RestartPolicy.NEVER]
])
const qosClass = choice<PodAssignment["qosClass"], QosClass>("QoS class", [
  ["BestEffort", QosClass.UNSPECIFIED],
  ["Burstable", QosClass.BURSTABLE],
  ["Guaranteed", QosClass.GUARANTEED]
])
type HostPathType = Extract<AssignedVolume, { _tag: "HostPath" }>["type"]
const hostPathTypes: ReadonlyArray<HostPathType> = [
  "",
  "DirectoryOrCreate",
  "Directory",
  "FileOrCreate",
  "File",
  "Socket",
  "CharDevice",
  "BlockDevice"
]

const defaultMode = 0o644

export const fileMessage = (file: VolumeFile): File =>
  create(FileSchema, {
    path: file.path,
    content: file.content as Uint8Array<ArrayBuffer>,
    token: file.token ?? false,
    ...(file.mode === defaultMode ? {} : { mode: file.mode })
  })

/** A path that stays below its volume: no root, no empty part, no `..`. */
const relativePath = (path: string): string =>
  path.length <= 4096 && !path.includes("\0") && path.split("/").every((part) => part !== "" && part !== "..") ?
    path :
    reject("Invalid", `the path ${JSON.stringify(path.slice(0, 64))} leads out of its volume`)

export const fileValue = (file: File): VolumeFile => ({
  path: relativePath(file.path),
  mode: (file.mode ?? defaultMode) <= 0o7777 ? file.mode ?? defaultMode : reject("Invalid", `mode ${file.mode}`),
  content: file.content,
  ...(file.token ? { token: true } : {})
})

const volumeMessage = (volume: AssignedVolume): Volume => {
  switch (volume._tag) {
    case "Files":
      return create(VolumeSchema, {
        name: volume.name,
        source: { case: "files", value: { secret: volume.secret, files: volume.files.map(fileMessage) } }
      })
    case "EmptyDir":
      return create(VolumeSchema, {
        name: volume.name,
        source: {
          case: "emptyDir",
          value: { medium: volume.medium, ...present("sizeLimit", optionalLong(volume.sizeLimit)) }
        }
      })
    case "HostPath":
      return create(VolumeSchema, {
        name: volume.name,
        source: { case: "hostPath", value: { path: volume.path, type: volume.type } }
      })
  }
}

const volumeValue = ({ name, source }: Volume): AssignedVolume => {
  switch (source.case) {
    case "files":
      return { _tag: "Files", name, secret: source.value.secret, files: bounded(source.value.files).map(fileValue) }
    case "emptyDir": {
      const { medium, sizeLimit } = source.value
      if (medium !== "" && medium !== "Memory") return reject("Unsupported", `medium ${medium} of volume ${name}`)
      return {
        _tag: "EmptyDir",
        name,
        medium,
        ...present("sizeLimit", sizeLimit === undefined ? undefined : count(sizeLimit))
      }
    }
    case "hostPath": {
      const type = hostPathTypes.find((known) => known === source.value.type)
      if (type === undefined) return reject("Unsupported", `type ${source.value.type} of host path ${name}`)
      return { _tag: "HostPath", name, path: source.value.path, type }
    }
    case undefined:
      return reject("Unsupported", `the kind of volume ${name} is not known here`)
  }
}

export const assignmentMessage = (pod: PodAssignment): Assignment => {
  const [hash, hashText] = hashFields(pod.hash)
  const entries = (map: Readonly<Record<string, string>>) => sortedEntries(map).map(([key, value]) => ({ key, value }))
  return create(AssignmentSchema, {
    ...uidFields(pod.uid),
    namespace: pod.namespace,
    name: pod.name,
    hash,
    hashText,
    generation: long(pod.generation),
    labels: entries(pod.labels),
    annotations: entries(pod.annotations),
    restartPolicy: restartPolicy.code(pod.restartPolicy),
    terminationGracePeriodSeconds: long(pod.terminationGracePeriodSeconds),
    ...present("activeDeadlineSeconds", optionalLong(pod.activeDeadlineSeconds)),
    qosClass: qosClass.code(pod.qosClass),
    ...(pod.hostname === pod.name ? {} : { hostname: pod.hostname }),
    hostDomain: pod.hostDomain,
    hostNetwork: pod.hostNetwork,
    hostPid: pod.hostPID,
    hostIpc: pod.hostIPC,
    shareProcessNamespace: pod.shareProcessNamespace,
    ...present("fsGroup", optionalLong(pod.fsGroup)),
    sysctls: entries(pod.sysctls),
    dns: {
      inheritHost: pod.dns.inheritHost,
      nameservers: [...pod.dns.nameservers],
      searches: [...pod.dns.searches],
      options: [...pod.dns.options]
    },
    hostAliases: pod.hostAliases.map(({ ip, hostnames }) => ({ ip, hostnames: [...hostnames] })),
    pullCredentials: pod.pullCredentials.map((credential) => ({ ...credential })),
    volumes: pod.volumes.map(volumeMessage),
    initContainers: pod.initContainers.map(containerMessage),
    containers: pod.containers.map(containerMessage),
    ephemeralContainers: pod.ephemeralContainers.map((container) => ({
      container: containerMessage(container),
      targetContainer: container.targetContainer
    }))
  })
}

export const assignmentValue = (pod: Assignment): PodAssignment => {
  const record = (entries: ReadonlyArray<{ readonly key: string; readonly value: string }>) =>
    Object.fromEntries(bounded(entries).map(({ key, value }) => [key, value]))
  return {
    uid: uidOf(pod),
    namespace: pod.namespace,
    name: pod.name,
    hash: hashOf(pod.hash, pod.hashText),
    generation: count(pod.generation),
    labels: record(pod.labels),
    annotations: record(pod.annotations),
    restartPolicy: restartPolicy.word(pod.restartPolicy),
    terminationGracePeriodSeconds: number(pod.terminationGracePeriodSeconds),
    ...present(
      "activeDeadlineSeconds",
      pod.activeDeadlineSeconds === undefined ? undefined : number(pod.activeDeadlineSeconds)
    ),
    qosClass: qosClass.word(pod.qosClass),
    hostname: pod.hostname ?? pod.name,
    hostDomain: pod.hostDomain,
    hostNetwork: pod.hostNetwork,
    hostPID: pod.hostPid,
    hostIPC: pod.hostIpc,
    shareProcessNamespace: pod.shareProcessNamespace,
    ...present("fsGroup", pod.fsGroup === undefined ? undefined : count(pod.fsGroup)),
    sysctls: record(pod.sysctls),
    dns: {
      inheritHost: pod.dns?.inheritHost ?? false,
      nameservers: bounded(pod.dns?.nameservers ?? []),
      searches: bounded(pod.dns?.searches ?? []),
      options: bounded(pod.dns?.options ?? [])
    },
    hostAliases: bounded(pod.hostAliases).map(({ ip, hostnames }) => ({ ip, hostnames: bounded(hostnames) })),
    pullCredentials: bounded(pod.pullCredentials).map(({ registry, username, password, identityToken }) => ({
      registry,
      username,
      password,
      ...present("identityToken", identityToken)
    })),
    volumes: bounded(pod.volumes, limits.parts).map(volumeValue),
    initContainers: bounded(pod.initContainers, limits.parts).map(containerValue),
    containers: bounded(pod.containers, limits.parts).map(containerValue),
    ephemeralContainers: bounded(pod.ephemeralContainers, limits.parts).map(({ container, targetContainer }) => ({
      ...containerValue(container ?? reject("Invalid", "an ephemeral container without a container")),
      targetContainer
    }))
  }
}

export const encodeAssignment = encoding(AssignmentSchema, {
  subject: "PodAssignment",
  limit: limits.assignment,
  message: assignmentMessage
})

export const decodeAssignment = decoding(AssignmentSchema, {
  subject: "PodAssignment",
  limit: limits.assignment,
  value: assignmentValue
})

const withoutTokens = (volume: AssignedVolume): AssignedVolume =>
  volume._tag === "Files" && volume.files.some((file) => file.token) ?
    { ...volume, files: volume.files.map((file) => file.token ? { ...file, content: new Uint8Array() } : file) } :
    volume

/**
 * What the content hash is taken over: the assignment without its hash and the content of its tokens. Equal pods have equal
 * bytes, whatever the order of their maps, and a field that a later version adds changes nothing while it has its default.
 */
export const assignmentContent = encoding(AssignmentSchema, {
  subject: "PodAssignment",
  // Too much to be sent is told of when it is sent.
  limit: Number.POSITIVE_INFINITY,
  message: (pod: PodAssignment) => assignmentMessage({ ...pod, hash: "", volumes: pod.volumes.map(withoutTokens) })
})

/** The content hash, hexadecimal: what `hash` of an assignment has to be. */
export const assignmentHash = Effect.fnUntraced(function*(pod: PodAssignment) {
  const { sha256 } = yield* Cryptography
  return toHex(sha256(yield* assignmentContent(pod)))
})

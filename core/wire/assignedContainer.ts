/** One container of an assignment on the wire. */
import { create } from "@bufbuild/protobuf"
import {
  type Container,
  type Container_Security,
  ContainerSchema,
  type EnvVar,
  EnvVarSchema,
  Protocol,
  PullPolicy,
  type Text,
  Text_Field,
  Text_PieceSchema,
  TextSchema,
  type Word,
  WordSchema
} from "../gen/aranya/wire/v1/assignment_pb.ts"
import type { AssignedContainer, ContainerSecurity, DeviceField, DeviceText, EnvEntry } from "../pod/PodAssignment.ts"
import { hashFields, hashOf } from "./identity.ts"
import { bounded, count, long, optionalLong, port, present, reject } from "./message.ts"
import { choice } from "./words.ts"

const deviceField = choice<DeviceField, Text_Field>("device field", [
  ["podIP", Text_Field.POD_IP],
  ["podIPs", Text_Field.POD_IPS],
  ["hostIP", Text_Field.HOST_IP],
  ["hostIPs", Text_Field.HOST_IPS]
])
const pullPolicy = choice<AssignedContainer["imagePullPolicy"], PullPolicy>("pull policy", [
  ["IfNotPresent", PullPolicy.UNSPECIFIED],
  ["Always", PullPolicy.ALWAYS],
  ["Never", PullPolicy.NEVER]
])
const protocol = choice<AssignedContainer["ports"][number]["protocol"], Protocol>("protocol", [
  ["TCP", Protocol.UNSPECIFIED],
  ["UDP", Protocol.UDP],
  ["SCTP", Protocol.SCTP]
])
const defaultTerminationMessagePath = "/dev/termination-log"

const textMessage = (text: DeviceText): Text =>
  create(TextSchema, {
    pieces: text.map((piece) =>
      create(Text_PieceSchema, {
        kind: typeof piece === "string" ?
          { case: "literal", value: piece } :
          { case: "field", value: deviceField.code(piece.field) }
      })
    )
  })

const textValue = (text: Text): DeviceText =>
  bounded(text.pieces).map(({ kind }) => {
    switch (kind.case) {
      case "literal":
        return kind.value
      case "field":
        return { field: deviceField.word(kind.value) }
      case undefined:
        return reject("Unsupported", "a placeholder of a newer version")
    }
  })

const plainOf = (text: DeviceText): string | undefined =>
  text.length === 1 && typeof text[0] === "string" ? text[0] : undefined

const wordMessage = (text: DeviceText): Word => {
  const plain = plainOf(text)
  return create(WordSchema, {
    kind: plain === undefined ? { case: "text", value: textMessage(text) } : { case: "plain", value: plain }
  })
}

const envMessage = ({ name, value }: EnvEntry): EnvVar => {
  const plain = plainOf(value)
  return create(EnvVarSchema, {
    name,
    value: plain === undefined ? { case: "text", value: textMessage(value) } : { case: "plain", value: plain }
  })
}

const wordValue = (kind: Word["kind"] | EnvVar["value"]): DeviceText => {
  switch (kind.case) {
    case "plain":
      return [kind.value]
    case "text":
      return textValue(kind.value)
    case undefined:
      return reject("Unsupported", "a value of a newer version")
  }
}

const securityValue = (security: Container_Security | undefined): ContainerSecurity => ({
  ...present("runAsUser", security?.runAsUser === undefined ? undefined : count(security.runAsUser)),
  ...present("runAsGroup", security?.runAsGroup === undefined ? undefined : count(security.runAsGroup)),
  runAsNonRoot: security?.runAsNonRoot ?? false,
  supplementalGroups: bounded(security?.supplementalGroups ?? []).map(count),
  privileged: security?.privileged ?? false,
  readOnlyRootFilesystem: security?.readOnlyRootFilesystem ?? false,
  allowPrivilegeEscalation: !(security?.noNewPrivileges ?? false),
  addCapabilities: bounded(security?.addCapabilities ?? []),
  dropCapabilities: bounded(security?.dropCapabilities ?? [])
})

export const containerMessage = (container: AssignedContainer): Container => {
  const { resources, security } = container
  const [specHash, specHashText] = hashFields(container.specHash)
  return create(ContainerSchema, {
    name: container.name,
    image: container.image,
    imagePullPolicy: pullPolicy.code(container.imagePullPolicy),
    command: container.command.map(wordMessage),
    args: container.args.map(wordMessage),
    workingDir: container.workingDir,
    env: container.env.map(envMessage),
    mounts: container.mounts.map((mount) => ({ ...mount })),
    ports: container.ports.map((entry) => ({
      containerPort: entry.containerPort,
      hostPort: entry.hostPort,
      hostIp: entry.hostIP,
      protocol: protocol.code(entry.protocol)
    })),
    cpuRequest: long(resources.cpuRequest),
    cpuLimit: long(resources.cpuLimit),
    memoryRequest: long(resources.memoryRequest),
    memoryLimit: long(resources.memoryLimit),
    security: {
      ...present("runAsUser", optionalLong(security.runAsUser)),
      ...present("runAsGroup", optionalLong(security.runAsGroup)),
      runAsNonRoot: security.runAsNonRoot,
      supplementalGroups: security.supplementalGroups.map(long),
      privileged: security.privileged,
      readOnlyRootFilesystem: security.readOnlyRootFilesystem,
      noNewPrivileges: !security.allowPrivilegeEscalation,
      addCapabilities: [...security.addCapabilities],
      dropCapabilities: [...security.dropCapabilities]
    },
    ...(container.terminationMessagePath === defaultTerminationMessagePath ?
      {} :
      { terminationMessagePath: container.terminationMessagePath }),
    terminationMessageFallbackToLogs: container.terminationMessagePolicy === "FallbackToLogsOnError",
    stdin: container.stdin,
    stdinOnce: container.stdinOnce,
    tty: container.tty,
    specHash,
    specHashText
  })
}

export const containerValue = (container: Container): AssignedContainer => ({
  name: container.name,
  image: container.image,
  imagePullPolicy: pullPolicy.word(container.imagePullPolicy),
  command: bounded(container.command).map(({ kind }) => wordValue(kind)),
  args: bounded(container.args).map(({ kind }) => wordValue(kind)),
  workingDir: container.workingDir,
  env: bounded(container.env).map(({ name, value }) => ({ name, value: wordValue(value) })),
  mounts: bounded(container.mounts).map(({ mountPath, readOnly, subPath, volume }) => ({
    volume,
    mountPath,
    subPath,
    readOnly
  })),
  ports: bounded(container.ports).map((entry) => ({
    containerPort: port(entry.containerPort),
    hostPort: port(entry.hostPort),
    hostIP: entry.hostIp,
    protocol: protocol.word(entry.protocol)
  })),
  resources: {
    cpuRequest: count(container.cpuRequest),
    cpuLimit: count(container.cpuLimit),
    memoryRequest: count(container.memoryRequest),
    memoryLimit: count(container.memoryLimit)
  },
  security: securityValue(container.security),
  terminationMessagePath: container.terminationMessagePath ?? defaultTerminationMessagePath,
  terminationMessagePolicy: container.terminationMessageFallbackToLogs ? "FallbackToLogsOnError" : "File",
  stdin: container.stdin,
  stdinOnce: container.stdinOnce,
  tty: container.tty,
  specHash: hashOf(container.specHash, container.specHashText)
})

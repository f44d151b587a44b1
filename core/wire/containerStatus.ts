/** The status of one container within a report. */
import { create } from "@bufbuild/protobuf"
import {
  type ContainerStatus as Message,
  ContainerStatus_Started as Started,
  type ContainerStatus_State as StateMessage,
  ContainerStatus_StateSchema,
  ContainerStatusSchema
} from "../gen/aranya/wire/v1/report_pb.ts"
import type { ContainerState, ContainerStatus } from "../kube/Pod.ts"
import { fromHex, toHex } from "./identity.ts"
import { present } from "./message.ts"
import type { Times } from "./timestamp.ts"
import { type Texts, wordOf } from "./vocabulary.ts"

/** `docker://<64 hex>`, `repository@sha256:<64 hex>`: the digest, 32 bytes, travels as bytes. */
const digested = /^(.*?)([0-9a-f]{64})$/s

const identity = (text: string, texts: Texts): readonly [prefix: number, digest: Uint8Array<ArrayBuffer>] => {
  const match = digested.exec(text)
  const [, prefix = "", digest = ""] = match ?? []
  if (match === null) return [texts.number(text === "" ? undefined : text), new Uint8Array()]
  return [texts.number(prefix === "" ? undefined : prefix), fromHex(digest)]
}

const identityText = (texts: ReadonlyArray<string>, prefix: number, digest: Uint8Array): string =>
  `${wordOf(texts, prefix) ?? ""}${toHex(digest.subarray(0, 64))}`

const stateMessage = (state: ContainerState, texts: Texts, time: Times): StateMessage => {
  const { running, terminated, waiting } = state
  const [containerId, containerDigest] = identity(terminated?.containerID ?? "", texts)
  return create(ContainerStatus_StateSchema, {
    ...(waiting === undefined ?
      {} :
      { waiting: { reason: texts.number(waiting.reason), message: texts.number(waiting.message) } }),
    ...(running === undefined ? {} : { running: present("startedAt", time.from(running.startedAt)) }),
    ...(terminated === undefined ? {} : {
      terminated: {
        exitCode: terminated.exitCode,
        signal: terminated.signal ?? 0,
        reason: texts.number(terminated.reason),
        message: texts.number(terminated.message),
        ...present("startedAt", time.from(terminated.startedAt)),
        ...present("finishedAt", time.from(terminated.finishedAt)),
        containerId,
        containerDigest
      }
    })
  })
}

const optional = (text: string): string | undefined => text === "" ? undefined : text

const stateValue = (state: StateMessage, texts: ReadonlyArray<string>, time: Times): ContainerState => {
  const { running, terminated, waiting } = state
  return {
    ...(waiting === undefined ? {} : {
      waiting: {
        ...present("reason", wordOf(texts, waiting.reason)),
        ...present("message", wordOf(texts, waiting.message))
      }
    }),
    ...(running === undefined ? {} : { running: present("startedAt", time.to(running.startedAt)) }),
    ...(terminated === undefined ? {} : {
      terminated: {
        exitCode: terminated.exitCode,
        ...present("signal", terminated.signal === 0 ? undefined : terminated.signal),
        ...present("reason", wordOf(texts, terminated.reason)),
        ...present("message", wordOf(texts, terminated.message)),
        ...present("startedAt", time.to(terminated.startedAt)),
        ...present("finishedAt", time.to(terminated.finishedAt)),
        ...present("containerID", optional(identityText(texts, terminated.containerId, terminated.containerDigest)))
      }
    })
  }
}

export const statusMessage = (status: ContainerStatus, texts: Texts, time: Times): Message => {
  const [imageId, imageDigest] = identity(status.imageID, texts)
  const [containerId, containerDigest] = identity(status.containerID ?? "", texts)
  return create(ContainerStatusSchema, {
    name: status.name,
    image: status.image,
    imageId,
    imageDigest,
    containerId,
    containerDigest,
    ready: status.ready,
    started: status.started === undefined ? Started.UNSPECIFIED : status.started ? Started.YES : Started.NO,
    restartCount: status.restartCount,
    ...(status.state === undefined ? {} : { state: stateMessage(status.state, texts, time) }),
    ...(status.lastState === undefined ? {} : { lastState: stateMessage(status.lastState, texts, time) })
  })
}

export const statusValue = (status: Message, texts: ReadonlyArray<string>, time: Times): ContainerStatus => ({
  name: status.name,
  image: status.image,
  imageID: identityText(texts, status.imageId, status.imageDigest),
  ...present("containerID", optional(identityText(texts, status.containerId, status.containerDigest))),
  ready: status.ready,
  ...present(
    "started",
    status.started === Started.YES ? true : status.started === Started.NO ? false : undefined
  ),
  restartCount: status.restartCount,
  ...(status.state === undefined ? {} : { state: stateValue(status.state, texts, time) }),
  ...(status.lastState === undefined ? {} : { lastState: stateValue(status.lastState, texts, time) })
})

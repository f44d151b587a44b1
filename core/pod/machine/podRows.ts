/** The machine's rows in the journal: `pods` by uid, `attempts` by uid/container; protobuf of aranya.device.v1. */
import { create } from "@bufbuild/protobuf"
import { Effect } from "effect"
import {
  AttemptRow_Step as Step,
  AttemptRowSchema,
  PodRow_Stage as Stage,
  PodRowSchema,
  type Result,
  ResultSchema
} from "../../gen/aranya/device/v1/journal_pb.ts"
import { decoding, encoding, long, number, optionalLong, present } from "../../wire/message.ts"
import { decodePodReport, encodePodReport } from "../../wire/podReport.ts"
import type { PodReport } from "../PodReport.ts"
import type { ContainerRecord, ContainerResult, PodRecord } from "./PodState.ts"

/** Far above what one row can need. */
const rowLimit = 1024 * 1024

const stages = [["Sync", Stage.UNSPECIFIED], ["Terminating", Stage.TERMINATING], [
  "Terminated",
  Stage.TERMINATED
]] as const
const steps = [["Creating", Step.UNSPECIFIED], ["Starting", Step.STARTING], ["Ended", Step.ENDED]] as const

const code = <W, C>(table: ReadonlyArray<readonly [W, C]>, word: W): C => table.find(([known]) => known === word)![1]

/** A code of a later version reads as the last known one: nothing is started that may have ended. */
const word = <W, C>(table: ReadonlyArray<readonly [W, C]>, code: C): W =>
  (table.find(([, known]) => known === code) ?? table[table.length - 1]!)[0]

const resultMessage = (result: ContainerResult | undefined): Result | undefined =>
  result === undefined ? undefined : create(ResultSchema, {
    exitCode: result.exitCode,
    reason: result.reason,
    message: result.message,
    ...present("startedAt", optionalLong(result.startedAt)),
    finishedAt: long(result.finishedAt),
    containerId: result.containerId,
    vanished: result.vanished
  })

const resultValue = (result: Result | undefined): ContainerResult | undefined =>
  result === undefined ? undefined : {
    exitCode: result.exitCode,
    reason: result.reason,
    message: result.message,
    ...present("startedAt", result.startedAt === undefined ? undefined : number(result.startedAt)),
    finishedAt: number(result.finishedAt),
    containerId: result.containerId,
    vanished: result.vanished
  }

export const encodeContainerRecord = encoding(AttemptRowSchema, {
  subject: "AttemptRow",
  limit: rowLimit,
  message: (record: ContainerRecord) =>
    create(AttemptRowSchema, {
      attempt: record.attempt,
      step: code(steps, record.step),
      containerId: record.containerId,
      specHash: record.specHash,
      image: record.image,
      imageId: record.imageId,
      bootId: record.bootId,
      sandboxAttempt: record.sandboxAttempt,
      backOffMillis: long(record.backOffMillis),
      replacing: record.replacing,
      ...present("result", resultMessage(record.result)),
      ...present("previous", resultMessage(record.previous))
    })
})

export const decodeContainerRecord = decoding(AttemptRowSchema, {
  subject: "AttemptRow",
  limit: rowLimit,
  value: (row): ContainerRecord => ({
    attempt: row.attempt,
    step: word(steps, row.step),
    containerId: row.containerId,
    specHash: row.specHash,
    image: row.image,
    imageId: row.imageId,
    bootId: row.bootId,
    sandboxAttempt: row.sandboxAttempt,
    backOffMillis: number(row.backOffMillis),
    replacing: row.replacing,
    ...present("result", resultValue(row.result)),
    ...present("previous", resultValue(row.previous))
  })
})

const encodeRow = encoding(PodRowSchema, {
  subject: "PodRow",
  limit: rowLimit,
  message: ({ record, report }: { readonly record: PodRecord; readonly report: Uint8Array }) =>
    create(PodRowSchema, {
      order: long(record.order),
      stage: code(stages, record.stage),
      startedAt: long(record.startedAt),
      activeMillis: long(record.activeMillis),
      activeStamp: long(record.activeStamp),
      bootId: record.bootId,
      sandboxAttempt: record.sandboxAttempt,
      sandboxId: record.sandboxId,
      containersRemoved: record.containersRemoved,
      report: report as Uint8Array<ArrayBuffer>,
      ...(record.ending === undefined ? {} : {
        ending: {
          deleted: record.ending.deleted,
          graceSeconds: long(record.ending.graceSeconds),
          since: long(record.ending.since),
          reason: record.ending.reason,
          message: record.ending.message
        }
      })
    })
})

const decodeRow = decoding(PodRowSchema, {
  subject: "PodRow",
  limit: rowLimit,
  value: (row): { readonly record: Omit<PodRecord, "report">; readonly report: Uint8Array } => ({
    report: row.report,
    record: {
      order: number(row.order),
      stage: word(stages, row.stage),
      startedAt: number(row.startedAt),
      activeMillis: number(row.activeMillis),
      activeStamp: number(row.activeStamp),
      bootId: row.bootId,
      sandboxAttempt: row.sandboxAttempt,
      sandboxId: row.sandboxId,
      containersRemoved: row.containersRemoved,
      ...present(
        "ending",
        row.ending === undefined ? undefined : {
          deleted: row.ending.deleted,
          graceSeconds: number(row.ending.graceSeconds),
          since: number(row.ending.since),
          reason: row.ending.reason,
          message: row.ending.message
        }
      )
    }
  })
})

const none = new Uint8Array()

export const encodePodRecord = Effect.fnUntraced(function*(record: PodRecord) {
  const report = record.report === undefined ? none : yield* encodePodReport(record.report)
  return yield* encodeRow({ record, report })
})

export const decodePodRecord = Effect.fnUntraced(function*(bytes: Uint8Array) {
  const { record, report } = yield* decodeRow(bytes)
  const decoded: PodReport | undefined = report.length === 0 ? undefined : yield* decodePodReport(report)
  const whole: PodRecord = { ...record, ...present("report", decoded) }
  return whole
})

export const attemptKey = (uid: string, container: string): string => `${uid}/${container}`

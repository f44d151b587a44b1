/** The pod report on the wire and in the journal. */
import { create } from "@bufbuild/protobuf"
import { type Condition, ConditionSchema, Phase, type Report, ReportSchema } from "../gen/aranya/wire/v1/report_pb.ts"
import type { PodCondition, PodPhase, PodStatus } from "../kube/Pod.ts"
import type { PodReport } from "../pod/PodReport.ts"
import { statusMessage, statusValue } from "./containerStatus.ts"
import { placeOf, uidFields, uidOf } from "./identity.ts"
import { limits } from "./limits.ts"
import { bounded, count, decoding, encoding, long, number, optionalLong, present } from "./message.ts"
import { secondsOf, type Times, times } from "./timestamp.ts"
import { makeTexts, type Texts, wordOf } from "./vocabulary.ts"
import { choice } from "./words.ts"

const phase = choice<PodPhase, Phase>("phase", [
  ["Pending", Phase.PENDING],
  ["Running", Phase.RUNNING],
  ["Succeeded", Phase.SUCCEEDED],
  ["Failed", Phase.FAILED],
  ["Unknown", Phase.UNKNOWN]
])

/** Bits of `present`. */
const has = {
  conditions: 1,
  hostIPs: 2,
  podIPs: 4,
  initContainers: 8,
  containers: 16,
  hostIP: 32,
  podIP: 64,
  ephemeralContainers: 128
} as const

/** The start of the pod, else its first transition: most other times lie within minutes of it. */
const baseOf = (status: PodStatus): number => {
  const time = status.startTime ??
    status.conditions?.find((condition) => condition.lastTransitionTime)?.lastTransitionTime
  return time === undefined || time === null ? 0 : secondsOf(time)
}

const conditionMessage = (
  condition: PodCondition,
  generation: number | undefined,
  texts: Texts,
  time: Times
): Condition =>
  create(ConditionSchema, {
    type: texts.number(condition.type),
    status: condition.status === "True" ? 0 : texts.number(condition.status),
    reason: texts.number(condition.reason),
    message: texts.number(condition.message),
    ...present("lastProbeTime", time.from(condition.lastProbeTime)),
    ...present("lastTransitionTime", time.from(condition.lastTransitionTime)),
    ...(condition.observedGeneration === generation ?
      {} :
      { observedGeneration: long(condition.observedGeneration ?? -1) })
  })

const conditionValue = (
  condition: Condition,
  generation: number | undefined,
  texts: ReadonlyArray<string>,
  time: Times
): PodCondition => {
  const own = condition.observedGeneration === undefined ? generation : number(condition.observedGeneration)
  return {
    type: wordOf(texts, condition.type) ?? "",
    status: wordOf(texts, condition.status) ?? "True",
    ...present("reason", wordOf(texts, condition.reason)),
    ...present("message", wordOf(texts, condition.message)),
    ...present("lastProbeTime", time.to(condition.lastProbeTime)),
    ...present("lastTransitionTime", time.to(condition.lastTransitionTime)),
    ...present("observedGeneration", own === -1 ? undefined : own)
  }
}

const list = <A>(bit: number, present: number, values: ReadonlyArray<A>): ReadonlyArray<A> | undefined =>
  (present & bit) === 0 ? undefined : bounded(values, limits.parts)

export const reportMessage = (report: PodReport): Report => {
  const { status } = report
  const texts = makeTexts()
  const base = baseOf(status)
  const time = times(base)
  const hostIPs = status.hostIPs?.map(({ ip }) => ip) ?? []
  const podIPs = status.podIPs?.map(({ ip }) => ip) ?? []
  const hostIsFirst = status.hostIP !== undefined && status.hostIP === hostIPs[0]
  const podIsFirst = status.podIP !== undefined && status.podIP === podIPs[0]
  const message = create(ReportSchema, {
    ...uidFields(report.uid),
    namespace: report.namespace,
    name: report.name,
    number: long(report.number),
    finished: report.finished,
    base: long(base),
    ...present("observedGeneration", optionalLong(status.observedGeneration)),
    phase: status.phase === undefined ? Phase.UNSPECIFIED : phase.code(status.phase),
    reason: texts.number(status.reason),
    message: texts.number(status.message),
    conditions: status.conditions?.map((each) => conditionMessage(each, status.observedGeneration, texts, time)) ?? [],
    ...present("hostIp", hostIsFirst ? undefined : status.hostIP),
    hostIps: hostIPs,
    ...present("podIp", podIsFirst ? undefined : status.podIP),
    podIps: podIPs,
    ...present("startTime", time.from(status.startTime)),
    qosClass: texts.number(status.qosClass),
    initContainers: status.initContainerStatuses?.map((each) => statusMessage(each, texts, time)) ?? [],
    containers: status.containerStatuses?.map((each) => statusMessage(each, texts, time)) ?? [],
    ephemeralContainers: status.ephemeralContainerStatuses?.map((each) => statusMessage(each, texts, time)) ?? [],
    present: (status.conditions === undefined ? 0 : has.conditions) |
      (status.hostIPs === undefined ? 0 : has.hostIPs) |
      (status.podIPs === undefined ? 0 : has.podIPs) |
      (status.initContainerStatuses === undefined ? 0 : has.initContainers) |
      (status.containerStatuses === undefined ? 0 : has.containers) |
      (hostIsFirst ? has.hostIP : 0) |
      (podIsFirst ? has.podIP : 0) |
      (status.ephemeralContainerStatuses === undefined ? 0 : has.ephemeralContainers)
  })
  message.texts = texts.list
  return message
}

export const reportValue = (report: Report): PodReport => {
  const texts = bounded(report.texts)
  const time = times(number(report.base))
  const generation = report.observedGeneration === undefined ? undefined : number(report.observedGeneration)
  const ips = (all: ReadonlyArray<string>) => all.map((ip) => ({ ip }))
  const { present: bits } = report
  const status: PodStatus = {
    ...present("observedGeneration", generation),
    ...present("phase", report.phase === Phase.UNSPECIFIED ? undefined : phase.word(report.phase)),
    ...present("reason", wordOf(texts, report.reason)),
    ...present("message", wordOf(texts, report.message)),
    ...present(
      "conditions",
      list(has.conditions, bits, report.conditions)?.map((each) => conditionValue(each, generation, texts, time))
    ),
    ...present("hostIP", (bits & has.hostIP) === 0 ? report.hostIp : report.hostIps[0]),
    ...present("hostIPs", list(has.hostIPs, bits, ips(report.hostIps))),
    ...present("podIP", (bits & has.podIP) === 0 ? report.podIp : report.podIps[0]),
    ...present("podIPs", list(has.podIPs, bits, ips(report.podIps))),
    ...present("startTime", time.to(report.startTime)),
    ...present("qosClass", wordOf(texts, report.qosClass)),
    ...present(
      "initContainerStatuses",
      list(has.initContainers, bits, report.initContainers)?.map((each) => statusValue(each, texts, time))
    ),
    ...present(
      "containerStatuses",
      list(has.containers, bits, report.containers)?.map((each) => statusValue(each, texts, time))
    ),
    ...present(
      "ephemeralContainerStatuses",
      list(has.ephemeralContainers, bits, report.ephemeralContainers)?.map((each) => statusValue(each, texts, time))
    )
  }
  return {
    uid: uidOf(report),
    ...placeOf(report),
    number: count(report.number),
    status,
    finished: report.finished
  }
}

export const encodePodReport = encoding(ReportSchema, {
  subject: "PodReport",
  limit: limits.event,
  message: reportMessage
})

export const decodePodReport = decoding(ReportSchema, { subject: "PodReport", limit: limits.event, value: reportValue })

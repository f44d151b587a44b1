/** Turns a Pod and all it refers to into what a device is told to run, or says what it waits for, or why it cannot be. */
import { Effect } from "effect"
import type { Pod } from "../../kube/Pod.ts"
import { Cryptography } from "../../link/Cryptography.ts"
import { assignmentHash } from "../../wire/assignment.ts"
import { boundedGrace } from "../boundedGrace.ts"
import type { AssignedContainer, PodAssignment } from "../PodAssignment.ts"
import { Allowance, newAllowance } from "./Allowance.ts"
import { resolveContainer } from "./containers.ts"
import { podDns, podHostname } from "./dns.ts"
import { resolveEphemeralContainers } from "./ephemeralContainers.ts"
import { pullCredentials } from "./pullCredentials.ts"
import { allContainers } from "./references.ts"
import {
  type Notice,
  NotYet,
  type RefusedReason,
  type Resolution,
  type ResolveSettings,
  type Sources
} from "./Resolution.ts"
import { qosClass, unknownResources } from "./resources.ts"
import { unsupportedFields } from "./unsupported.ts"
import { resolveVolumes } from "./volumes.ts"

/** Namespaced by the kernel and harmless to others: what a kubelet lets pods set. */
const safeSysctls = new Set([
  "kernel.shm_rmid_forced",
  "net.ipv4.ip_local_port_range",
  "net.ipv4.tcp_syncookies",
  "net.ipv4.ping_group_range",
  "net.ipv4.ip_unprivileged_port_start",
  "net.ipv4.ip_local_reserved_ports",
  "net.ipv4.tcp_keepalive_time",
  "net.ipv4.tcp_fin_timeout",
  "net.ipv4.tcp_keepalive_intvl",
  "net.ipv4.tcp_keepalive_probes",
  "net.ipv4.tcp_rmem",
  "net.ipv4.tcp_wmem"
])
/** `net/ipv4/x` is `net.ipv4.x`. */
const dotted = (sysctl: string) => sysctl.includes("/") ? sysctl.replaceAll("/", ".") : sysctl

const refusal = (
  pod: Pod,
  settings: ResolveSettings
): { readonly reason: RefusedReason; readonly message: string } | undefined => {
  const [first, ...more] = unsupportedFields(pod.spec)
  if (first !== undefined) {
    return { reason: first.reason, message: [first, ...more].map(({ sentence }) => sentence).join(" ") }
  }
  for (const container of allContainers(pod)) {
    const [resource] = unknownResources(container)
    if (resource !== undefined) {
      return {
        reason: "PodFeatureUnsupported",
        message: `container ${container.name} asks for resource ${resource}, which devices do not offer: remove it.`
      }
    }
  }
  const os = (pod.spec as { readonly os?: { readonly name?: string } }).os?.name
  if (os !== undefined && os !== settings.operatingSystem) {
    return {
      reason: "PodOSNotSupported",
      message: `spec.os.name is ${os}, the device runs ${settings.operatingSystem}.`
    }
  }
  const forbidden = (pod.spec.securityContext?.sysctls ?? []).map(({ name }) => dotted(name)).find((name) =>
    !safeSysctls.has(name)
  )
  if (forbidden !== undefined) {
    return { reason: "SysctlForbidden", message: `forbidden sysctl: "${forbidden}" not allowlisted` }
  }
  return undefined
}

const restartPolicy = (pod: Pod): PodAssignment["restartPolicy"] =>
  pod.spec.restartPolicy === "Never" || pod.spec.restartPolicy === "OnFailure" ? pod.spec.restartPolicy : "Always"

export const resolvePod = Effect.fnUntraced(function*(
  pod: Pod,
  sources: Sources,
  settings: ResolveSettings
): Effect.fn.Return<Resolution, never, Cryptography> {
  const refused = refusal(pod, settings)
  if (refused !== undefined) {
    const notice: Notice = { type: "Warning", reason: refused.reason, message: refused.message, fieldPath: "" }
    return { _tag: "Refused", ...refused, notices: [notice] }
  }
  if (sources.unknown.length > 0) {
    const message = `the API server tells nothing of ${sources.unknown.join(", ")}: `
      + "it cannot be reached, or aranya may not list and watch there"
    const notice: Notice = { type: "Warning", reason: "ReferencesUnknown", message, fieldPath: "" }
    return { _tag: "Waiting", reason: "ContainerCreating", message, notices: [notice] }
  }
  const { dns, notices: dnsNotices } = podDns(pod, settings)
  const { credentials, notices: pullNotices } = pullCredentials(pod, sources)
  // Of their own: they take nothing from the pod.
  const ephemeral = yield* Effect.provideService(
    resolveEphemeralContainers(pod, sources, settings),
    Allowance,
    newAllowance()
  )
  const notices: Array<Notice> = [...dnsNotices, ...pullNotices, ...ephemeral.notices]

  const resolved = Effect.gen(function*(): Effect.fn.Return<Resolution, NotYet, Allowance | Cryptography> {
    const { tokens, volumes, withheld } = yield* resolveVolumes(pod, sources, settings)
    if (withheld) {
      notices.push({
        type: "Normal",
        reason: "ServiceAccountTokenWithheld",
        message: "the ServiceAccount token stays in the cluster: the EdgeDevice does not allow it on the device "
          + "(spec.credentials.allowServiceAccountTokens)",
        fieldPath: ""
      })
    }
    const initContainers: Array<AssignedContainer> = []
    for (const container of pod.spec.initContainers ?? []) {
      const at = `spec.initContainers{${container.name}}`
      initContainers.push(yield* resolveContainer(pod, container, at, sources, settings))
    }
    const containers: Array<AssignedContainer> = []
    for (const container of pod.spec.containers) {
      const at = `spec.containers{${container.name}}`
      containers.push(yield* resolveContainer(pod, container, at, sources, settings))
    }
    const { domain, hostname } = podHostname(pod, settings)
    const { activeDeadlineSeconds, securityContext } = pod.spec
    const unhashed: PodAssignment = {
      uid: pod.metadata.uid ?? "",
      namespace: pod.metadata.namespace ?? "",
      name: pod.metadata.name ?? "",
      hash: "",
      generation: pod.metadata.generation ?? 0,
      labels: pod.metadata.labels ?? {},
      annotations: {},
      restartPolicy: restartPolicy(pod),
      terminationGracePeriodSeconds: boundedGrace(pod.spec.terminationGracePeriodSeconds ?? 30),
      ...(activeDeadlineSeconds === undefined ? {} : { activeDeadlineSeconds }),
      qosClass: qosClass(pod),
      hostname,
      hostDomain: domain,
      hostNetwork: pod.spec.hostNetwork ?? false,
      hostPID: pod.spec.hostPID ?? false,
      hostIPC: pod.spec.hostIPC ?? false,
      shareProcessNamespace: pod.spec.shareProcessNamespace ?? false,
      ...(securityContext?.fsGroup === undefined ? {} : { fsGroup: securityContext.fsGroup }),
      sysctls: Object.fromEntries((securityContext?.sysctls ?? []).map(({ name, value }) => [dotted(name), value])),
      dns,
      hostAliases: (pod.spec.hostAliases ?? []).map(({ hostnames = [], ip }) => ({ ip, hostnames })),
      pullCredentials: credentials,
      volumes,
      initContainers,
      containers,
      ephemeralContainers: ephemeral.containers
    }
    const cannotSync = (message: string) =>
      new NotYet({
        reason: "ContainerCreating",
        message,
        notice: { type: "Warning", reason: "FailedSync", message, fieldPath: "" }
      })
    const hash = yield* Effect.mapError(assignmentHash(unhashed), ({ message }) => cannotSync(message))
    return { _tag: "Assigned", assignment: { ...unhashed, hash }, tokens, notices }
  })

  return yield* resolved.pipe(
    Effect.provideService(Allowance, newAllowance()),
    Effect.catchTag("NotYet", ({ container, message, notice, reason }) =>
      Effect.succeed<Resolution>({
        _tag: "Waiting",
        reason,
        message,
        ...(container === undefined ? {} : { container }),
        notices: notice === undefined ? notices : [...notices, notice]
      }))
  )
})

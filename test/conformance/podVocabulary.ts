/** The words scenarios are told in: a pod is created, is waited for, ends, and has printed something. */
import { Effect, Schedule } from "effect"
import { KubeEvents } from "../../core/kube/kinds.ts"
import { KubeApi, type KubeApiError } from "../../core/kube/KubeApi.ts"
import { type Container, type ContainerStatus, type Pod, Pods, type PodSpec } from "../../core/kube/Pod.ts"
import { Cluster, namespace, nodeName } from "./Cluster.ts"
import { Deviation } from "./Deviation.ts"
import { busybox } from "./process/images.ts"

export const must = (holds: boolean, otherwise: string): Effect.Effect<void, Deviation> =>
  holds ? Effect.void : Effect.fail(new Deviation({ detail: otherwise }))

/** Without the order of keys, which says nothing. */
const told = (value: unknown): string | undefined =>
  JSON.stringify(value, (_, inner: unknown) =>
    typeof inner === "object" && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => a < b ? -1 : 1))
      : inner)

export const mustEqual = (seen: unknown, wanted: unknown, what: string): Effect.Effect<void, Deviation> => {
  const [left, right] = [told(seen), told(wanted)]
  return must(left === right, `${what}: ${left}, not ${right}`)
}

export const mustContain = (text: string, ...parts: ReadonlyArray<string>): Effect.Effect<void, Deviation> => {
  const missing = parts.find((part) => !text.includes(part))
  return must(missing === undefined, `${JSON.stringify(missing)} is not in ${JSON.stringify(text)}`)
}

/** The request has to be refused so; anything else deviates. */
export const mustBeRefused = <A, R>(
  request: Effect.Effect<A, KubeApiError, R>,
  reason: KubeApiError["reason"],
  ...words: ReadonlyArray<string>
): Effect.Effect<void, Deviation, R> =>
  Effect.flatMap(Effect.result(request), (answer) =>
    answer._tag === "Success"
      ? Effect.fail(new Deviation({ detail: `was accepted and should be refused as ${reason}` }))
      : answer.failure.reason !== reason
      ? Effect.fail(
        new Deviation({ detail: `refused as ${answer.failure.reason}, not ${reason}: ${answer.failure.detail}` })
      )
      : mustContain(answer.failure.detail, ...words))

/** Looks every second until it holds; says what was seen last. `limit` in seconds. */
export const eventually = <A, E extends { readonly message: string }, R>(
  look: Effect.Effect<A, E, R>,
  holds: (seen: A) => boolean,
  what: string,
  limit = 120
): Effect.Effect<A, Deviation, R> =>
  look.pipe(
    Effect.mapError((error) => new Deviation({ detail: `${what}: ${error.message}` })),
    Effect.flatMap((seen) =>
      holds(seen)
        ? Effect.succeed(seen)
        : Effect.fail(new Deviation({ detail: `not within ${limit} s: ${what}; last seen ${JSON.stringify(seen)}` }))
    ),
    Effect.retry(Schedule.spaced("1 second").pipe(Schedule.upTo({ times: limit })))
  )

type OneContainer = Omit<Partial<Container>, "name"> & { readonly name?: string }

export const containerOf = (given: OneContainer): Container => ({ name: "main", image: busybox, ...given })

/** Runs a script in a shell. */
export const shell = (script: string): Pick<Container, "command"> => ({ command: ["sh", "-c", script] })

/** A pod on the device: of one container unless the spec says otherwise, never restarted unless it says so. */
export const podOf = (
  name: string,
  main: OneContainer,
  spec: Partial<PodSpec> & { readonly [field: string]: unknown } = {},
  metadata: Pod["metadata"] = {}
): Pod => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { namespace, name, ...metadata },
  spec: { nodeName, restartPolicy: "Never", containers: [containerOf(main)], ...spec }
})

export const createPod = (pod: Pod) => Effect.flatMap(KubeApi, (api) => api.create(Pods, pod))

export const getPod = (name: string) => Effect.flatMap(KubeApi, (api) => api.get(Pods, { namespace, name }))

export const deletePod = (name: string, gracePeriodSeconds?: number) =>
  Effect.flatMap(
    KubeApi,
    (api) => api.delete(Pods, { namespace, name }, gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds })
  )

export const podUntil = (name: string, holds: (pod: Pod) => boolean, what: string, limit?: number) =>
  eventually(getPod(name), holds, `pod ${name} ${what}`, limit)

export const podIsGone = (name: string, limit?: number) =>
  eventually(
    Effect.map(Effect.result(getPod(name)), (seen) =>
      seen._tag === "Failure" ? seen.failure.reason : seen.success.status?.phase),
    (seen) =>
      seen === "NotFound",
    `pod ${name} is gone`,
    limit
  )

export const isReady = ({ status }: Pod): boolean =>
  status?.conditions?.some(({ status, type }) => type === "Ready" && status === "True") ?? false

/** Creates it and waits until it is Ready. */
export const podRuns = (pod: Pod) =>
  Effect.andThen(
    createPod(pod),
    podUntil(pod.metadata.name ?? "", (seen) => seen.status?.phase === "Running" && isReady(seen), "runs and is Ready")
  )

const ended = ({ status }: Pod) => status?.phase === "Succeeded" || status?.phase === "Failed"

/** Creates it and waits until it has ended, well or not. */
export const podEnds = (pod: Pod, limit?: number) =>
  Effect.andThen(createPod(pod), podUntil(pod.metadata.name ?? "", ended, "ends", limit))

export const logsOf = (pod: Pod, container = "main", options?: { readonly previous?: boolean }) =>
  Effect.flatMap(Cluster, ({ logs }) => logs({ uid: pod.metadata.uid ?? "", container }, options))

/** Creates the pod, waits for its good end, and gives what its containers have printed, the one named or the first. */
export const printedBy = Effect.fnUntraced(function*(pod: Pod, container = pod.spec.containers[0]?.name ?? "main") {
  const after = yield* podEnds(pod)
  const printed = yield* logsOf(after, container)
  yield* must(
    after.status?.phase === "Succeeded",
    `pod ${after.metadata.name} ended as ${after.status?.phase} (${after.status?.reason ?? ""} ${
      after.status?.message ?? ""
    }), having printed ${JSON.stringify(printed)}`
  )
  return printed
})

/** The newest log has to come to contain this; for what changes while a container runs. */
export const podPrints = (pod: Pod, part: string, container = "main", limit?: number) =>
  eventually(
    logsOf(pod, container),
    (text) => text.includes(part),
    `container ${container} prints ${JSON.stringify(part)}`,
    limit
  )

export const statusOf = (pod: Pod, container: string): ContainerStatus | undefined =>
  [...pod.status?.containerStatuses ?? [], ...pod.status?.initContainerStatuses ?? []]
    .find(({ name }) => name === container)

export const base64 = (text: string): string => Buffer.from(text).toString("base64")

/** Waits for an event about a pod. */
export const eventOf = Effect.fnUntraced(function*(name: string, reason: string) {
  const api = yield* KubeApi
  return yield* eventually(
    Effect.map(
      api.list(KubeEvents, { namespace }),
      (events) => events.filter(({ involvedObject }) => involvedObject.name === name).map((event) => event.reason ?? "")
    ),
    (reasons) => reasons.includes(reason),
    `pod ${name} has an event ${reason}`
  )
})

/** What must hold at every moment of a storm, and what must hold once all is well. What ran is judged in `judgement.ts`. */
import { Context, Effect } from "effect"
import { ControlPlane } from "../../adapters/kube/plane/ControlPlane.ts"
import type { Change } from "../../adapters/kube/plane/store/Collection.ts"
import type { Pod } from "../../core/kube/Pod.ts"
import { keepTolerations } from "../../core/node/keepTolerations.ts"
import type { Count } from "./coverage.ts"
import {
  type Forgetful,
  goesOn,
  hasFiles,
  isForgotten,
  isOver,
  type Known,
  ranEver,
  runningOf,
  runsOf,
  statuses,
  words
} from "./known.ts"
import { secretText } from "./workload.ts"
import type { SimulatedDevice } from "./World.ts"

/** Their keys begin with the uid of a pod. */
const podTables = ["assignments", "pods", "attempts", "reports"] as const
const tables = [...podTables, "events", "link"] as const

export class Violation extends Error {
  override readonly name = "Violation"
}

/** Every node has it: only pods of the device's namespace are scheduled here. */
const namespaceTaint = "arhat.dev/namespace"

type ControlPlaneService = Context.Service.Shape<typeof ControlPlane>

/** Every end that the API tells of a process is the end it had, or is said to be unknown. */
const untrueExits = (known: Known, pod: Pod, forgetful: Forgetful, count: Count): ReadonlyArray<string> => {
  const { device, name } = known
  const found: Array<string> = []
  const runs = runsOf(device)
  for (const { lastState, name: container, state } of statuses(pod)) {
    for (const told of [state?.terminated, lastState?.terminated]) {
      const id = told?.containerID?.split("//")[1]
      const run = id === undefined || id === "" ? undefined : runs.find((each) => each.id === id)
      if (told === undefined || run === undefined) continue
      if (told.reason === "ContainerStatusUnknown") {
        if (run.exitCode === undefined || run.vanished === true || isForgotten(forgetful, known)) continue
        found.push(
          `${name}/${container}#${run.attempt} exited with ${run.exitCode}, and the API says that it is unknown`
        )
        continue
      }
      if (goesOn(run)) {
        found.push(`${name}/${container}#${run.attempt} runs, and the API says it exited with ${told.exitCode}`)
        continue
      }
      if (run.exitCode === undefined) continue
      count("rule: ends told are the ends that were")
      if (run.exitCode === told.exitCode) continue
      found.push(`${name}/${container}#${run.attempt} exited with ${run.exitCode}, and the API says ${told.exitCode}`)
    }
  }
  return found
}

/** What the API tells of containers is of the pod's own. */
const strangers = ({ device, name, uid }: Known, pod: Pod, count: Count): ReadonlyArray<string> => {
  const runs = runsOf(device)
  return statuses(pod).flatMap(({ containerID = "", name: container }) => {
    const run = runs.find(({ id }) => id === containerID.split("//")[1])
    if (run === undefined) return []
    count("rule: a status tells of its own containers")
    return run.uid === uid ? [] : [`${name} is told to have ${container} of another pod of its name`]
  })
}

/** Looks at every change of an EdgeDevice in the API: who takes a device from another raises its epoch, so that nobody obeys both. */
export const watchDevices = (plane: ControlPlaneService, count: Count, violated: (what: string) => void): void => {
  type Linked = { readonly status?: { readonly link?: { readonly holder?: string; readonly epoch?: number } } }
  plane.world.store.listen("edgedevices.aranya.arhat.dev", "all", ({ previous, revision, type }: Change) => {
    const before = (previous?.object as Linked | undefined)?.status?.link
    const after = (revision.object as Linked).status?.link
    if (type === "DELETED" || before?.holder === undefined || after?.holder === before.holder) return
    count("rule: who takes a device over raises its epoch")
    if ((after?.epoch ?? 0) > (before.epoch ?? 0)) return
    const name = (revision.object as { readonly metadata: { readonly name?: string } }).metadata.name
    violated(
      `${after?.holder} takes ${name} over from ${before.holder} with epoch ${after?.epoch}, not above ${before.epoch}`
    )
  })
}

/** It never learned to tolerate its Node's absence: it may be evicted, where no operator had the time to teach it. */
const unknownToAll = (pod: Pod) => keepTolerations(pod) !== undefined

/** What still runs of a pod that is said to have ended, but for what its device begins anew that has forgotten that end since. */
const stillRunning = (known: Known, forgetful: Forgetful) => {
  const { device, overAt, policy, uid } = known
  const removed = Effect.runSync(device.obeyed).flatMap(({ at, what }) => what === `remove ${uid}` ? [at] : [])
  const hadEnded = (container: string, lost: number) => {
    const before = runsOf(device).findLast((run) =>
      run.uid === uid && run.container === container && run.startedAt <= lost
    )
    return (overAt ?? Infinity) <= lost || removed.some((at) => at <= lost) ||
      (policy !== "Always" && before !== undefined && before.cut !== true && (before.finishedAt ?? Infinity) <= lost)
  }
  return runningOf(known).filter(({ container, startedAt }) =>
    !(forgetful.get(device.name) ?? []).some((lost) => lost <= startedAt && hadEnded(container, lost))
  )
}

/** Id of the container that runs as a pod's main one, as far as the API knows. */
export const mainContainerTold = (plane: ControlPlaneService, { place, uid }: Known): string | undefined => {
  const pod = plane.world.store.get("pods", "edge", place)?.object as unknown as Pod | undefined
  const main = pod?.metadata.uid === uid
    ? pod.status?.containerStatuses?.find(({ name }) => name === "main")
    : undefined
  return main?.state?.running === undefined ? undefined : main.containerID?.split("//")[1]
}

/** Looks at every change of a pod in the API, at the instant it is made. */
export const watchApi = (
  plane: ControlPlaneService,
  known: ReadonlyMap<string, Known>,
  forgetful: Forgetful,
  /** Whether an operator could do its work in between. */
  attended: (from: number, to: number) => boolean,
  /** Milliseconds of the world's clock. */
  now: () => number,
  count: Count,
  violated: (what: string) => void
): void => {
  /** Most restarts that were ever told, by uid and container. */
  const restarts = new Map<string, number>()
  /** What had ended when it was deleted leaves the API at once, whatever its device still has to clear away. */
  const overBefore = new Set<string>()
  plane.world.store.listen("pods", "all", ({ previous, revision, type }: Change) => {
    const pod = revision.object as unknown as Pod
    const before = previous?.object as unknown as Pod | undefined
    const pod0 = known.get(pod.metadata.uid ?? "")
    if (pod0 === undefined) return
    const { forced, givenUp, name } = pod0
    if ((pod.metadata.deletionTimestamp !== undefined || type === "DELETED") && !pod0.deleted) {
      if (pod0.mayGo || (unknownToAll(pod) && !attended(pod0.born, now()))) pod0.deleted = true
      else if (type === "DELETED") violated(`${name} is gone from the API, and nobody asked`)
      else violated(`${name} is deleted, and nobody asked`)
    }
    if (
      pod.metadata.deletionTimestamp !== undefined && before?.metadata.deletionTimestamp === undefined && isOver(pod)
    ) {
      overBefore.add(pod0.uid)
    }
    if (isOver(pod)) pod0.overAt ??= now()
    if (type === "DELETED") {
      if (!forced) pod0.goneAt = now()
      const running = stillRunning(pod0, forgetful)
      if (!forced && ranEver(pod0)) count("rule: a pod is gone only after its containers and files")
      if (!forced && running.length > 0) violated(`${name} is gone from the API while ${words(running)} still run`)
      if (!forced && !givenUp && !overBefore.has(pod0.uid) && !isForgotten(forgetful, pod0) && hasFiles(pod0)) {
        violated(`${name} is gone from the API and its files are still on ${pod0.device.name}`)
      }
      return
    }
    if (isOver(before)) count("rule: a terminal phase stays")
    if (isOver(before) && pod.status?.phase !== before?.status?.phase) {
      violated(`${name} leaves phase ${before?.status?.phase} for ${pod.status?.phase}`)
    }
    if (isOver(pod) && !isOver(before)) {
      const running = stillRunning(pod0, forgetful)
      if (ranEver(pod0)) count("rule: nothing runs in a terminal phase")
      if (running.length > 0) violated(`${name} is ${pod.status?.phase} while ${words(running)} still run`)
    }
    for (const what of [...untrueExits(pod0, pod, forgetful, count), ...strangers(pod0, pod, count)]) violated(what)
    for (const { name: container, restartCount } of statuses(pod)) {
      const key = `${pod0.uid}/${container}`
      const told = restarts.get(key) ?? 0
      restarts.set(key, Math.max(told, restartCount))
      if (told > 0) count("rule: restarts never go down")
      if (restartCount < told && !isForgotten(forgetful, pod0)) {
        violated(`restarts of ${name}/${container} go down from ${told} to ${restartCount}`)
      }
    }
  })
}

/** Looks at every process at the instant at which it begins: its pod is in the journal, so that whoever comes next knows of it. */
export const watchStarts = (
  { journal, name, runtime }: SimulatedDevice,
  known: ReadonlyMap<string, Known>,
  count: Count,
  violated: (what: string) => void
): Effect.Effect<void> =>
  runtime.witness(({ attempt, container, uid }) => {
    count("rule: what begins is in the journal")
    if (Effect.runSync(journal.has("assignments", uid))) return
    const pod = known.get(uid)?.name ?? uid
    violated(`${pod}/${container}#${attempt} begins on ${name}, whose journal knows nothing of it`)
  })

/** How a pod that is over ended, by the processes that ran: undefined where something else than they decided. */
const phaseOf = (pod: Pod, { device, uid }: Known): string | undefined => {
  if (pod.status?.reason !== undefined) return undefined
  const told = pod.status?.containerStatuses ?? []
  const runs = runsOf(device).filter((run) => run.uid === uid)
  const last = told.map(({ state }) =>
    state?.terminated?.reason === "ContainerStatusUnknown"
      ? undefined
      : runs.find(({ id }) => id === state?.terminated?.containerID?.split("//")[1])?.exitCode
  )
  if (last.length === 0 || last.includes(undefined)) return undefined
  return last.every((code) => code === 0) ? "Succeeded" : "Failed"
}

/** What of each pod stays as it is for as long as nobody does anything: its version in the API, and its processes. */
export const stillness = (plane: ControlPlaneService, pods: ReadonlyArray<Known>): ReadonlyArray<string> =>
  pods.map((known) => {
    const place = plane.world.store.placeOf(known.uid)
    const object = place === undefined ? undefined : plane.world.store.get("pods", place.namespace, place.name)?.object
    const version = (object as Pod | undefined)?.metadata.resourceVersion
    return `version ${version}, running ${words(runningOf(known))}`
  })

const dataIn = (plane: ControlPlaneService, plural: string, name: string, key: string): string | undefined =>
  (plane.world.store.get(plural, "edge", name)?.object as { readonly data?: Record<string, string> } | undefined)
    ?.data?.[key]
const colourIn = (plane: ControlPlaneService) => dataIn(plane, "configmaps", "settings", "colour")
const keyIn = (plane: ControlPlaneService) =>
  Buffer.from(dataIn(plane, "secrets", "keys", "key") ?? "", "base64").toString()

/** What storms begin with. */
export const firstColour = "red"

export const filesFollow = [
  "files of a volume follow their ConfigMap",
  "files of a volume follow their Secret"
] as const

const stubbornGo = "what ignores SIGTERM goes all the same"
const oneSandbox = "a pod has one sandbox and leaves none"
const fewEnds = "of each container one end is kept"
const rowsGo = "the journal knows of no pod that is gone"

/** What is not as it should be once nothing is broken any more; empty when all is well. */
export const unsettled = Effect.fnUntraced(function*(
  plane: ControlPlaneService,
  pods: ReadonlyArray<Known>,
  devices: ReadonlyArray<SimulatedDevice>,
  /** Also counts what was looked at. */
  count: Count = () => {}
) {
  const wrong: Array<string> = []
  const live = new Set<string>()
  for (const known of pods) {
    const { deleted, name, outcome, uid } = known
    const place = plane.world.store.placeOf(uid)
    const pod = place === undefined
      ? undefined
      : plane.world.store.get("pods", place.namespace, place.name)?.object as Pod | undefined
    const running = runningOf(known)
    if (deleted) {
      if (ranEver(known)) count("rule: what is deleted leaves nothing")
      if (known.recipe.name === "configured" && ranEver(known)) count("rule: secrets go with their pod")
      if (known.recipe.name === "stubborn" && ranEver(known)) count(`rule: ${stubbornGo}`)
      if (pod !== undefined) wrong.push(`${name} is still in the API`)
      if (running.length > 0) wrong.push(`${name} is deleted and ${words(running)} still run`)
      continue
    }
    live.add(uid)
    if (pod === undefined) {
      wrong.push(`${name} is not in the API`)
      continue
    }
    const { phase } = pod.status ?? {}
    if (isOver(pod)) {
      if (outcome !== "ends") wrong.push(`${name} is ${phase}`)
      const should = phaseOf(pod, known)
      if (should !== undefined) count("rule: a pod ends as its processes did")
      if (should !== undefined && should !== phase) wrong.push(`${name} is ${phase} and should be ${should}`)
      if (running.length > 0) wrong.push(`${name} is ${phase} and ${words(running)} still run`)
      continue
    }
    if (outcome === "ends") wrong.push(`${name} should have ended and is ${phase}`)
    else if (phase !== "Running") wrong.push(`${name} should run and is ${phase}`)
    const told = statuses(pod).filter(({ state }) => state?.running !== undefined)
    const ids = new Set(running.map(({ id }) => id))
    if (told.length !== ids.size || !told.every(({ containerID = "" }) => ids.has(containerID.split("//")[1] ?? ""))) {
      wrong.push(`${name} runs ${words(running)} and the API says ${told.map(({ name: each }) => each).join(", ")}`)
    }
    for (const { container, attempt } of running) {
      count("rule: what the API says is what the device does")
      const told = statuses(pod).find(({ name: each }) => each === container)?.restartCount
      if (told !== attempt) wrong.push(`${name}/${container} runs as #${attempt} and the API counts ${told} restarts`)
    }
    if (known.edits > 0 && running.length > 0) {
      count("rule: an edited image runs")
      const containers = yield* Effect.orElseSucceed(known.device.engine.containers(uid), () => [])
      const main = containers.find((each) => each.container === "main" && each.state === "running")
      const wanted = pod.spec.containers.find((each) => each.name === "main")?.image
      if (main !== undefined && main.image !== wanted) wrong.push(`${name} runs ${main.image} instead of ${wanted}`)
    }
    if (known.recipe.name === "configured" && running.length > 0) {
      const wanted = colourIn(plane)
      const mounted = yield* known.device.files.text(uid, "settings/colour")
      if (wanted !== firstColour) count(`rule: ${filesFollow[0]}`)
      if (wanted !== undefined && mounted !== wanted) {
        wrong.push(`${name} has a ${mounted} file of settings that are ${wanted}`)
      }
      const key = keyIn(plane)
      const held = yield* known.device.files.text(uid, "keys/key")
      if (key !== secretText) count(`rule: ${filesFollow[1]}`)
      if (held !== key) wrong.push(`${name} has the key ${held} and should have ${key}`)
    }
    if (outcome === "runs") {
      const main = pod.status?.containerStatuses ?? []
      if (main.length === 0 || main.some(({ state }) => state?.running === undefined)) {
        wrong.push(`${name} should run and its containers say ${JSON.stringify(main.map(({ state }) => state))}`)
      }
      const ready = pod.status?.conditions?.find(({ type }) => type === "Ready")
      if (ready?.status !== "True") wrong.push(`${name} should be ready: ${JSON.stringify(pod.status)}`)
    }
  }
  for (const device of devices) {
    const node = plane.world.store.get("nodes", "", device.name)?.object as
      | {
        readonly spec?: { readonly taints?: ReadonlyArray<{ readonly key: string }> }
        readonly status?: Pod["status"]
      }
      | undefined
    if (node?.status?.conditions?.find(({ type }) => type === "Ready")?.status !== "True") {
      wrong.push(`node ${device.name} is not ready`)
    }
    if (node?.spec?.taints?.some(({ key }) => key !== namespaceTaint) ?? false) {
      wrong.push(`node ${device.name} is tainted: ${JSON.stringify(node?.spec?.taints)}`)
    }
    const containers = yield* Effect.orElseSucceed(device.engine.containers(), () => [])
    for (const { container, pod, uid } of containers) {
      if (!live.has(uid)) wrong.push(`${device.name} keeps container ${pod}/${container} of a pod that is gone`)
    }
    const ended = containers.filter(({ state }) => state === "exited")
    for (const ends of Map.groupBy(ended, ({ container, uid }) => `${uid}/${container}`).values()) {
      count(`rule: ${fewEnds}`)
      const [{ container, pod } = { container: "", pod: "" }] = ends
      if (ends.length > 1) wrong.push(`${device.name} keeps ${ends.length} ended containers of ${pod}/${container}`)
    }
    const sandboxes = yield* Effect.orElseSucceed(device.engine.sandboxes(), () => [])
    for (const [uid, { length }] of Map.groupBy(sandboxes, ({ uid }) => uid)) {
      count(`rule: ${oneSandbox}`)
      if (!live.has(uid)) wrong.push(`${device.name} keeps a sandbox of ${uid}, which is gone`)
      else if (length > 1) wrong.push(`${device.name} keeps ${length} sandboxes of ${uid}`)
    }
    for (const table of podTables) {
      for (const { key } of yield* Effect.catchCause(device.rows(table), () => Effect.succeed([]))) {
        count(`rule: ${rowsGo}`)
        if (!live.has(key.split("/")[0] ?? "")) wrong.push(`${device.name} keeps ${table}/${key} of a pod that is gone`)
      }
    }
    for (const row of yield* device.journal.secrets) {
      const [table, key = ""] = row.split("/")
      if (table !== "link" && !live.has(key)) wrong.push(`${device.name} keeps secrets in ${row}`)
    }
    const configured = pods.some((pod) => pod.device === device && !pod.deleted && pod.recipe.name === "configured")
    if (!configured) {
      for (const table of tables) {
        for (const { key, value } of yield* Effect.catchCause(device.rows(table), () => Effect.succeed([]))) {
          if (Buffer.from(value).includes(secretText)) {
            wrong.push(`${device.name} keeps what a Secret says in ${table}/${key}`)
          }
        }
      }
    }
    for (const uid of yield* Effect.orElseSucceed(device.volumes.pods, () => [])) {
      if (!live.has(uid)) wrong.push(`${device.name} keeps files of ${uid}`)
    }
  }
  return wrong
})

/** Every rule of which it is counted how often it was put to the test; those of streams are named by who reads them. */
export const rules = [
  "a pod is gone only after its containers and files",
  "a terminal phase stays",
  "nothing runs in a terminal phase",
  "ends told are the ends that were",
  "restarts never go down",
  "never two at once",
  "an attempt runs once",
  "Never runs once",
  "OnFailure rests after success",
  "what is wanted takes effect once",
  "what is deleted leaves nothing",
  "secrets go with their pod",
  "what the API says is what the device does",
  "an edited image runs",
  "no errors are logged",
  "no lower epoch has an effect",
  "a status tells of its own containers",
  "who takes a device over raises its epoch",
  "the event ring is bounded",
  "the journal is bounded",
  "connections are bounded",
  "fibers are bounded",
  "who is idle has few fibers",
  "an idle fleet writes little",
  "the memory of links is bounded",
  "streams that ended hold nothing",
  "pods run where they are bound",
  "what was told to go does not begin",
  "what is told to go ends within its grace",
  "what begins is in the journal",
  "what has ended begins nothing",
  "what is gone from the API begins nothing",
  "a pod ends as its processes did",
  stubbornGo,
  oneSandbox,
  fewEnds,
  rowsGo,
  "what is to be prepared begins after that",
  ...filesFollow
] as const

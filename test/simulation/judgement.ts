/** What ran, judged once a storm is over: where, how often, and under whose word. */
import { Effect } from "effect"
import type { Run } from "../fakes/runtime/MemoryEngine.ts"
import type { Count } from "./coverage.ts"
import { type Forgetful, isForgotten, type Known, memoryAt, runsOf, words } from "./known.ts"
import { type SimulatedDevice, wiped } from "./World.ts"

/** A start that was being asked for when its pod was told to go, in milliseconds. */
const onItsWay = 5_000

/** What lets containers begin later or more often than they should, by device. */
export interface Excuses {
  /** How often its agent has said that workloads rest: each time may end what ran, to begin it again. */
  readonly rests: ReadonlyMap<string, number>
  /** When lives of its agent ended. */
  readonly deaths: ReadonlyMap<string, ReadonlyArray<number>>
  /** Its disk forgot what it had promised to keep. */
  readonly forgetful: Forgetful
}

/** Each process is one of a pod of its own device, and of one that was not told to go long before. */
export const judgePlaces = (
  devices: ReadonlyArray<SimulatedDevice>,
  known: ReadonlyMap<string, Known>,
  { deaths, forgetful }: Excuses,
  count: Count
): ReadonlyArray<string> =>
  devices.flatMap((device) => {
    /** By memory and pod. */
    const told = new Map<string, number>()
    for (const { at, what } of Effect.runSync(device.obeyed)) {
      const [verb, uid = ""] = what.split(" ")
      const key = `${memoryAt(forgetful, device, at)} ${uid}`
      if ((verb === "remove" || verb === "forget") && !told.has(key)) told.set(key, at)
    }
    return runsOf(device).flatMap(({ askedAt, attempt, container, uid }) => {
      const pod = known.get(uid)
      if (pod === undefined) return []
      count("rule: pods run where they are bound")
      if (pod.device !== device) return [`${pod.name}/${container} runs on ${device.name}, and is ${pod.device.name}'s`]
      const gone = told.get(`${memoryAt(forgetful, device, askedAt)} ${uid}`)
      if (gone === undefined) return []
      count("rule: what was told to go does not begin")
      // A life that ended before it had noted the word is told again, by an operator that may be away.
      const mayHaveLost = deaths.get(device.name)?.some((died) => died >= gone && died <= askedAt) ?? false
      if (askedAt <= gone + onItsWay || mayHaveLost) return []
      return [
        `${pod.name}/${container}#${attempt} is begun ${Math.round((askedAt - gone) / 1000)} s after it was told to go`
      ]
    })
  })

/** An engine at its work answers within a moment. */
const momentMillis = 5_000

/** Each process of a pod that was told to go has ended when its grace is over, where nothing but its links ever failed its device. */
export const judgeGraces = (
  devices: ReadonlyArray<SimulatedDevice>,
  known: ReadonlyMap<string, Known>,
  { deaths, harmed }: Pick<Excuses, "deaths"> & { readonly harmed: ReadonlySet<SimulatedDevice> },
  now: number,
  count: Count
): ReadonlyArray<string> =>
  devices.filter((device) => !harmed.has(device)).flatMap((device) =>
    Effect.runSync(device.obeyed).flatMap(({ at, grace, what }) => {
      if (grace === undefined) return []
      const [, uid = ""] = what.split(" ")
      const until = at + grace + momentMillis
      return runsOf(device)
        .filter((run) => run.uid === uid && run.startedAt <= at && (run.finishedAt ?? now) > at)
        .flatMap(({ attempt, container, finishedAt = now }) => {
          const died = deaths.get(device.name)?.some((life) => life >= at && life <= until) ?? false
          if (died || (until > now && finishedAt === now)) return []
          count("rule: what is told to go ends within its grace")
          const late = Math.round((finishedAt - at - grace) / 1000)
          return finishedAt <= until
            ? []
            : [`${known.get(uid)?.name}/${container}#${attempt} ends ${late} s after its grace`]
        })
    })
  )

const lossesOf = ({ device, uid }: Known) => Effect.runSync(device.runtime.losses).filter((each) => each.uid === uid)

/** No pod of a storm is given longer to end. */
const longestGrace = 30_000

/** Whether the agent that was ending it, or saw it end, could not write that down before it died: the next one knows no better. */
const wasNotNoted = (
  { device, uid }: Known,
  { finishedAt = Infinity, startedAt }: Readonly<Run>,
  deaths: ReadonlyArray<number>
): boolean => {
  const refusedBetween = (from: number, died = -Infinity) =>
    Effect.runSync(device.journal.refusals).some(({ at, words }) => at >= from && at <= died && words.includes(uid))
  const whileItEnded = deaths.findLast((at) => at < finishedAt && at + longestGrace >= finishedAt)
  return refusedBetween(finishedAt, deaths.find((at) => at >= finishedAt)) || refusedBetween(startedAt, whileItEnded)
}

/** How often a container may begin that ran thus; undefined where there is no end to it. What was taken from outside may begin once more. */
const mostOf = (
  known: Known,
  container: string,
  runs: ReadonlyArray<Readonly<Run>>,
  deaths: ReadonlyArray<number>
): number | undefined => {
  const wanted = known.begins.get(container)
  if (wanted === undefined) return undefined
  const again = known.inits.has(container)
    // In another sandbox initialisation is repeated.
    ? lossesOf(known).filter(({ what }) => what === "sandbox").length
    : container === "main"
    ? known.edits
    : 0
  return wanted + again +
    runs.filter((run) => run.cut === true || run.vanished === true || wasNotNoted(known, run, deaths)).length
}

/** How often a container has to begin if its pod comes to an end by itself. An attempt that was lost before it began is not made up for. */
const leastOf = (known: Known, container: string): number => {
  const { begins, deleted, outcome, recipe, shortened } = known
  if (deleted || shortened || outcome !== "ends" || recipe.name === "hurried") return 0
  const unbegun = lossesOf(known).filter((each) => each.what === "unbegun" && each.container === container)
  return (begins.get(container) ?? 0) - unbegun.length
}

/** Looks at what ran of a container while its device had one memory. */
const judgeRemembered = (
  known: Known,
  container: string,
  runs: ReadonlyArray<Readonly<Run>>,
  { deaths, rests }: { readonly deaths: ReadonlyArray<number>; readonly rests: number },
  count: Count
): ReadonlyArray<string> => {
  const found: Array<string> = []
  const { policy } = known
  const name = `${known.name}/${container}`
  if (runs.length > 1) count("rule: an attempt runs once")
  if (new Set(runs.map(({ attempt }) => attempt)).size < runs.length) {
    found.push(`${name} ran twice as one attempt: ${words(runs)}`)
  }
  if (policy === "Never") count("rule: Never runs once")
  if (policy === "OnFailure" && runs.some(({ exitCode }) => exitCode === 0)) {
    count("rule: OnFailure rests after success")
  }
  for (const [i, run] of runs.entries()) {
    const next = runs[i + 1]
    if (next === undefined) continue
    if (next.attempt < run.attempt) found.push(`attempts of ${name} go back: ${words(runs)}`)
    if (policy === "Never") found.push(`${name} of policy Never ran again: ${words(runs)}`)
    if (policy === "OnFailure" && run.exitCode === 0 && run.vanished !== true && run.cut !== true) {
      found.push(`${name} of policy OnFailure ran again after it succeeded: ${words(runs)}`)
    }
  }
  const most = mostOf(known, container, runs, deaths)
  if (most === undefined) return found
  count("rule: what is wanted takes effect once")
  if (runs.length > most + rests) {
    found.push(`${name} should begin ${most} times at most and did ${runs.length}: ${words(runs)}`)
  }
  return found
}

/**
 * Nothing begins of a pod that the API says has ended, or that has left the API in order, while its device remembers as much. What the API
 * says was true on the device when its last process ended; the word of it may have come after the device had lost that memory.
 */
const lateBeginnings = (
  { born, device, goneAt, name, overAt }: Known,
  runs: ReadonlyArray<Readonly<Run>>,
  forgetful: Forgetful,
  count: Count
): ReadonlyArray<string> =>
  [["has ended", overAt], ["is gone from the API", goneAt]].flatMap(([what, since]) => {
    if (typeof since !== "number" || runs.length === 0) return []
    count(`rule: what ${what} begins nothing`)
    // What leaves the API after it has ended says nothing of what a device does that has forgotten the end.
    const until = Math.min(since, overAt ?? since)
    const ended = runs.flatMap(({ finishedAt = Infinity }) => finishedAt <= until ? [finishedAt] : [])
    const memory = memoryAt(forgetful, device, Math.max(born, ...ended))
    return runs.filter(({ startedAt }) => startedAt > since && memoryAt(forgetful, device, startedAt) === memory)
      .map(({ attempt, container, startedAt }) =>
        `${name}/${container}#${attempt} begins ${startedAt - since} ms too late: it ${what}`
      )
  })

/** What a pod is made of begins in a sandbox only once its initialisation has succeeded there. */
const uninitialised = (
  { inits, name }: Known,
  runs: ReadonlyArray<Readonly<Run>>,
  count: Count
): ReadonlyArray<string> =>
  runs.filter(({ container }) => inits.size > 0 && !inits.has(container)).flatMap((run) => {
    count("rule: what is to be prepared begins after that")
    const missing = [...inits].filter((init) =>
      !runs.some(({ container, exitCode, finishedAt = Infinity, sandboxId }) =>
        container === init && sandboxId === run.sandboxId && exitCode === 0 && finishedAt <= run.startedAt
      )
    )
    return missing.map((init) => `${name}/${run.container}#${run.attempt} begins before ${init} has succeeded`)
  })

/** Looks at every process that ever ran. */
export const judgeRuns = (
  pods: Iterable<Known>,
  { deaths, forgetful, rests }: Excuses,
  count: Count
): ReadonlyArray<string> => {
  const found: Array<string> = []
  for (const known of pods) {
    const { device, name } = known
    const all = runsOf(device).filter((run) => run.uid === known.uid)
    found.push(...lateBeginnings(known, all, forgetful, count), ...uninitialised(known, all, count))
    const excuse = { deaths: deaths.get(device.name) ?? [], rests: rests.get(device.name) ?? 0 }
    const byContainer = Map.groupBy(all, ({ container }) => container)
    for (const container of new Set([...known.begins.keys(), ...byContainer.keys()])) {
      const runs = byContainer.get(container) ?? []
      const twice = runs.find((run, i) => (run.finishedAt ?? Infinity) > (runs[i + 1]?.startedAt ?? Infinity))
      if (runs.length > 1) count("rule: never two at once")
      if (twice !== undefined) found.push(`${name}/${container} runs twice at once: ${words(runs)}`)
      for (const remembered of Map.groupBy(runs, ({ startedAt }) => memoryAt(forgetful, device, startedAt)).values()) {
        found.push(...judgeRemembered(known, container, remembered, excuse, count))
      }
      const least = leastOf(known, container)
      if (runs.length < least && !isForgotten(forgetful, known)) {
        found.push(`${name}/${container} should begin ${least} times at least and did ${runs.length}: ${words(runs)}`)
      }
    }
  }
  return found
}

/** Looks at every command that had an effect on a device: one of a lower epoch than it remembers never has any. */
export const judgeEpochs = (
  devices: ReadonlyArray<SimulatedDevice>,
  forgetful: Forgetful,
  count: Count
): ReadonlyArray<string> =>
  devices.flatMap((device) => {
    const obeyed = Effect.runSync(device.obeyed)
    return [...Map.groupBy(obeyed, ({ at }) => memoryAt(forgetful, device, at)).values()].flatMap((remembered) => {
      let highest = 0
      if (new Set(remembered.map(({ epoch }) => epoch)).size > 1) count("rule: no lower epoch has an effect")
      return remembered.flatMap(({ epoch, what }) => {
        // What comes after a wipe is another EdgeDevice's, which counts anew.
        if (what === wiped) {
          highest = 0
          return []
        }
        const lower = epoch < highest
        highest = Math.max(highest, epoch)
        return lower ? [`${device.name} obeys ${what} of epoch ${epoch} after one of epoch ${highest}`] : []
      })
    })
  })

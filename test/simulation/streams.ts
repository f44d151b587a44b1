/** Logs that are followed through the kubelet backend while everything else happens: each line once and in order, and an answer in the end. */
import { Cause, Clock, type Context, Effect, Exit, Fiber, FiberSet, Option, Stream } from "effect"
import { KubeletBackend } from "../../core/kubelet/KubeletBackend.ts"
import type { PodLogQuery } from "../../core/pod/PodRuntime.ts"
import type { Run } from "../fakes/runtime/MemoryEngine.ts"
import type { Count } from "./coverage.ts"
import type { Dice } from "./faults/Dice.ts"
import { isRunning, type Known, runsOf } from "./known.ts"
import type { Program } from "./World.ts"

type Backend = Context.Service.Shape<typeof KubeletBackend>

/** Who asks for a whole log is answered within this, or told why not: a session lives no longer than that without its device. */
const answeredWithin = "10 minutes"
/** And once all is well, within this. */
export const answeredInPeace = 60_000
export const answeredRule = "whoever asks is answered"
/** Lines that may be on their way to a follower. */
const underWay = 3

/** Where an operator's kubelet API would be: who reads there is cut off when the operator dies. */
export interface Door {
  readonly beside: Effect.Effect<void, never, KubeletBackend>
  readonly guard: (operator: Program) => Program
  readonly open: () => { readonly backend: Backend; readonly readers: Set<Fiber.Fiber<void>> } | undefined
}

export const makeDoor = (): Door => {
  let open: { readonly backend: Backend; readonly readers: Set<Fiber.Fiber<void>> } | undefined
  const shut = Effect.suspend(() => {
    const readers = open?.readers ?? []
    open = undefined
    return Effect.forEach(readers, Fiber.interrupt, { discard: true })
  })
  return {
    beside: Effect.map(KubeletBackend, (backend) => {
      open = { backend, readers: new Set() }
    }),
    guard: (operator) => ({ ...operator, kill: Effect.andThen(shut, operator.kill) }),
    open: () => open
  }
}

/** Of those who read, run commands and connect. */
export const calmRule = "where nothing is broken, nothing ends with an error"

interface Reading {
  readonly known: Known
  readonly query: PodLogQuery
  readonly words: string
  /** The newest line that came. */
  last: { readonly attempt: number; readonly line: number } | undefined
  lines: number
  /** The process that was the newest when it was asked for, and how many lines that had printed. */
  readonly due: { readonly run: Readonly<Run>; readonly lines: number } | undefined
  /** Milliseconds of the world's clock. */
  readonly since: number
  /** Why it ended, other than in order. */
  error?: string
}

/** Follows logs, and judges what comes. `printed` counts the lines of each process by its id, `uid#attempt`. */
export const makeReaders = Effect.fnUntraced(function*(
  doors: ReadonlyArray<Door>,
  printed: ReadonlyMap<string, number>,
  { calm, count, note, refused, told, violated }: {
    /** Nothing is ever broken. */
    readonly calm: boolean
    readonly count: Count
    /** Id of the container that runs as this pod's main one, as far as the API knows. */
    readonly told: (known: Known) => string | undefined
    /** A stream ended, or was not to be had, because a budget is used up. */
    readonly refused: (device: string, sentence: string) => void
    readonly note: (what: string) => Effect.Effect<void>
    readonly violated: (what: string) => void
  }
) {
  const fibers = yield* FiberSet.make<void>()
  const staying = new Set<Reading>()
  const open = new Set<Reading>()
  let numbers = 0

  const printedBy = ({ known, last }: Reading) => printed.get(`${known.uid}#${last?.attempt ?? 0}`) ?? 0

  const newestOf = ({ device, uid }: Known) =>
    runsOf(device).findLast((run) => run.uid === uid && run.container === "main")

  /** What is there when somebody asks belongs to the answer, as long as nothing has taken the place of its process. */
  const judgeComplete = ({ due, known, last, words }: Reading) => {
    const newest = newestOf(known)
    if (due === undefined || newest?.id !== due.run.id || newest.vanished === true) return
    count("rule: a stream that ends in order is complete")
    const got = last?.attempt === due.run.attempt ? last.line + 1 : 0
    if (got < due.lines) violated(`${words} ends in order after ${got} lines, and ${due.lines} had been printed`)
  }

  const take = (reading: Reading) => {
    const text = new TextDecoder()
    let partial = ""
    return (bytes: Uint8Array) => {
      const lines = (partial + text.decode(bytes, { stream: true })).split("\n")
      partial = lines.pop() ?? ""
      for (const each of lines) {
        const [attempt = -1, line = -1] = each.split(" ").map(Number)
        const { last } = reading
        const due = last === undefined
          ? reading.query.tailLines === undefined ? line === 0 : line >= 0
          : attempt === last.attempt && line === last.line + 1
        if (!due) {
          violated(`${reading.words} reads line ${JSON.stringify(each)} after ${JSON.stringify(last ?? "nothing")}`)
        }
        reading.last = { attempt, line }
        reading.lines += 1
      }
    }
  }

  const ended = (reading: Reading, exit: Exit.Exit<unknown, { readonly message: string }>) => {
    staying.delete(reading)
    if (reading.lines > 2) count("rule: lines come once and in order")
    if (!Exit.isSuccess(exit)) {
      const { message = "" } = Option.getOrElse(Cause.findErrorOption(exit.cause), () => ({ message: "" }))
      reading.error = message
      if (message.includes("has used up")) {
        refused(reading.known.device.name, message)
        return "for a budget"
      }
      if (calm && reading.lines > 0 && !reading.known.deleted) {
        violated(`${reading.words} ends with an error, and nothing was broken: ${message}`)
      }
      return "with an error"
    }
    if (calm && reading.lines > 0) count(`rule: ${calmRule}`)
    if (reading.last !== undefined && reading.query.follow && reading.last.line + 1 < printedBy(reading)) {
      violated(
        `${reading.words} ends in order after line ${reading.last.line}, and ${printedBy(reading)} were printed`
      )
    }
    judgeComplete(reading)
    return "in order"
  }

  const read = Effect.fnUntraced(function*(known: Known, dice: Dice, forGood = false) {
    const door = dice.pick(doors).open()
    if (door === undefined) {
      count("stream: nobody to ask")
      return
    }
    const follow = dice.chance() < 0.8 || forGood
    const stays = (follow && dice.chance() < 0.4) || forGood
    const query: PodLogQuery = {
      container: "main",
      follow,
      previous: false,
      timestamps: false,
      ...(dice.chance() < 0.3 ? { tailLines: dice.between(1, 6) } : {})
    }
    const words = `reader ${++numbers} of ${known.name}`
    const newest = newestOf(known)
    // One of which its device has not heard itself yet is not what is asked for.
    const run = newest?.id === told(known) ? newest : undefined
    const reading: Reading = {
      known,
      query,
      words,
      last: undefined,
      lines: 0,
      due: run && { run, lines: printed.get(`${known.uid}#${run.attempt}`) ?? 0 },
      since: yield* Clock.currentTimeMillis
    }
    if (stays) staying.add(reading)
    open.add(reading)
    yield* note(`${words} ${follow ? stays ? "stays" : "follows" : "looks"}`)
    const stream = door.backend.logs({ node: known.device.name, uid: known.uid }, query).pipe(
      Stream.runForEach((bytes) => Effect.sync(() => chunk(bytes))),
      Effect.exit,
      Effect.map((exit) => ended(reading, exit))
    )
    const chunk = take(reading)
    const left = follow
      ? Effect.as(stays ? Effect.never : Effect.sleep(dice.between(5_000, 120_000)), "by the reader")
      : Effect.sleep(answeredWithin).pipe(Effect.map(() => {
        violated(`${words} is not answered within ${answeredWithin}`)
        return "not"
      }))
    const fiber = yield* FiberSet.run(
      fibers,
      Effect.raceFirst(stream, left).pipe(
        Effect.onInterrupt(() => Effect.sync(() => void staying.delete(reading))),
        Effect.ensuring(Effect.sync(() => void open.delete(reading))),
        Effect.flatMap((how) => {
          count(`stream: ended ${how}`)
          if (!follow) count(`rule: ${answeredRule}`)
          return note(`${words} ends ${how} after ${reading.lines} lines`)
        })
      )
    )
    door.readers.add(fiber)
    fiber.addObserver(() => door.readers.delete(fiber))
  })

  /** Once all is well: whoever still reads is up to date with a process that goes on. */
  const judge = (now: number): void => {
    for (const { query, since, words } of open) {
      if (!query.follow && now - since > answeredInPeace) violated(`${words} has no answer`)
    }
    for (const reading of staying) {
      const { known, last, words } = reading
      count("rule: a stream goes on or ends")
      if (last === undefined ? !isRunning(known) : !isRunning(known, last.attempt)) {
        violated(`${words} has no end, and its container has`)
      } else if (printedBy(reading) - ((last?.line ?? -1) + 1) > underWay) {
        violated(`${words} neither ends nor goes on: ${printedBy(reading)} lines were printed, it got ${last?.line}`)
      }
    }
  }
  return {
    read,
    judge,
    open: () => open.size,
    /** Whoever still reads goes, before the world ends. */
    leave: FiberSet.clear(fibers),
    /** Who reads from this device now, and what becomes of it. */
    reading: (device: string) =>
      [...open].filter(({ known }) => known.device.name === device).map((reading) => ({
        words: reading.words,
        error: () => reading.error
      }))
  }
})

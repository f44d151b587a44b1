/** Commands in containers and connections to their ports while everything else happens: at most once, with an answer each. */
import { Cause, Clock, Effect, Exit, FiberSet, Option, type Scope, Stream } from "effect"
import type { RuntimeError } from "../../core/pod/ContainerRuntime.ts"
import type { PodStreamError } from "../../core/pod/PodRuntime.ts"
import { type Script, standardCommands } from "../fakes/runtime/Program.ts"
import type { Count } from "./coverage.ts"
import type { Dice } from "./faults/Dice.ts"
import { goesOn, isRunning, type Known, runsOf } from "./known.ts"
import { answeredInPeace, answeredRule, calmRule, type Door } from "./streams.ts"

type Failure = PodStreamError | RuntimeError

/** Whoever waits is answered within this beyond what the errand takes: a session lives no longer without its device. */
const answeredWithin = 600_000
/** What is left of a command whose container was killed. */
const killed = 137
const port = 80
export const peaceRule = "once all is well, what is asked for is done"

/** What ends a process ends what was under way in it first. */
const momentMillis = 1000

/** Says later whether a process had ended by then that might be asked: of its main container, or of whichever answers at its ports. */
const endSince = ({ device, uid }: Known, asked: "main" | "any") => {
  const then = runsOf(device).filter((run) => run.uid === uid && (asked === "any" || run.container === "main"))
  const ids = asked === "any" ? then.filter(goesOn).map(({ id }) => id) : then.slice(-1).map(({ id }) => id)
  return (at: number) =>
    ids.length === 0 ||
    runsOf(device).some(({ finishedAt = Infinity, id }) => ids.includes(id) && finishedAt <= at + momentMillis)
}

const textOf = (bytes: Uint8Array) => new TextDecoder().decode(bytes)
const bytesOf = (text: string) => new TextEncoder().encode(text)

export const makeErrands = Effect.fnUntraced(function*(
  doors: ReadonlyArray<Door>,
  { calm, count, note, refused, violated }: {
    /** Nothing is ever broken. */
    readonly calm: boolean
    readonly count: Count
    /** It was refused, or ended, because a budget is used up. */
    readonly refused: (device: string, sentence: string) => void
    readonly note: (what: string) => Effect.Effect<void>
    readonly violated: (what: string) => void
  }
) {
  const fibers = yield* FiberSet.make<void>()
  /** Who has no answer yet, and when it was to come if nothing was broken. */
  const open = new Map<string, number>()
  /** How often a device began each. */
  const begun = new Map<string, number>()
  /** What only the end of its container excuses, which comes after it. */
  const doubts: Array<() => string | undefined> = []
  let numbers = 0

  const begin = (number: string) => {
    const times = (begun.get(number) ?? 0) + 1
    begun.set(number, times)
    if (times > 1) violated(`errand ${number} is begun ${times} times`)
  }

  /** What containers do with an errand that reaches them. */
  const script: Pick<Script, "exec" | "listens"> = {
    exec: (command, surroundings) => {
      const [name, number = "", millis = "", code = ""] = command
      if (name !== "errand") return standardCommands(command, surroundings)
      begin(number)
      return surroundings.print(`errand ${number}`).pipe(
        Effect.andThen(Effect.sleep(Number(millis))),
        Effect.as(Number(code))
      )
    },
    listens: {
      [port]: ({ read, write }) =>
        Stream.runForEach(read, (bytes) => {
          begin(textOf(bytes))
          return write(`errand ${textOf(bytes)}`)
        })
    }
  }

  /** Sends somebody, who is answered in the end; `right` says what is wrong with an answer. */
  const send = Effect.fnUntraced(function*<A>(
    errand: {
      readonly what: string
      readonly known: Known
      readonly takes: number
      readonly once: boolean
      /** The container that is asked. */
      readonly asks: "main" | "any"
      /** Whom it asks, where nothing is broken any more; anybody otherwise. */
      readonly at?: Door | undefined
    },
    dice: Dice,
    go: (
      backend: NonNullable<ReturnType<Door["open"]>>["backend"],
      number: string
    ) => Effect.Effect<A, Failure, Scope.Scope>,
    wrong: (answer: A, number: string, begun: boolean) => string | undefined,
    /** Whether it is what is left where the container ends meanwhile. */
    cut: (answer: A) => boolean
  ) {
    const door = (errand.at ?? dice.pick(doors)).open()
    if (door === undefined) {
      if (errand.at !== undefined) violated(`nobody is there to be asked for ${errand.what} ${errand.known.name}`)
      count("errand: nobody to ask")
      return
    }
    const number = String(++numbers)
    const { known } = errand
    const words = `errand ${number}, ${errand.what} ${known.name},`
    const edits = known.edits
    const here = isRunning(known)
    const hasEnded = endSince(known, errand.asks)
    yield* note(`${words} sets out`)
    const answered = (exit: Exit.Exit<A, Failure>, at: number): string => {
      const times = begun.get(number) ?? 0
      if (times > 0) count("rule: what is asked for is done at most once")
      if (Exit.isSuccess(exit)) {
        count("rule: an outcome is the real one")
        if (calm) count(`rule: ${calmRule}`)
        if (errand.at !== undefined) count(`rule: ${peaceRule}`)
        const what = wrong(exit.value, number, times > 0)
        if (what !== undefined) {
          const sentence = `${words} ${what}, as it is told`
          if (cut(exit.value)) doubts.push(() => hasEnded(at) ? undefined : sentence)
          else violated(sentence)
        }
        return "answered"
      }
      const { message = "", reason } = Option.getOrUndefined(Cause.findErrorOption(exit.cause)) ?? {}
      if (message.includes("has used up")) refused(known.device.name, message)
      if (
        (calm || errand.at !== undefined) && here && isRunning(known) && !known.deleted && known.edits === edits &&
        !message.includes("has used up")
      ) violated(`${words} ends with an error, and nothing is broken: ${message}`)
      if (times === 0) return "refused"
      if (errand.once) {
        count("rule: what may have been done is not said to have failed")
        if (reason !== "OutcomeUnknown") violated(`${words} has begun, and is said to have failed: ${reason}`)
      }
      return "of unknown outcome"
    }
    const late = Effect.sync(() => {
      violated(`${words} is not answered in time`)
      return "not answered"
    })
    open.set(words, (yield* Clock.currentTimeMillis) + errand.takes)
    const fiber = yield* FiberSet.run(
      fibers,
      Effect.raceFirst(
        Effect.flatMap(
          Effect.exit(Effect.scoped(go(door.backend, number))),
          (exit) => Effect.map(Clock.currentTimeMillis, (at) => answered(exit, at))
        ),
        Effect.delay(late, answeredWithin + errand.takes)
      ).pipe(
        Effect.ensuring(Effect.sync(() => void open.delete(words))),
        Effect.flatMap((how) => {
          count(`errand: ${how}`)
          count(`rule: ${answeredRule}`)
          return note(`${words} is ${how}`)
        })
      )
    )
    door.readers.add(fiber)
    fiber.addObserver(() => door.readers.delete(fiber))
  })

  const gathered = Effect.fnUntraced(function*<E>(bytes: Stream.Stream<Uint8Array, E>) {
    let text = ""
    yield* Stream.runForEach(bytes, (piece) =>
      Effect.sync(() => {
        text += textOf(piece)
      }))
    return text
  })

  const run = (known: Known, dice: Dice, at?: Door) => {
    const takes = dice.between(0, at === undefined ? 30_000 : 1000)
    const code = dice.between(0, 255)
    return send(
      { what: "a command in", known, takes, once: true, asks: "main", at },
      dice,
      Effect.fnUntraced(function*(backend, number) {
        const command = ["errand", number, String(takes), String(code)]
        const process = yield* backend.exec({ node: known.device.name, uid: known.uid }, "main", {
          command,
          stdin: false,
          stdout: true,
          stderr: false,
          tty: false
        })
        const text = yield* gathered(Stream.map(process.output, ({ bytes }) => bytes))
        return { text, code: yield* process.exitCode }
      }),
      (answer, number, begun) => {
        if (!begun) return "was never begun"
        if (answer.code !== code) return `exited with ${answer.code} instead of ${code}`
        return answer.text === `errand ${number}` ? undefined : `said ${JSON.stringify(answer.text)}`
      },
      ({ code }) => code === killed
    )
  }

  const forward = (known: Known, dice: Dice, at?: Door) =>
    send(
      { what: "a connection to", known, takes: 0, once: false, asks: "any", at },
      dice,
      Effect.fnUntraced(function*(backend, number) {
        const duplex = yield* backend.dial({ node: known.device.name, uid: known.uid }, port)
        yield* duplex.write(bytesOf(number))
        yield* duplex.end
        return yield* gathered(duplex.read)
      }),
      // A pod that dies ends its connections in order, as TCP does.
      (answer, number) => answer === `errand ${number}` ? undefined : `said ${JSON.stringify(answer)}`,
      (answer) => answer === ""
    )

  /** Once all has been well for a while: nobody waits any more for what should have come by then. */
  const judge = (now: number): void => {
    for (const [words, due] of open) if (now - due > answeredInPeace) violated(`${words} has no answer`)
    for (const doubt of doubts) {
      const what = doubt()
      if (what !== undefined) violated(what)
    }
  }

  /** Once all is well: a command and a connection to a pod, at the operator that has its device. */
  const demand = (known: Known, dice: Dice, at: Door) => Effect.andThen(run(known, dice, at), forward(known, dice, at))

  return { script, run, forward, demand, judge }
})

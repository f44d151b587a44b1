/** What the programs write into their logs: warnings join the story, and what should never be written is a violation. */
import { Cause, Effect, Logger, References } from "effect"

/** Words that are an error by themselves, whatever level they are written at. */
const neverWritten = ["broke the protocol", "A handler of the link failed"]

/** Errors that are to be expected under a fault of their own. */
const excused: ReadonlyArray<{ readonly words: string; readonly faults: ReadonlyArray<string> }> = []

export interface ProgramLogs {
  /** By the program that wrote it. */
  readonly tell: (actor: string, text: string) => void
  /** Everything from `Info` on, also what is not told. */
  readonly heard: (actor: string, text: string) => void
  readonly violated: (what: string) => void
  readonly count: (what: string) => void
  /** Deeds that are part of this storm. */
  readonly deeds: ReadonlySet<string>
  /** Whether to show them as they are written, too. */
  readonly shown: boolean
}

/** Listens to all that is logged in the effect. */
export const listening = ({ count, deeds, heard, shown, tell, violated }: ProgramLogs) => {
  const logger = Logger.make<unknown, void>(({ cause, fiber, logLevel, message }) => {
    const words = (Array.isArray(message) ? message : [message]).map(String).join(" ")
    const never = neverWritten.some((each) => words.includes(each))
    const actor = String(fiber.getRef(References.CurrentLogAnnotations)["program"] ?? "log")
    count("rule: no errors are logged")
    heard(actor, words)
    if (!never && logLevel !== "Warn" && logLevel !== "Error" && logLevel !== "Fatal") return
    const text = `${words}${cause.reasons.length === 0 ? "" : ` ${Cause.pretty(cause).split("\n")[0]}`}`
    tell(actor, `logs ${logLevel}: ${text}`)
    if (!never && logLevel === "Warn") return
    if (excused.some((each) => words.includes(each.words) && each.faults.some((fault) => deeds.has(fault)))) return
    violated(`${actor} logs: ${text}`)
  })
  return <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    effect.pipe(
      Effect.provide(Logger.layer([logger], { mergeWithExisting: shown })),
      Effect.provideService(References.MinimumLogLevel, shown ? "Debug" : "Info")
    )
}

/** Who asks what a device uses while everything else happens: answered in time, and with nothing new where nothing may be spent on it. */
import { Effect, Exit, Fiber, FiberSet, Option } from "effect"
import type { Count } from "./coverage.ts"
import type { Dice } from "./faults/Dice.ts"
import type { Door } from "./streams.ts"
import type { SimulatedDevice } from "./World.ts"

export const scrapeRules = [
  "whoever scrapes is answered in time",
  "a device that may be measured is",
  "what may not be spent on metrics is not"
]

/** A device is measured no more often than this. */
export const minInterval = "20 seconds"
/** An operator waits for its device for 30 s; clocks that are slow or fast are so by less than the rest. */
const answeredWithin = "45 seconds"

export const makeScrapes = Effect.fnUntraced(function*(
  doors: ReadonlyArray<Door>,
  { budgetOf, count, note, refused, violated }: {
    /** Bytes that the owner grants metrics in a day; undefined without end. */
    readonly budgetOf: (device: string) => number | undefined
    readonly count: Count
    readonly note: (what: string) => Effect.Effect<void>
    /** It was refused because a budget is used up. */
    readonly refused: (device: string, sentence: string) => void
    readonly violated: (what: string) => void
  }
) {
  const fibers = yield* FiberSet.make<void>()
  let numbers = 0

  /** Sends somebody; `judge` is told the words for a failure, undefined for none. */
  const send = Effect.fnUntraced(function*(
    { name }: SimulatedDevice,
    door: Door,
    judge: (words: string, failure: string | undefined) => void
  ) {
    const open = door.open()
    if (open === undefined) {
      count("scrape: nobody to ask")
      return undefined
    }
    const words = `scrape ${++numbers} of ${name}`
    yield* note(`${words} sets out`)
    const answered = (exit: Exit.Exit<unknown, { readonly message: string }>): string => {
      count("rule: whoever scrapes is answered in time")
      if (Exit.isSuccess(exit) && exit.value === undefined) return "not known here"
      const failure = Option.getOrUndefined(Exit.findErrorOption(exit))?.message
      if (failure?.includes("has used up") === true) refused(name, failure)
      judge(words, failure)
      return failure === undefined ? "answered" : "refused"
    }
    const late = Effect.sync(() => {
      violated(`${words} is not answered within ${answeredWithin}`)
      return "not answered"
    })
    const fiber = yield* FiberSet.run(
      fibers,
      open.backend.summary(name, { onlyCpuAndMemory: false }).pipe(
        Effect.exit,
        Effect.map(answered),
        Effect.raceFirst(Effect.delay(late, answeredWithin)),
        Effect.flatMap((how) => {
          count(`scrape: ${how}`)
          return note(`${words} is ${how}`)
        })
      )
    )
    open.readers.add(fiber)
    fiber.addObserver(() => open.readers.delete(fiber))
    return fiber
  })

  return {
    scrape: (device: SimulatedDevice, dice: Dice) => Effect.asVoid(send(device, dice.pick(doors), () => {})),
    /** Once all is well, at the operator that has the device. */
    demand: Effect.fnUntraced(function*(device: SimulatedDevice, door: Door) {
      const budget = budgetOf(device.name)
      const before = yield* device.host.measured
      const fiber = yield* send(device, door, (words, failure) => {
        if (budget !== undefined) return
        count("rule: a device that may be measured is")
        if (failure !== undefined) violated(`${words} ends with an error, and nothing is broken: ${failure}`)
      })
      if (fiber === undefined) return
      yield* Fiber.await(fiber)
      if (budget !== 0) return
      count("rule: what may not be spent on metrics is not")
      if ((yield* device.host.measured) > before) violated(`${device.name} is measured, and nothing may be spent on it`)
    })
  }
})

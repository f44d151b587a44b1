/** One input against a server's side in memory: shown, hung up on, and waited for. */
import { Cause, Effect, Exit, Fiber, type Scope } from "effect"
import type { Dice } from "./Dice.ts"
import { type Finding, finding, mostWait } from "./FuzzedLayer.ts"
import { cut } from "./mutate.ts"
import type { Wire } from "./wire.ts"

/** What the server's side says of its end; a defect in it is a finding, and so is going on when its client is gone. */
export const serve = Effect.fnUntraced(function*(
  dice: Dice,
  input: Buffer,
  wire: Wire,
  server: Effect.Effect<string, { readonly message: string }, Scope.Scope>
): Effect.fn.Return<string, Finding> {
  // Not a child: one that hangs would be waited for.
  const fiber = yield* Effect.forkDetach(Effect.exit(Effect.scoped(server)), { startImmediately: true })
  yield* wire.say(cut(dice, input))
  yield* wire.hangUp(dice.chance(0.7))
  const exit = yield* Fiber.join(fiber).pipe(
    Effect.timeoutOrElse({
      duration: mostWait,
      orElse: () => Effect.fail(finding(`it went on for ${mostWait} after its client had hung up`, input))
    }),
    Effect.ensuring(Effect.sync(() => wire.far.destroy()))
  )
  if (Exit.isSuccess(exit)) return exit.value
  const error = Cause.findErrorOption(exit.cause)
  if (error._tag === "None") return yield* finding(`it crashed: ${Cause.pretty(exit.cause)}`, input)
  // Numbers and names of the input would make every end one of its own.
  return error.value.message.replace(/\d+/gu, "N").replace(/(of type|for port) .*/u, "$1 ...").slice(0, 60)
})

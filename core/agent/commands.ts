/** What the device does when its operator asks for something; each answer comes after the journal has it. */
import { Effect } from "effect"
import type { Handlers } from "../link/Session.ts"
import { PodRuntime } from "../pod/PodRuntime.ts"
import { type Command, decodeCommand } from "../wire/Command.ts"
import { encodeReply, failureOf, type Reply } from "../wire/Reply.ts"
import type { KeepLeash } from "./keepLeash.ts"
import { measuring } from "./measuring.ts"
import { Outbox } from "./Outbox.ts"
import type { Retirement } from "./retire.ts"

const done: Reply = { _tag: "Done" }

const retiring: Reply = { _tag: "Failure", code: "Unavailable", detail: "the device is being wiped" }

const notHeld = (uid: string): Reply => ({ _tag: "Failure", code: "NotFound", detail: `there is no pod ${uid}` })

export const commands = Effect.fnUntraced(function*(
  leash: Pick<KeepLeash, "allow">,
  /** Has the host told of again. */
  tellNode: Effect.Effect<void>,
  retirement: Retirement
) {
  const runtime = yield* PodRuntime
  const outbox = yield* Outbox
  const measure = yield* measuring

  /** Goes with its pod, whatever interrupts who asked: nobody asks again for a pod that is not held any more. */
  const forgetReport = (uid: string) =>
    Effect.flatMap(runtime.held, (held) => held.some((pod) => pod.uid === uid) ? Effect.void : outbox.forget(uid))

  const obey = Effect.fnUntraced(function*(command: Command): Effect.fn.Return<Reply> {
    switch (command._tag) {
      case "AssignPod":
        return yield* retirement.unlessRetiring(
          Effect.map(runtime.ensure(command.assignment), (held) => held ? done : notHeld(command.assignment.uid)),
          retiring
        )
      case "RemovePod":
        return (yield* runtime.remove(command.uid, command.graceSeconds)) ? done : notHeld(command.uid)
      case "ForgetPod":
        yield* Effect.ensuring(runtime.forget(command.uid), forgetReport(command.uid))
        return done
      case "ListHeld": {
        // Whoever asks knows nothing for sure: it hears every report again.
        const pods = (yield* runtime.held).map((pod) => ({ ...pod, reportNumber: outbox.newest(pod.uid) }))
        yield* outbox.repeatAll
        return { _tag: "Held", pods }
      }
      case "Configure": {
        const { clusterDNS, clusterDomain, hostIPs, stopWorkloadsAfter } = command.settings
        if (clusterDNS.length + clusterDomain.length + hostIPs.length > 0) {
          return {
            _tag: "Failure",
            code: "Unsupported",
            detail: "this agent takes no addresses and no name servers from its operator"
          }
        }
        // What is said to be allowed stays so over a wipe that is under way.
        return yield* retirement.unlessRetiring(
          leash.allow(stopWorkloadsAfter).pipe(
            Effect.as(done),
            Effect.catch(({ message }) =>
              Effect.succeed<Reply>({ _tag: "Failure", code: "Unavailable", detail: message })
            )
          ),
          retiring
        )
      }
      case "TellNode":
        return yield* Effect.as(tellNode, done)
      case "Wipe":
        yield* retirement.run
        return done
      case "Tokens":
        yield* runtime.rotate(command.uid, command.volume, command.files)
        return done
      case "Measure":
        return yield* measure(command.base)
    }
  })

  const onRequest: Handlers["onRequest"] = Effect.fnUntraced(function*(message) {
    const reply = yield* decodeCommand(message).pipe(
      Effect.flatMap(obey),
      Effect.catch((error) => Effect.succeed(failureOf(error)))
    )
    // A reply of ours that does not fit its own limits is a bug.
    return yield* Effect.orDie(encodeReply(reply))
  })
  return onRequest
})

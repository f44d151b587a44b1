/** What the device does when its operator asks for something; each answer comes after the journal has it. */
import { Effect } from "effect"
import type { Handlers } from "../link/Session.ts"
import { PodRuntime } from "../pod/PodRuntime.ts"
import { type Command, decodeCommand } from "../wire/Command.ts"
import { encodeReply, failureOf, type Reply } from "../wire/Reply.ts"
import { forgetPod } from "./forgetPod.ts"
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
        yield* forgetPod(runtime, outbox, command.uid)
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
        return yield* leash.allow(stopWorkloadsAfter).pipe(
          Effect.as(done),
          Effect.catch(({ message }) =>
            Effect.succeed<Reply>({ _tag: "Failure", code: "Unavailable", detail: message })
          )
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

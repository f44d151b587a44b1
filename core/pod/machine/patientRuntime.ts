/** The engine with limited patience: a call that is not answered in time counts as `Unavailable`; a command may have begun. */
import { Duration, Effect } from "effect"
import { type ContainerRuntime, RuntimeError } from "../ContainerRuntime.ts"

/** Pulls are not limited: on a thin link an image takes as long as it takes, and a deletion interrupts it. */
export const patientRuntime = (
  runtime: ContainerRuntime["Service"],
  limitMillis: number
): ContainerRuntime["Service"] => {
  const within =
    (millis: number, what: string, reason: RuntimeError["reason"] = "Unavailable") =>
    <A, R>(call: Effect.Effect<A, RuntimeError, R>) =>
      Effect.timeoutOrElse(call, {
        duration: Duration.millis(millis),
        orElse: () =>
          Effect.fail(
            new RuntimeError({ reason, detail: `the engine did not answer ${what} within ${millis / 1000} s` })
          )
      })
  const short = (what: string, reason?: RuntimeError["reason"]) => within(limitMillis, what, reason)
  return {
    ...runtime,
    info: short("info")(runtime.info),
    image: (reference) => short("image")(runtime.image(reference)),
    ensureSandbox: (spec) => short("ensureSandbox")(runtime.ensureSandbox(spec)),
    sandboxes: (uid) => short("sandboxes")(runtime.sandboxes(uid)),
    removeSandbox: (id) => short("removeSandbox")(runtime.removeSandbox(id)),
    create: (spec) => short("create")(runtime.create(spec)),
    start: (id) => short("start")(runtime.start(id)),
    stop: (id, graceSeconds) => within(limitMillis + graceSeconds * 1000, "stop")(runtime.stop(id, graceSeconds)),
    remove: (id) => short("remove")(runtime.remove(id)),
    inspect: (id) => short("inspect")(runtime.inspect(id)),
    containers: (uid) => short("containers")(runtime.containers(uid)),
    exec: (id, spec) => short("exec", "OutcomeUnknown")(runtime.exec(id, spec)),
    attach: (id, spec) => short("attach")(runtime.attach(id, spec)),
    dial: (id, port) => short("dial")(runtime.dial(id, port)),
    usage: short("usage")(runtime.usage)
  }
}

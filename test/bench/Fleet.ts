/** The bench's end of the fleet process; it ends with the scope. */
import { Deferred, Effect, Schema } from "effect"
import { type ChildProcess, fork } from "node:child_process"
import { fileURLToPath } from "node:url"
import type { Answered, FleetAnswers, FleetRequest } from "./FleetMessage.ts"

export class FleetFailed extends Schema.TaggedError<FleetFailed>()("FleetFailed", { detail: Schema.String }) {
  override get message() {
    return `the fleet: ${this.detail}`
  }
}

const program = fileURLToPath(new URL("./fleetProcess.ts", import.meta.url))

export interface Fleet {
  readonly pid: number
  readonly ask: <R extends FleetRequest>(request: R) => Effect.Effect<FleetAnswers[R["op"]], FleetFailed>
}

/** `enter` is what a command is prefixed with to run where the fleet shall be. */
export const startFleetAt = Effect.fnUntraced(function*(enter: ReadonlyArray<string>) {
  const waiting = new Map<number, Deferred.Deferred<unknown, FleetFailed>>()
  const ready = yield* Deferred.make<unknown, FleetFailed>()
  waiting.set(0, ready)
  let last = 0
  const child: ChildProcess = yield* Effect.acquireRelease(
    Effect.sync(() => {
      const [execPath = process.execPath, ...execArgv] = [...enter, process.execPath]
      return fork(program, [], { stdio: ["ignore", "inherit", "inherit", "ipc"], execPath, execArgv })
    }),
    (child) =>
      Effect.callback<void>((resume) => {
        if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
        child.once("exit", () => resume(Effect.void))
        child.kill("SIGKILL")
      })
  )
  child.on("message", (answered: Answered) => {
    const one = waiting.get(answered.id)
    waiting.delete(answered.id)
    if (one === undefined) return
    Deferred.doneUnsafe(
      one,
      "problem" in answered
        ? Effect.fail(new FleetFailed({ detail: answered.problem }))
        : Effect.succeed(answered.value)
    )
  })
  child.once("exit", () => {
    for (const one of waiting.values()) {
      Deferred.doneUnsafe(one, Effect.fail(new FleetFailed({ detail: "its process ended" })))
    }
  })
  yield* Deferred.await(ready)
  const ask: Fleet["ask"] = <R extends FleetRequest>(request: R) =>
    Effect.gen(function*() {
      const id = ++last
      const answer = yield* Deferred.make<unknown, FleetFailed>()
      waiting.set(id, answer)
      child.send({ ...request, id })
      return (yield* Deferred.await(answer)) as FleetAnswers[R["op"]]
    }).pipe(
      Effect.timeoutOrElse({
        duration: "5 minutes",
        orElse: () => Effect.fail(new FleetFailed({ detail: `no answer to ${request.op}` }))
      })
    )
  return { pid: child.pid ?? 0, ask } satisfies Fleet
})

export const startFleet = startFleetAt([])

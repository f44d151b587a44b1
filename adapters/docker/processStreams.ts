/** Talks to a process in a container: commands run inside, and the container's own process. */
import { Duration, Effect, type Exit, Schedule, Stream } from "effect"
import { type ExecSpec, type Output, type ProcessStreams, RuntimeError } from "../../core/pod/ContainerRuntime.ts"
import { Created, ExecState, Inspected } from "./answers.ts"
import { openConnection } from "./connection.ts"
import { type DockerCall, type DockerClient, unavailable } from "./DockerClient.ts"
import { endExecSession } from "./execSession.ts"
import { makeDemultiplexer } from "./multiplex.ts"

/** How long docker may take to know an exit code after the output ended. */
const EXIT_CODE_WITHIN = Duration.seconds(10)

/**
 * At a terminal docker keeps back what may become the keys that detach, and it cannot be told that there are none: without these they
 * are Ctrl-P, Ctrl-Q. Nobody types these, and their first one is rare; it arrives with the key after it.
 */
const DETACH_KEYS = "ctrl-^,ctrl-_,ctrl-^,ctrl-_,ctrl-@"

/** It may have begun it all the same. */
const withoutAnswer = (detail: string) =>
  new RuntimeError({ reason: "OutcomeUnknown", detail: `${detail}: whether the command was begun is not known` })

const flag = (value: boolean): string => (value ? "1" : "0")

export const makeProcesses = (client: DockerClient) => {
  /** Takes the connection over; `lost` is said where docker does not answer. */
  const hijack = Effect.fnUntraced(function*(call: DockerCall, lost: (detail: string) => RuntimeError = unavailable) {
    const response = yield* Effect.mapError(
      client.open({ ...call, upgrade: true }),
      (error) => error.reason === "Unavailable" ? lost(error.message) : error
    )
    if (response.status !== 101) return yield* yield* client.refusal(response)
    const socket = yield* Effect.mapError(response.upgrade, (error) => lost(error.message))
    return yield* openConnection(socket)
  })

  const outputOf = (
    read: Stream.Stream<Uint8Array, RuntimeError>,
    tty: boolean
  ): Stream.Stream<Output, RuntimeError> => {
    if (tty) return Stream.map(read, (bytes) => ({ stream: "stdout", bytes }))
    return Stream.suspend(() => {
      const demultiplex = makeDemultiplexer()
      return read.pipe(
        Stream.mapEffect((bytes) =>
          Effect.try({ try: () => demultiplex(bytes), catch: (error) => unavailable(String(error)) })
        ),
        Stream.flattenIterable
      )
    })
  }

  const resized = (path: string) => ({ height, width }: { readonly width: number; readonly height: number }) =>
    Effect.flatMap(
      client.call({ method: "POST", path, query: { h: `${height}`, w: `${width}` } }),
      // A process that has just ended has no terminal any more.
      (answer) => answer.status >= 500 ? Effect.fail(unavailable(answer.words)) : Effect.void
    )

  const settled = <A>(ask: Effect.Effect<A | undefined, RuntimeError>) =>
    ask.pipe(
      Effect.repeat({ until: (answer) => answer !== undefined, schedule: Schedule.spaced("20 millis") }),
      Effect.timeoutOrElse({
        duration: EXIT_CODE_WITHIN,
        orElse: () => Effect.fail(unavailable("docker does not tell how the process ended"))
      }),
      Effect.map((answer) => answer as A)
    )

  const execState = (execId: string) => client.get({ method: "GET", path: `/exec/${execId}/json` }, ExecState)

  /** Where the engine lives elsewhere, so that its processes cannot be seen, the end of input has to do. */
  const killExec = (execId: string, containerId: string) =>
    Effect.flatMap(
      execState(execId),
      ({ Pid, Running }) => Running && Pid !== undefined && Pid > 1 ? endExecSession(Pid, containerId) : Effect.void
    )

  const exec = Effect.fnUntraced(function*(id: string, spec: ExecSpec) {
    const created = yield* client.get({
      method: "POST",
      path: `/containers/${encodeURIComponent(id)}/exec`,
      json: {
        AttachStdin: spec.stdin,
        AttachStdout: spec.stdout,
        AttachStderr: spec.stderr,
        Tty: spec.tty,
        DetachKeys: DETACH_KEYS,
        Cmd: spec.command
      }
    }, Created)
    yield* Effect.addFinalizer((_exit: Exit.Exit<unknown, unknown>) =>
      Effect.ignore(Effect.timeout(killExec(created.Id, id), "5 seconds"))
    )
    const taken = yield* Effect.result(hijack({
      method: "POST",
      path: `/exec/${created.Id}/start`,
      json: { Detach: false, Tty: spec.tty }
    }, withoutAnswer))
    if (taken._tag === "Failure") {
      const code = unableToRun(taken.failure.detail)
      return code === undefined ? yield* taken.failure : ended(code, taken.failure.detail, spec)
    }
    const { end, read, write } = taken.success
    const streams: ProcessStreams = {
      stdin: (bytes) => (spec.stdin ? write(bytes) : Effect.void),
      endStdin: spec.stdin ? end : Effect.void,
      resize: resized(`/exec/${created.Id}/resize`),
      output: outputOf(read, spec.tty),
      exitCode: settled(
        Effect.map(execState(created.Id), ({ ExitCode, Running }) => (Running ? undefined : ExitCode ?? undefined))
      )
    }
    return streams
  })

  const attach = Effect.fnUntraced(function*(id: string, spec: Omit<ExecSpec, "command">) {
    const path = `/containers/${encodeURIComponent(id)}`
    const inspect = client.get({ method: "GET", path: `${path}/json` }, Inspected)
    const { Config, State } = yield* inspect
    // Where the container's input outlives its clients, docker would end the output with the input of this one.
    const endsInput = spec.stdin && Config.StdinOnce === true
    if (!State.Running) return yield* new RuntimeError({ reason: "Invalid", detail: `container ${id} is not running` })
    const tty = Config.Tty ?? false
    const { end, read, write } = yield* hijack({
      method: "POST",
      path: `${path}/attach`,
      query: {
        stream: "1",
        stdin: flag(spec.stdin),
        stdout: flag(spec.stdout),
        stderr: flag(spec.stderr),
        detachKeys: DETACH_KEYS
      }
    })
    const streams: ProcessStreams = {
      stdin: (bytes) => (spec.stdin ? write(bytes) : Effect.void),
      endStdin: endsInput ? end : Effect.void,
      resize: resized(`${path}/resize`),
      output: outputOf(read, tty),
      exitCode: settled(Effect.map(inspect, ({ State }) => (State.Running ? undefined : State.ExitCode)))
    }
    return streams
  })

  return { exec, attach }
}

/** Newer engines refuse a command that is not there, older ones write the same words as its output and say 126 or 127. */
const unableToRun = (words: string): number | undefined => {
  if (!/OCI runtime exec failed|exec failed|executable file not found/i.test(words)) return undefined
  return /not found|no such file/i.test(words) ? 127 : 126
}

const ended = (code: number, words: string, spec: ExecSpec): ProcessStreams => ({
  stdin: () => Effect.void,
  endStdin: Effect.void,
  resize: () => Effect.void,
  output: spec.stderr && !spec.tty
    ? Stream.succeed<Output>({ stream: "stderr", bytes: new TextEncoder().encode(`${words}\n`) })
    : Stream.succeed<Output>({ stream: "stdout", bytes: new TextEncoder().encode(`${words}\r\n`) }),
  exitCode: Effect.succeed(code)
})

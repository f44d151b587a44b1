/** Docker's events about our containers, for ever: a broken connection is made again with growing patience. */
import { Duration, Effect, Option, Random, Schedule, Schema, Stream } from "effect"
import type { RuntimeEvent } from "../../core/pod/ContainerRuntime.ts"
import { EngineEvent } from "./answers.ts"
import { LABEL, SANDBOX } from "./containerBody.ts"
import { type DockerClient, unavailable } from "./DockerClient.ts"

const MOST_LINE = 256 * 1024
const FIRST_PAUSE = Duration.millis(200)
const LONGEST_PAUSE = Duration.seconds(30)

const KINDS: Readonly<Record<string, RuntimeEvent["kind"]>> = {
  start: "started",
  die: "exited",
  oom: "oom",
  destroy: "removed"
}

const eventOf = (line: string): Option.Option<RuntimeEvent> =>
  Schema.decodeUnknownOption(EngineEvent)(line).pipe(Option.flatMap(({ Action, Actor }) => {
    const attributes = Actor?.Attributes ?? {}
    const kind = KINDS[Action ?? ""]
    const uid = attributes[LABEL.uid]
    if (kind === undefined || uid === undefined || Actor === undefined) return Option.none()
    if (attributes[LABEL.container] === SANDBOX && kind !== "exited") return Option.none()
    return Option.some({ uid, containerId: Actor.ID, kind })
  }))

export const makeEvents = (client: DockerClient, device: string): Stream.Stream<RuntimeEvent> => {
  const filters = JSON.stringify({
    type: ["container"],
    event: Object.keys(KINDS),
    label: [`${LABEL.device}=${device}`, LABEL.uid]
  })
  const once = Stream.unwrap(Effect.gen(function*() {
    const response = yield* client.open({ method: "GET", path: "/events", query: { filters } })
    if (response.status !== 200) return yield* yield* client.refusal(response)
    let length = 0
    return response.stream.pipe(
      Stream.tap((bytes) => {
        const newline = bytes.lastIndexOf(10)
        length = newline < 0 ? length + bytes.length : bytes.length - newline
        return length > MOST_LINE ? Effect.fail(unavailable("docker sent an event that never ends")) : Effect.void
      }),
      Stream.decodeText,
      Stream.splitLines,
      Stream.map(eventOf),
      Stream.filter(Option.isSome),
      Stream.map(({ value }) => value)
    )
  }))
  return Stream.suspend(() => {
    let failures = 0
    return once.pipe(
      Stream.tap(() =>
        Effect.sync(() => {
          failures = 0
        })
      ),
      // An end without an error is an engine that shuts down.
      Stream.catchCause((cause) => Stream.fromEffectDrain(Effect.logDebug("docker's events broke off", cause))),
      Stream.concat(Stream.fromEffectDrain(Effect.suspend(() => {
        const most = Math.min(
          Duration.toMillis(LONGEST_PAUSE),
          Duration.toMillis(FIRST_PAUSE) * 2 ** Math.min(failures++, 20)
        )
        return Effect.flatMap(Random.nextBetween(most / 2, most), Effect.sleep)
      }))),
      Stream.repeat(Schedule.forever)
    )
  })
}

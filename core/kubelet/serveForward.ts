/** Joins each connection of a port-forward's client with a port of the pod, until the client leaves. */
import { Effect, FiberSet, type Scope, Stream } from "effect"
import type { Duplex, RuntimeError } from "../pod/ContainerRuntime.ts"
import type { PodStreamError } from "../pod/PodRuntime.ts"
import type { ForwardClient, ForwardedConnection } from "./RemoteClient.ts"

type Dial = (port: number) => Effect.Effect<Duplex, PodStreamError | RuntimeError, Scope.Scope>

/** A client that has gone may take nothing any more. */
const farewell = "1 second"

/** The pod's side decides when it is over: its client may close its own half long before. One that is reset is over at once. */
const serveConnection = Effect.fnUntraced(
  function*(dial: Dial, connection: ForwardedConnection) {
    const duplex = yield* dial(connection.port)
    const input = connection.input.pipe(
      Stream.runForEach(duplex.write),
      Effect.andThen(duplex.end),
      // Where the pod is lost with it, reading says so.
      Effect.catchTag(
        "RuntimeError",
        (error) => Effect.logDebug(`the input of a forwarded connection ended: ${error.message}`)
      ),
      Effect.andThen(Effect.never)
    )
    yield* Effect.raceFirst(Stream.runForEach(duplex.read, connection.send), input)
    yield* connection.end
  },
  Effect.scoped
)

/** `who` names the pod in what the client is told. */
export const serveForward = (who: string, dial: Dial, client: ForwardClient): Effect.Effect<void> =>
  Effect.gen(function*() {
    const fibers = yield* FiberSet.make<void>()
    yield* Stream.runForEach(client.connections, (connection) => {
      const told = (error: PodStreamError | RuntimeError) =>
        connection.fail(`error forwarding port ${connection.port} to ${who}: ${error.message}`)
      return serveConnection(dial, connection).pipe(
        Effect.catchTags({ PodStreamError: told, RuntimeError: told }),
        // kubectl waits for the end of what it reset, and what never ends takes the room of others.
        Effect.catchTag("ClientGone", () => Effect.ignore(Effect.timeoutOption(connection.end, farewell))),
        FiberSet.run(fibers)
      )
    })
  }).pipe(
    Effect.catchTag("ClientGone", (error) => Effect.logDebug(`port-forward ended: ${error.message}`)),
    Effect.scoped
  )

/** The newest dead run of each container stays, for its logs; older ones go. */
import { Effect } from "effect"
import type { Container } from "../ContainerRuntime.ts"
import { stateOf, type Workbench } from "./Workbench.ts"

export const collectGarbage = Effect.fnUntraced(
  function*(
    bench: Workbench,
    containers: ReadonlyArray<Container>
  ) {
    const records = (yield* stateOf(bench)).containers
    /** One that could not be started stays as it was created; what comes after it is its end. */
    const isDead = ({ attempt, container, state }: Container) =>
      state === "exited" || (state === "created" && attempt < (records.get(container)?.attempt ?? 0))
    const dead = containers.filter(isDead)
    for (const { attempt, container, id } of dead) {
      bench.stopped.delete(id)
      const newer = dead.some((other) => other.container === container && other.attempt > attempt)
      if (newer) yield* bench.runtime.remove(id)
    }
  }
)

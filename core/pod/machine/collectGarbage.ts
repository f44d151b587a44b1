/** The newest dead run of each container stays, for its logs; older ones go. */
import { Effect } from "effect"
import type { Container } from "../ContainerRuntime.ts"
import type { Workbench } from "./Workbench.ts"

export const collectGarbage = Effect.fnUntraced(
  function*(
    bench: Workbench,
    containers: ReadonlyArray<Container>
  ) {
    for (const dead of containers.filter(({ state }) => state === "exited")) {
      bench.stopped.delete(dead.id)
      const newer = containers.some(({ attempt, container, state }) =>
        container === dead.container && attempt > dead.attempt && state === "exited"
      )
      if (newer) yield* bench.runtime.remove(dead.id)
    }
  }
)

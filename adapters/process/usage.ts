/** What containers use: by their control groups, or by the sessions of their processes where there are none. */
import { Clock, Effect } from "effect"
import type { Container, RuntimeError, Usage } from "../../core/pod/ContainerRuntime.ts"
import type { Cgroups } from "./cgroups.ts"
import type { Life } from "./containerFolder.ts"
import { sessionUsage } from "./sessionUsage.ts"

type Looked = { readonly container: Container; readonly life: Life }

export const makeUsage = (
  cgroups: Cgroups,
  containers: Effect.Effect<ReadonlyArray<Looked>, RuntimeError>
): Effect.Effect<ReadonlyArray<Usage>, RuntimeError> => {
  /** What each had used: without control groups the time of a process that nobody waited for is gone with it. */
  let mostCpu: ReadonlyMap<string, number> = new Map()
  return Effect.gen(function*() {
    const now = yield* Clock.currentTimeMillis
    const running = (yield* containers).flatMap(({ container, life }) =>
      life.state === "running" && life.process !== undefined ? [{ id: container.id, pid: life.process.pid }] : []
    )
    // Read once for all, and only where a container has no control group.
    let bySession: ReturnType<typeof sessionUsage> | undefined
    const most = new Map<string, number>()
    const usages = running.flatMap(({ id, pid }) => {
      const used = cgroups.usage(id) ?? (bySession ??= sessionUsage()).get(pid)
      if (used === undefined) return []
      const cpuNanoseconds = Math.max(used.cpuNanoseconds, mostCpu.get(id) ?? 0)
      most.set(id, cpuNanoseconds)
      return [{ containerId: id, at: now, ...used, cpuNanoseconds }]
    })
    mostCpu = most
    return usages
  })
}

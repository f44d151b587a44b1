/** What is still untrue of the stories: in the API, in the ledger and in the runtime. Empty when all has come to rest as it should. */
import type { ContainerStatus, Pod } from "../../../core/kube/Pod.ts"
import type { Seen } from "./DeviceRuntime.ts"
import type { Ledger } from "./Ledger.ts"
import type { Story, Told } from "./Stories.ts"

const exitOf = (state: ContainerStatus["state"]) => state?.terminated?.exitCode

const untold = (told: Told, status: ContainerStatus | undefined): ReadonlyArray<string> => {
  const wrong = (what: string, is: unknown, shall: unknown) => is === shall ? [] : [`${what} is ${is}, not ${shall}`]
  return [
    ...wrong("restartCount", status?.restartCount, told.restarts),
    ...wrong("exit code", exitOf(status?.state), told.exit),
    ...wrong("exit code before", exitOf(status?.lastState), told.before),
    ...wrong("running", status?.state?.running !== undefined, told.exit === undefined)
  ]
}

export interface Evidence {
  readonly pods: ReadonlyArray<Pod>
  readonly containers: ReadonlyArray<Seen>
  readonly ledger: Ledger
  /** The first id under which each attempt was ever seen, by pod, container and attempt. */
  readonly firstIds: ReadonlyMap<string, string>
}

export const attemptOf = ({ attempt, container, pod }: Seen) => `${pod}.${container}#${attempt}`

export const untrue = (story: Story, { containers, firstIds, ledger, pods }: Evidence): ReadonlyArray<string> => {
  const { end, name } = story
  const pod = pods.find(({ metadata }) => metadata.name === name)
  const own = containers.filter((each) => each.pod === name)
  const say = (what: ReadonlyArray<string>) => what.map((each) => `${name}: ${each}`)
  if ("lines" in end) {
    // An agent that is killed meanwhile asks again in its next life.
    const lines = ledger.lines(name).filter((line, at, all) => line !== "term" || all[at - 1] !== "term").join()
    return say([
      ...pod === undefined ? [] : [`is in the API still, ${pod.status?.phase}`],
      ...own.length === 0 ? [] : [`${own.map(attemptOf).join()} lies in the runtime still`],
      ...lines === end.lines.join() ? [] : [`its ledger reads ${lines}, not ${end.lines.join()}`]
    ])
  }
  const status = pod?.status
  const judged = (container: "init" | "main", told: Told | undefined) => {
    if (told === undefined) return []
    const all = container === "init" ? status?.initContainerStatuses : status?.containerStatuses
    const one = all?.find((each) => each.name === container)
    const starts = ledger.starts(name, container)
    const first = firstIds.get(`${name}.${container}#${told.restarts}`)
    return [
      ...untold(told, one),
      ...starts === told.starts ? [] : [`started ${starts} times, not ${told.starts}`],
      ...first === undefined || first === one?.containerID ? [] : [`is ${one?.containerID}, and was ${first}`]
    ].map((each) => `${container}: ${each}`)
  }
  return say([
    ...status?.phase === end.phase ? [] : [`is ${status?.phase}, not ${end.phase}`],
    ...judged("init", end.init),
    ...judged("main", end.main)
  ])
}

/** What no patience mends: runs too many, and another container under the name of an attempt. */
export const irreparable = (story: Story, { containers, firstIds, ledger }: Evidence): ReadonlyArray<string> => {
  const { end, name } = story
  const most = "lines" in end
    ? { main: 1, init: 0 }
    : { main: end.main.starts, init: end.init?.starts ?? 0 }
  return [
    ...(["init", "main"] as const).flatMap((container) => {
      const starts = ledger.starts(name, container)
      return starts <= most[container] ? [] : [`${name}: ${container} was started ${starts} times`]
    }),
    ...containers.filter(({ pod }) => pod === name).flatMap((each) => {
      const first = firstIds.get(attemptOf(each))
      // Made anew before it ever ran is no harm, and is told by the ledger if it did.
      return first === undefined || first === each.id ? [] : [`${attemptOf(each)} is ${each.id}, and was ${first}`]
    })
  ]
}

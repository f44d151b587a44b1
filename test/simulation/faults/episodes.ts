/** What befalls a storm's world, by name. To add a fault, write it into the table of its kind; to add a kind, put its table here. */
import { Effect } from "effect"
import { fairWeather } from "../../fakes/MemoryTransport.ts"
import { images } from "../workload.ts"
import { agent } from "./agent.ts"
import { api } from "./api.ts"
import { broker } from "./broker.ts"
import { byHand } from "./byHand.ts"
import { clock } from "./clock.ts"
import { disk } from "./disk.ts"
import { engine } from "./engine.ts"
import type { Episode, Episodes, Victims } from "./Episode.ts"
import { impostor } from "./impostor.ts"
import { link } from "./link.ts"
import { operator } from "./operator.ts"
import { partition } from "./partition.ts"
import { power } from "./power.ts"
import { watches } from "./watches.ts"
import { ways } from "./ways.ts"

const plagues = {
  ...link,
  ...agent,
  ...power,
  ...clock,
  ...engine,
  ...disk,
  ...byHand,
  ...operator,
  ...watches,
  ...impostor,
  ...api,
  ...broker,
  ...ways,
  ...partition
} as const satisfies Episodes

/** Whether this befalls the device itself, and not what it speaks with and by. */
export const harms = (what: string): boolean =>
  [agent, power, clock, engine, disk, byHand].some((table) => Object.hasOwn(table, what))

export type FaultName = keyof typeof plagues

/** As they are, each counted when it finds its victim. */
export const episodes: Episodes = Object.fromEntries(
  Object.entries<Episode>(plagues).map(([name, episode]) => [
    name,
    (victims, device) =>
      Effect.suspend(() => {
        victims.count(`fault: ${name}`)
        return Effect.tap(
          episode(victims, device),
          (outcome) => outcome === "missed" ? Effect.sync(() => victims.count(`fault: ${name}`, -1)) : Effect.void
        )
      })
  ])
)

const powerCuts = ["power: containers exited", "power: containers gone"]
const silentDeath = ["operator: dies without a word"]

/** What a fault is made of, where it comes in several kinds. */
export const kinds: Partial<Readonly<Record<FaultName, ReadonlyArray<string>>>> = {
  badLink: ["loss", "duplication", "reorder", "corruption", "truncation", "thin"].map((kind) => `link: ${kind}`),
  clockJump: ["clock: device back", "clock: device forward", "clock: operator back", "clock: operator forward"],
  badApi: [
    "409",
    "410",
    "429",
    "500",
    "503",
    "watch cut",
    "watch broken",
    "connection refused",
    "answer lost",
    "never answers",
    "slow"
  ].map((kind) => `api: ${kind}`),
  slowApi: ["api: slow"],
  staleReads: ["api: stale read"],
  watchesCut: ["api: watch cut", "api: watch broken"],
  operatorDies: silentDeath,
  operatorDiesAtRequest: silentDeath,
  operatorComesBackBehind: silentDeath,
  operatorsAway: silentDeath,
  badEngine: ["engine: Fails", "engine: Lost", "engine: Late", "engine: Slow"],
  hungEngine: ["engine: Hangs", "engine: Silent"],
  engineStops: ["engine stops: containers survive", "engine stops: containers killed"],
  noImages: ["pull: ImageUnavailable", "pull: ImageDenied", "pull: NotFound"],
  reboot: powerCuts,
  lostWrites: powerCuts
}

/** Everything as on a good day: what is still broken is mended, and both programs are up. */
export const healEverything = Effect.fnUntraced(
  function*({ apis, brokers, devices, forgetful, operators, readmit }: Victims) {
    for (const api of apis) {
      api.trap = undefined
    }
    if (brokers !== undefined) yield* brokers.heal
    for (const device of devices) {
      yield* device.transport.weather({ ...fairWeather })
      yield* device.transport.refuse(undefined)
      yield* device.runtime.heal
      yield* device.runtime.loseEvents(false)
      for (const image of images) yield* device.runtime.grant(image)
      yield* device.journal.heal
      yield* device.files.heal
      yield* device.runtime.startEngine
      yield* device.agent.up
      if (forgetful.has(device.name)) yield* readmit(device)
    }
    for (const operator of operators) yield* operator.up
  }
)

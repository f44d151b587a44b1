/** What befalls a storm by its profile: which faults it draws from. A run without a profile goes round all of them by seed. */
import { brokerRules } from "./brokers.ts"
import { budgetRules } from "./budgets.ts"
import { peaceRule } from "./errands.ts"
import { episodes, type FaultName, kinds } from "./faults/episodes.ts"
import { filesFollow, rules } from "./invariants.ts"
import { methodRules } from "./methods.ts"
import { partitionRules } from "./partitions.ts"
import { scrapeRules } from "./scrapes.ts"
import { serviceRule } from "./services.ts"
import { answeredRule, calmRule } from "./streams.ts"

const link: ReadonlyArray<FaultName> = [
  "badLink",
  "cut",
  "flap",
  "blackHole",
  "deafDevice",
  "muteDevice",
  "halfOpen",
  "refused",
  "everybodyFlaps"
]
const crashes: ReadonlyArray<FaultName> = ["agentDies", "agentDiesAtCommit", "agentDiesAtCall", "operatorDies"]

const device: ReadonlyArray<FaultName> = [
  "agentDies",
  "reboot",
  "engineStops",
  "badEngine",
  "hungEngine",
  "deafEngine",
  "killedContainer",
  "outOfMemory",
  "brokenSandbox",
  "pruned",
  "noImages"
]

const broker: ReadonlyArray<FaultName> = [
  "brokerRestarts",
  "brokerDuplicates",
  "brokerLoses",
  "brokerReorders",
  "lateWills",
  "retainedJunk",
  "strangers",
  "operatorOffBroker"
]

const methods: ReadonlyArray<FaultName> = ["betterWayDies", "lesserWayDies", "waysTakeTurns"]

const clocks: ReadonlyArray<FaultName> = ["clockJump", "bootIn1970"]

/** What owners and users do, and the share of each in all that they do. */
export type Shares = Readonly<Record<string, number>>

const ordinary: Shares = {
  create: 8,
  delete: 4,
  replace: 2,
  deleteThenForce: 1,
  paint: 2,
  editImage: 2,
  shorten: 1,
  follow: 1,
  run: 1
}

export interface Profile {
  readonly faults: ReadonlyArray<FaultName>
  readonly deeds: Shares
  /** How many of the devices have both ways to their operators, and how many of the others come through a broker alone; none unless told. */
  readonly ways?: { readonly both: number; readonly mqtt: number }
  /** How long its storms last, at least and less than, and the pause between two deeds, in milliseconds; as the size says unless told. */
  readonly storm?: { readonly lasts: readonly [number, number]; readonly pause: readonly [number, number] }
  /** After the storm, devices with two ways have to be content with one of them for a while. */
  readonly lame?: boolean
}

export const profiles: Readonly<Record<string, Profile>> = {
  everything: {
    faults: Object.keys(episodes) as ReadonlyArray<FaultName>,
    ways: { both: 0.3, mqtt: 0.3 },
    deeds: { ...ordinary, deleteThenReplace: 1, follow: 2, forward: 1, editDevice: 1, deleteDevice: 1, replaceOwned: 1 }
  },
  calm: { faults: [], deeds: { ...ordinary, follow: 4, editDevice: 2, deleteDevice: 1, replaceOwned: 2 } },
  link: { faults: link, deeds: ordinary },
  device: { faults: device, deeds: ordinary },
  disk: { faults: ["fullDisk", "badFiles", "lostWrites", "agentDiesAtCommit", "reboot"], deeds: ordinary },
  cloud: {
    faults: ["operatorDies", "operatorDiesAtRequest", "badApi", "slowApi", "staleReads", "watchesCut"],
    deeds: ordinary
  },
  // Operators that live through everything: what they lost is not found again by beginning anew.
  api: { faults: ["badApi", "apiAway", "slowApi", "watchesCut", "watchesFrozen", "compacted"], deeds: ordinary },
  handover: {
    faults: ["operatorComesBackBehind", "operatorDies", "operatorDiesAtRequest", "ghost", "cut", "watchesFrozen"],
    deeds: { create: 6, delete: 4, replace: 3, deleteThenReplace: 3, editImage: 1 }
  },
  crashes: { faults: [...crashes, "operatorDiesAtRequest", "halfOpen"], deeds: ordinary },
  fleet: {
    faults: ["everybodyFlaps", "cut", "blackHole", "agentDies", "halfOpen", "operatorDies", "badApi"],
    deeds: { create: 4, delete: 2, paint: 1, editDevice: 3, deleteDevice: 3, replaceOwned: 4 }
  },
  names: {
    faults: [
      "cut",
      "badLink",
      "agentDies",
      "agentDiesAtCall",
      "operatorDies",
      "watchesCut",
      "watchesFrozen",
      "slowApi",
      "badEngine"
    ],
    deeds: { create: 3, delete: 2, replace: 8, deleteThenReplace: 6, deleteThenForce: 3, paint: 1 }
  },
  clocks: {
    faults: [...clocks, ...clocks, "cut", "agentDies", "operatorDies", "killedContainer", "reboot"],
    deeds: { ...ordinary, create: 4 }
  },
  streams: {
    faults: ["badLink", "cut", "flap", "blackHole", "agentDies", "operatorDies", "killedContainer", "engineStops"],
    deeds: { create: 2, delete: 1, editImage: 2, follow: 6, run: 3, forward: 2 }
  },
  broker: {
    faults: [
      ...broker,
      "brokerRestarts",
      "retainedJunk",
      "cut",
      "flap",
      "blackHole",
      "halfOpen",
      "agentDies",
      "operatorDies"
    ],
    deeds: { ...ordinary, follow: 3, run: 2 },
    ways: { both: 0, mqtt: 0.7 }
  },
  methods: {
    faults: [
      ...methods,
      ...methods,
      "brokerRestarts",
      "operatorOffBroker",
      "cut",
      "flap",
      "blackHole",
      "agentDies",
      "operatorDies"
    ],
    deeds: { create: 3, delete: 1, editImage: 1, follow: 8, run: 3, forward: 1 },
    ways: { both: 1, mqtt: 0 },
    // A return to the better way takes a minute at least.
    storm: { lasts: [60_000, 300_000], pause: [500, 12_000] },
    lame: true
  },
  partition: {
    faults: [
      "apart",
      "apart",
      "turnedAway",
      "rebootApart",
      "operatorsAway",
      "operatorDies",
      "operatorDiesAtRequest",
      "agentDies",
      "reboot",
      "cut",
      "apiAway",
      "badApi",
      "slowApi",
      "watchesCut",
      "watchesFrozen"
    ],
    deeds: { create: 3, delete: 2, replaceOwned: 2, partition: 4, editImage: 1 },
    ways: { both: 0.2, mqtt: 0.3 },
    storm: { lasts: [20 * 60_000, 60 * 60_000], pause: [10_000, 240_000] }
  },
  budgets: {
    faults: ["badLink", "cut", "flap", "agentDies", "operatorDies", "operatorDiesAtRequest", "badApi", "watchesCut"],
    deeds: { create: 1, delete: 1, editImage: 1, follow: 16, run: 6, forward: 2, scrape: 8, budget: 12 },
    // A budget is used up, and asked for all the same.
    storm: { lasts: [60_000, 120_000], pause: [500, 4_000] }
  }
}

const names = Object.keys(profiles)

/** The profile of a seed for which none was asked. */
export const profileOf = (seed: number): string => names[seed % names.length] ?? "everything"

const errands = ["what is asked for is done at most once", "an outcome is the real one", answeredRule]
const lostErrands = ["what may have been done is not said to have failed"]
const readers = ["lines come once and in order", "a stream that ends in order is complete", "a stream goes on or ends"]

/** Rare, and met by all profiles together: readers and commands are few in most, and have to be under way when something happens. */
export const seldom: ReadonlySet<string> = new Set(
  [...errands, ...lostErrands, ...readers].map((rule) => `rule: ${rule}`)
)

/** What storms of this profile have to meet, given enough of them; where everything happens, what is rare has a profile of its own. */
export const promised = (profile: string): ReadonlyArray<string> => {
  const { deeds = {}, faults = [] } = profiles[profile] ?? {}
  const isBroad = profile === "everything"
  const special = [
    ...deeds["budget"] === undefined ? [] : [...budgetRules, ...scrapeRules],
    ...faults.includes("retainedJunk") ? brokerRules : [],
    ...faults.includes("betterWayDies") ? [...methodRules, ...lostErrands] : [],
    ...deeds["partition"] === undefined ? [] : partitionRules
  ]
  const met = [
    ...rules,
    peaceRule,
    ...deeds["replaceOwned"] === undefined ? [] : [serviceRule],
    ...deeds["follow"] === undefined ? [] : readers,
    ...deeds["run"] === undefined ? [] : errands,
    ...faults.length > 0 ? [] : [calmRule],
    ...isBroad ? [] : special
  ]
    // Epochs change with operators; whose turn it is changes only where one dies or two contend.
    .filter((rule) => !rule.includes("epoch") || faults.includes("operatorDies"))
    .filter((rule) => rule !== "an edited image runs" || deeds["editImage"] !== undefined)
    .filter((rule) => filesFollow.every((each) => each !== rule) || deeds["paint"] !== undefined)
  return [
    ...faults.flatMap((fault) => [`fault: ${fault}`, ...isBroad ? [] : kinds[fault] ?? []]),
    ...Object.keys(deeds).map((deed) => `deed: ${deed}`),
    ...met.map((rule) => `rule: ${rule}`)
  ]
}

/** What befalls a storm by its profile: which faults it draws from. A run without a profile goes round all of them by seed. */
import { episodes, type FaultName, kinds } from "./faults.ts"

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

export const profiles: Readonly<Record<string, ReadonlyArray<string>>> = {
  everything: Object.keys(episodes),
  calm: [],
  link,
  device: [
    "agentDies",
    "reboot",
    "engineStops",
    "badEngine",
    "hungEngine",
    "deafEngine",
    "killedContainer",
    "outOfMemory",
    "brokenSandbox",
    "noImages"
  ],
  disk: ["fullDisk", "badFiles", "lostWrites", "agentDiesAtCommit", "reboot"],
  cloud: ["operatorDies", "operatorDiesAtRequest", "badApi", "slowApi", "staleReads", "watchesCut"],
  crashes: [...crashes, "operatorDiesAtRequest", "halfOpen"]
}

const names = Object.keys(profiles)

/** The profile of a seed for which none was asked. */
export const profileOf = (seed: number): string => names[seed % names.length] ?? "everything"

/** What storms of this profile have to meet, given enough of them. */
export const promised = (profile: string): ReadonlyArray<string> =>
  (profiles[profile] ?? []).flatMap((fault) => [`fault: ${fault}`, ...kinds[fault as FaultName] ?? []])

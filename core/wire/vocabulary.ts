/**
 * The frozen words of status reports: the number of a word is its place in this list, from 1. Nothing is ever moved, removed
 * or, within one protocol version, added: a peer that does not know a number cannot read the report.
 */
import { reject } from "./message.ts"

export const vocabulary: ReadonlyArray<string> = [
  // Conditions.
  "PodScheduled",
  "PodReadyToStartContainers",
  "Initialized",
  "ContainersReady",
  "Ready",
  "DisruptionTarget",
  "PodResizePending",
  "PodResizeInProgress",
  "True",
  "False",
  "Unknown",
  "ContainersNotReady",
  "ContainersNotInitialized",
  "PodCompleted",
  "PodFailed",
  "ReadinessGatesNotReady",
  "UnknownContainerStatuses",
  "TerminationByKubelet",
  // Waiting containers.
  "ContainerCreating",
  "PodInitializing",
  "CrashLoopBackOff",
  "ErrImagePull",
  "ImagePullBackOff",
  "ErrImageNeverPull",
  "InvalidImageName",
  "ImageInspectError",
  "RegistryUnavailable",
  "CreateContainerConfigError",
  "CreateContainerError",
  "PostStartHookError",
  "PreStartHookError",
  "RunContainerError",
  "CreatePodSandboxError",
  // Ended containers.
  "Completed",
  "Error",
  "OOMKilled",
  "StartError",
  "ContainerCannotRun",
  "ContainerStatusUnknown",
  "The container could not be located when the pod was terminated",
  // Pods.
  "Evicted",
  "DeadlineExceeded",
  "Pod was active on the node longer than the specified deadline",
  "Guaranteed",
  "Burstable",
  "BestEffort",
  // What stands before a digest.
  "docker://",
  "process://",
  "containerd://",
  "cri-o://",
  "sha256:",
  "docker-pullable://"
]

const firstText = 128
const numbers = new Map(vocabulary.map((word, index) => [word, index + 1]))

/** Collects the texts of one report while its words are numbered. */
export interface Texts {
  readonly list: Array<string>
  /** 0 for an absent word. */
  readonly number: (word: string | undefined) => number
}

export const makeTexts = (): Texts => {
  const list: Array<string> = []
  const known = new Map<string, number>()
  return {
    list,
    number: (word) => {
      if (word === undefined) return 0
      const existing = numbers.get(word) ?? known.get(word)
      if (existing !== undefined) return existing
      const fresh = firstText + list.length
      list.push(word)
      known.set(word, fresh)
      return fresh
    }
  }
}

/** The word of a number; undefined for 0. */
export const wordOf = (texts: ReadonlyArray<string>, number: number): string | undefined =>
  number === 0 ?
    undefined :
    (number < firstText ? vocabulary[number - 1] : texts[number - firstText]) ??
      reject(number < firstText ? "Unsupported" : "Invalid", `word number ${number}`)

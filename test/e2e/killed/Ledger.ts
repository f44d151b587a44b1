/** What containers wrote down of their own lives, one file for each container of each pod; and the gates that hold them up. */
import { appendFileSync, chmodSync, mkdirSync, readdirSync, readFileSync, statSync } from "node:fs"
import { processesNaming } from "../program.ts"

export interface Ledger {
  readonly folder: string
  /** The lines of one container, all its runs: `start`, `term` when it was asked to end, `exit N` before it ends by itself. */
  readonly lines: (pod: string, container?: string) => ReadonlyArray<string>
  /** When its last line was written, in milliseconds. */
  readonly lastAt: (pod: string) => number
  /** How often a container was started. */
  readonly starts: (pod: string, container?: string) => number
  /** Every container that ever wrote, as `pod.container`. */
  readonly written: () => ReadonlyArray<string>
  readonly open: (pod: string, gate: string) => void
  /** Processes of the pod that are alive at this moment, whatever runs them. */
  readonly alive: (pod: string) => ReadonlyArray<number>
}

export const makeLedger = (folder: string): Ledger => {
  mkdirSync(folder)
  chmodSync(folder, 0o777) // pods may be users of their own
  const lines = (pod: string, container = "main") => {
    try {
      return readFileSync(`${folder}/${pod}.${container}`, "utf8").split("\n").filter((line) => line !== "")
    } catch {
      return []
    }
  }
  return {
    folder,
    lines,
    starts: (pod, container) => lines(pod, container).filter((line) => line === "start").length,
    lastAt: (pod) => statSync(`${folder}/${pod}.main`).mtimeMs,
    written: () => readdirSync(folder).filter((name) => !name.includes("-gate-")),
    open: (pod, gate) => appendFileSync(`${folder}/${pod}-gate-${gate}`, ""),
    // Every script names its file of the ledger.
    alive: (pod) => processesNaming(`${folder}/${pod}.`)
  }
}

/** One step of a container's script. */
export type Step =
  | { readonly _tag: "Gate"; readonly name: string }
  | { readonly _tag: "Sleep"; readonly seconds: number }
  /** For ever, until asked to end. */
  | { readonly _tag: "Stay" }
  | { readonly _tag: "Exit"; readonly code: number }

export const gate = (name: string): Step => ({ _tag: "Gate", name })
export const sleep = (seconds: number): Step => ({ _tag: "Sleep", seconds })
export const stay: Step = { _tag: "Stay" }
export const exit = (code: number): Step => ({ _tag: "Exit", code })

/**
 * What a container does in its first, second, ... run; further runs do as the last. Asked to end it says so, and ends with 0,
 * behind the gate `term` where it has one.
 */
export const script = (
  folder: string,
  pod: string,
  container: string,
  runs: ReadonlyArray<ReadonlyArray<Step>>,
  endsBehindGate: boolean
): string => {
  const line = (step: Step): string => {
    switch (step._tag) {
      case "Gate":
        return `while [ ! -e ${folder}/${pod}-gate-${step.name} ]; do sleep 0.1; done`
      case "Sleep":
        return `sleep ${step.seconds}`
      case "Stay":
        return "while :; do sleep 3600 & wait; done"
      case "Exit":
        return `echo exit ${step.code} >> $L; exit ${step.code}`
    }
  }
  const bodies = runs.map((steps, run) =>
    `${run === runs.length - 1 ? "*" : run + 1})\n${steps.map(line).join("\n")}\n;;`
  )
  return [
    `L=${folder}/${pod}.${container}`,
    `ending() {\necho term >> $L\n${endsBehindGate ? `${line(gate("term"))}\n` : ""}${line(exit(0))}\n}`,
    "trap ending TERM",
    "echo start >> $L",
    `case $(grep -c start $L) in\n${bodies.join("\n")}\nesac`
  ].join("\n")
}

/** The programs of the runtime contract as commands of any POSIX userland; all that varies is an argument. */
import type { ContractProgram, ContractWorld } from "./runtimeWorld.ts"

const sh = (script: string, ...args: ReadonlyArray<string>) => ({ command: ["sh", "-c", script, "sh"], args })

export const shellProgram = (
  program: Exclude<ContractProgram, { readonly _tag: "Greets" }>
): ReturnType<ContractWorld["program"]> => {
  switch (program._tag) {
    case "Forever":
      return { command: ["sleep"], args: ["100000"] }
    case "Polite":
      return sh("trap 'exit 0' TERM; echo ready; while :; do sleep 1000 & wait $!; done")
    case "Deaf":
      return sh("trap '' TERM; echo ready; while :; do sleep 1; done")
    case "Exits":
      return sh("exit \"$1\"", `${program.code}`)
    case "Prints":
      return program.complaint === undefined
        ? sh("printf '%s\\n' \"$@\"", ...program.lines)
        : sh("printf '%s\\n' \"$1\" >&2; shift; printf '%s\\n' \"$@\"", program.complaint, ...program.lines)
    case "Counts":
      return sh("n=0; while :; do echo $n; n=$((n+1)); sleep 0.1; done")
    case "Echoes":
      return { command: ["cat"], args: [] }
    case "Arguments":
      return sh("printf '%s\\n' \"$@\"", ...program.args)
    case "Environment":
      return sh(`printf '%s\\n' "$${program.name}"`)
    case "File":
      return { command: ["cat"], args: [program.path] }
    case "Writes":
      return sh("(echo x > \"$1\") 2>/dev/null && echo written || echo refused", program.path)
    case "NoSuchCommand":
      return { command: ["there-is-no-such-command"], args: [] }
  }
}

export const shellComplaint = (text: string, code: number): ReadonlyArray<string> => [
  "sh",
  "-c",
  "printf '%s\\n' \"$1\" >&2; exit \"$2\"",
  "sh",
  text,
  `${code}`
]

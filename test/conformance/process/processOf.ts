/** Gives a container of the in-memory runtime a process that does what its command says. */
import { Effect } from "effect"
import type { ContainerSpec } from "../../../core/pod/ContainerRuntime.ts"
import type { MemoryRuntime } from "../../fakes/MemoryRuntime.ts"
import type { Script } from "../../fakes/runtime/Program.ts"
import { isKnown, runCommand } from "./commands.ts"
import { FileView } from "./FileView.ts"
import { wordsOf } from "./images.ts"

export const processOf = (runtime: MemoryRuntime["Service"]) => {
  const owners = new Map<string, { readonly uid: number; readonly gid: number }>()
  return (spec: ContainerSpec): Partial<Script> => {
    const words = wordsOf(spec)
    if (!isKnown(words)) return { startFails: `exec: "${words[0] ?? ""}": executable file not found in $PATH` }
    return {
      run: ({ print }) =>
        Effect.gen(function*() {
          const sandbox = yield* runtime.sandbox(spec.sandboxId)
          return yield* runCommand(words, { spec, sandbox, files: new FileView(spec, owners), print })
        })
    }
  }
}

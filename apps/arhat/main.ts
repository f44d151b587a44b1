/** `arhat`: the agent on a device. */
import { dialProgramArgument } from "../../adapters/docker/dialProgramArgument.ts"
import { copyFilesArgument } from "../../adapters/process/host/copyFilesArgument.ts"

// Called by arhat itself, for each file of the host that is copied and in the networks of pods: nothing is loaded that this does not need.
if (process.argv[2] === copyFilesArgument) {
  const { runCopyFiles } = await import("../../adapters/process/host/copyFiles.ts")
  await runCopyFiles(process.argv[3] ?? "")
} else if (process.argv[2] === dialProgramArgument) {
  const { runDialProgram } = await import("../../adapters/docker/dialProgram.ts")
  runDialProgram()
} else {
  const { runCommandLine } = await import("./commandLine.ts")
  runCommandLine()
}

/** What arhat does when it is called to copy files, alone. */
import { runCopyFiles } from "../../../../adapters/process/host/copyFiles.ts"

await runCopyFiles(process.argv[3] ?? "")

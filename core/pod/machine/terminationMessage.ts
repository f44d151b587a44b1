/** What a container left to say: its termination file, or the end of its log where that is asked for. */
import { Effect, Stream } from "effect"
import type { Container } from "../ContainerRuntime.ts"
import type { AssignedContainer } from "../PodAssignment.ts"
import { terminationFile } from "./containerSpec.ts"
import type { Workbench } from "./Workbench.ts"

/** Bytes: of one container, of the whole pod, and of a log that stands in for the file. */
const mostOfContainer = 4096
const mostOfPod = 12 * 1024
const mostOfLog = 2048
const mostLogLines = 80
/** A log that does not come must not hold up the status. */
const patience = "10 seconds"

const text = new TextDecoder()

const endOfLog = (bench: Workbench, container: Container) =>
  bench.runtime.logs(container.id, { follow: false, tail: mostLogLines }).pipe(
    Stream.runFold(() => new Uint8Array(), (end, { bytes }) => {
      const joined = new Uint8Array(end.length + bytes.length)
      joined.set(end)
      joined.set(bytes, end.length)
      return joined.slice(-mostOfLog)
    }),
    Effect.map((bytes) => text.decode(bytes)),
    Effect.timeout(patience),
    Effect.catch((error) =>
      Effect.as(Effect.logDebug(`no log to take a termination message from: ${error.message}`), "")
    )
  )

export const terminationMessage = Effect.fnUntraced(function*(
  bench: Workbench,
  assigned: AssignedContainer,
  container: Container,
  containersOfPod: number
) {
  const limit = Math.min(mostOfContainer, Math.floor(mostOfPod / Math.max(1, containersOfPod)))
  const file = assigned.terminationMessagePath === ""
    ? ""
    : yield* bench.files.readTail(bench.uid, terminationFile(assigned.name), limit).pipe(
      Effect.map((bytes) => text.decode(bytes)),
      Effect.catch((error) => Effect.succeed(`Error on reading termination log: ${error.message}`.slice(0, limit)))
    )
  const failed = container.exitCode !== 0
  if (file !== "" || !failed || assigned.terminationMessagePolicy === "File") return file
  return (yield* endOfLog(bench, container)).slice(-limit)
})

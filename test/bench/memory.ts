/** What a process takes of the machine, as the kernel says, and what of its own heap it uses, as its Node.js says. */
import { Effect, Schema } from "effect"
import { readFileSync } from "node:fs"

/** Bytes. */
export interface Memory {
  readonly resident: number
  /** Shared pages count in parts. */
  readonly proportional: number
}

export const memoryOf = (pid: number): Effect.Effect<Memory> =>
  Effect.sync(() => {
    const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8")
    const field = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(rollup)?.[1]) * 1024
    return { resident: field("Rss"), proportional: field("Pss") }
  })

/** Clock ticks of a second in /proc; 100 on every Linux that Node.js runs on. */
const ticks = 100

/** Milliseconds of processor time so far: unlike waits, they hardly depend on who else uses the machine. */
export const processorTimeOf = (pid: number): Effect.Effect<number> =>
  Effect.sync(() => {
    const afterName = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.split(" ") ?? []
    return (Number(afterName[11]) + Number(afterName[12])) * 1000 / ticks
  })

export const megabytes = (bytes: number) => bytes / 1e6

class NoInspector extends Schema.TaggedError<NoInspector>()("NoInspector", { detail: Schema.String }) {
  override get message() {
    return `the inspector of Node.js: ${this.detail}`
  }
}

interface Reply {
  readonly id?: number
  readonly result?: { readonly usedSize?: number; readonly backingStorageSize?: number }
}

/** Collects the garbage of a process started with `--inspect=127.0.0.1:0` and returns the bytes its heap uses after that; with `buffers`, those too that its buffers hold outside of it. */
export const usedHeap = (
  logFile: string,
  options: { readonly buffers?: boolean } = {}
): Effect.Effect<number, NoInspector> =>
  Effect.callback<number, NoInspector>((resume) => {
    const listening = [...readFileSync(logFile, "utf8").matchAll(/Debugger listening on (ws:\S+)/g)].at(-1)?.[1]
    if (listening === undefined) return resume(Effect.fail(new NoInspector({ detail: "it does not listen" })))
    const socket = new WebSocket(listening)
    const methods = ["HeapProfiler.collectGarbage", "HeapProfiler.collectGarbage", "Runtime.getHeapUsage"]
    const next = (id: number) => socket.send(JSON.stringify({ id, method: methods[id] }))
    socket.onopen = () => next(0)
    socket.onerror = () => resume(Effect.fail(new NoInspector({ detail: "it does not answer" })))
    socket.onmessage = ({ data }) => {
      const { id, result } = JSON.parse(String(data)) as Reply
      if (id === undefined) return
      if (id + 1 < methods.length) return next(id + 1)
      resume(Effect.succeed((result?.usedSize ?? 0) + (options.buffers === true ? result?.backingStorageSize ?? 0 : 0)))
    }
    return Effect.sync(() => socket.close())
  }).pipe(
    Effect.timeoutOrElse({
      duration: "1 minute",
      orElse: () => Effect.fail(new NoInspector({ detail: "no answer within a minute" }))
    })
  )

/** The two runtimes the kills are survived on, seen without the product's own adapters. */
import { Effect } from "effect"
import { existsSync, lstatSync, readdirSync, readFileSync } from "node:fs"
import type { Docker } from "../dockerd.ts"

export interface Seen {
  readonly pod: string
  readonly container: string
  readonly attempt: number
  readonly id: string
  readonly state: "created" | "running" | "exited"
}

export interface DeviceRuntime {
  readonly name: string
  /** The `runtime` section of the agent's configuration. */
  readonly config: object
  readonly image: string
  /** What lies in the runtime now, sandboxes as container `POD`. */
  readonly containers: (agentData: string) => Effect.Effect<ReadonlyArray<Seen>>
}

interface Listed {
  readonly Id: string
  readonly State: string
  readonly Labels: Readonly<Record<string, string>>
}

/** Also a link that leads nowhere, as an exit code is. */
const isThere = (path: string) => lstatSync(path, { throwIfNoEntry: false }) !== undefined

export const onDocker = ({ engine, socketPath }: Docker): DeviceRuntime => ({
  name: "docker",
  config: { docker: { socket: socketPath, pauseImage: "aranya.test/pause:1" } },
  image: "busybox:1.36",
  containers: () =>
    engine.json("GET", "/containers/json", {
      query: { all: "1", filters: JSON.stringify({ label: ["io.kubernetes.pod.namespace=edge"] }) }
    }).pipe(
      Effect.orDie,
      Effect.map((listed) =>
        (listed as ReadonlyArray<Listed>).map(({ Id, Labels, State }) => ({
          pod: Labels["io.kubernetes.pod.name"] ?? "",
          container: Labels["io.kubernetes.container.name"] ?? "",
          attempt: Number(Labels["arhat.dev/attempt"]),
          id: `docker://${Id}`,
          state: State === "created" || State === "running" ? State : "exited"
        }))
      )
    )
})

const readJson = (path: string) => {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as Readonly<Record<string, unknown>>
  } catch {
    return undefined // gone meanwhile
  }
}

const listed = (folder: string) => existsSync(folder) ? readdirSync(folder).filter((name) => !name.startsWith(".")) : []

export const asProcesses: DeviceRuntime = {
  name: "processes",
  config: { docker: { enabled: false }, process: { enabled: true } },
  image: "virtualimage.arhat.dev/hostexec",
  containers: (agentData) =>
    Effect.sync(() => {
      const folder = `${agentData}/processes`
      const sandboxes = listed(`${folder}/sandboxes`).flatMap((id): ReadonlyArray<Seen> => {
        const kept = readJson(`${folder}/sandboxes/${id}`)
        return kept === undefined ? [] : [{
          pod: String(kept["pod"]),
          container: "POD",
          attempt: Number(kept["attempt"]),
          id,
          state: "running"
        }]
      })
      const containers = listed(`${folder}/containers`).flatMap((id): ReadonlyArray<Seen> => {
        const own = `${folder}/containers/${id}`
        const spec = readJson(`${own}/spec`)?.["spec"] as Readonly<Record<string, unknown>> | undefined
        return spec === undefined ? [] : [{
          pod: String(spec["pod"]),
          container: String(spec["container"]),
          attempt: Number(spec["attempt"]),
          id: `process://${id}`,
          state: isThere(`${own}/exit`) ? "exited" : existsSync(`${own}/process`) ? "running" : "created"
        }]
      })
      return [...sandboxes, ...containers]
    })
}

/** Makes every volume of the pod ready on the device; a repeat with other content changes what containers see. */
import { Effect } from "effect"
import type { FilesError } from "../PodFiles.ts"
import { stateOf, tellOnce, type Workbench } from "./Workbench.ts"

export const ensureVolumes = Effect.fnUntraced(function*(bench: Workbench): Effect.fn.Return<void, FilesError> {
  if (bench.volumes !== undefined) return
  const { assignment } = yield* stateOf(bench)
  const volumes = new Map<string, string>()
  for (const volume of assignment.volumes) {
    const path = yield* bench.files.volume(bench.uid, volume, { fsGroup: assignment.fsGroup }).pipe(
      Effect.tapError((error) =>
        tellOnce(bench, `volume ${volume.name}`, {
          reason: "FailedMount",
          message: `MountVolume.SetUp failed for volume "${volume.name}" : ${error.message}`
        })
      )
    )
    bench.told.delete(`volume ${volume.name}`)
    volumes.set(volume.name, path)
  }
  // A newer assignment that came meanwhile has volumes of its own.
  if ((yield* stateOf(bench)).assignment === assignment) bench.volumes = volumes
})

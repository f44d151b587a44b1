/** Makes every volume of the pod ready on the device; a repeat with other content changes what containers see. */
import { Effect } from "effect"
import { assignedContainers, type AssignedVolume, type PodAssignment } from "../PodAssignment.ts"
import type { FilesError, MountPoint } from "../PodFiles.ts"
import { stateOf, tellOnce, type Workbench } from "./Workbench.ts"

const parts = (path: string) => path.split("/").filter((part) => part !== "" && part !== ".")

/** What this device knows to be no directory; for all else a kubelet, too, makes a directory. */
const isFile = (volume: AssignedVolume | undefined, subPath: string): boolean => {
  const path = parts(subPath).join("/")
  return volume?._tag === "Files"
    ? volume.files.some((file) => parts(file.path).join("/") === path)
    : volume?._tag === "HostPath" && path === "" && !["", "Directory", "DirectoryOrCreate"].includes(volume.type)
}

/** Where containers mount other things below a volume. */
export const mountPointsBelow = (assignment: PodAssignment, volume: string): ReadonlyArray<MountPoint> => {
  const found = new Map<string, MountPoint>()
  for (const { mounts } of assignedContainers(assignment)) {
    for (const above of mounts) {
      if (above.volume !== volume || above.subPath !== "") continue
      const outer = parts(above.mountPath)
      for (const { mountPath, subPath, volume: other } of mounts) {
        const inner = parts(mountPath)
        if (inner.length > outer.length && !inner.includes("..") && outer.every((part, i) => part === inner[i])) {
          const path = inner.slice(outer.length).join("/")
          const mounted = assignment.volumes.find(({ name }) => name === other)
          found.set(path, { path, kind: isFile(mounted, subPath) ? "file" : "directory" })
        }
      }
    }
  }
  return [...found.values()].toSorted((a, b) => a.path < b.path ? -1 : 1)
}

export const ensureVolumes = Effect.fnUntraced(function*(bench: Workbench): Effect.fn.Return<void, FilesError> {
  if (bench.volumes !== undefined) return
  const { assignment } = yield* stateOf(bench)
  const volumes = new Map<string, string>()
  for (const volume of assignment.volumes) {
    const path = yield* bench.files.volume(bench.uid, volume, {
      fsGroup: assignment.fsGroup,
      mountPoints: mountPointsBelow(assignment, volume.name)
    }).pipe(
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

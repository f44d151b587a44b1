/** A device's disk is full, or fails. */
import { Effect } from "effect"
import { FilesError } from "../../../core/pod/PodFiles.ts"
import { type Episodes, lasting } from "./Episode.ts"

const noSpace = new FilesError({ reason: "Failed", detail: "no space left on device" })

export const disk = {
  fullDisk: Effect.fnUntraced(function*({ dice }, { files, journal }) {
    yield* journal.fail("Full")
    const also = dice.chance() < 0.5
    if (also) { for (const deed of ["volume", "write", "replace"] as const) yield* files.fail(deed, noSpace) }
    yield* lasting(dice, 500, 90_000)
    yield* journal.heal
    if (also) yield* files.heal
  }),
  badFiles: Effect.fnUntraced(function*({ dice }, { files }) {
    yield* files.fail(
      dice.pick(["volume", "write", "remove", "pods"] as const),
      new FilesError({ reason: "Failed", detail: "input/output error" }),
      dice.between(1, 10)
    )
    yield* lasting(dice, 500, 30_000)
    yield* files.heal
  })
} as const satisfies Episodes

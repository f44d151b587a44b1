/** What the API server tells in a storm's story: every change of pods, nodes and devices, and who holds which device. */
import type { Context } from "effect"
import type { ControlPlane } from "../../adapters/kube/plane/ControlPlane.ts"
import type { TraceEvent } from "./trace.ts"

/** Which process has this device, and under which epoch. */
export const holderOf = (object: unknown): { readonly holder: string; readonly epoch: number } | undefined => {
  const link = (object as { status?: { link?: { holder?: string; epoch?: number } } } | undefined)?.status?.link
  return link?.holder === undefined ? undefined : { holder: link.holder, epoch: link.epoch ?? 0 }
}

const statusWords = (object: unknown): unknown =>
  ((object as { status?: { containerStatuses?: ReadonlyArray<Record<string, unknown>> } }).status?.containerStatuses ??
    [])
    .map(({ name, restartCount, state }) => `${name}#${restartCount} ${Object.keys(state as object)[0]}`)

export const tellApi = (
  plane: Context.Service.Shape<typeof ControlPlane>,
  tell: (actor: string, text: string, kind?: TraceEvent["kind"]) => void
): void => {
  for (const collection of ["pods", "nodes", "edgedevices.aranya.arhat.dev"]) {
    plane.world.store.listen(collection, "all", ({ revision: { object }, type }) => {
      const { metadata, status } = object as { metadata: Record<string, unknown>; status?: { phase?: string } }
      tell(
        "api",
        `${type} ${collection} ${metadata["name"]} ${metadata["resourceVersion"]} ${
          collection !== "pods" ? "" : `${status?.phase} ${JSON.stringify(statusWords(object))}`
        }${metadata["deletionTimestamp"] === undefined ? "" : " (deleting)"}`
      )
    })
  }
  // Who holds which device: `edge-1 is taken under epoch 3`, until another process takes it.
  plane.world.store.listen("edgedevices.aranya.arhat.dev", "all", ({ previous, revision: { object }, type }) => {
    const [before, after] = [holderOf(previous?.object), type === "DELETED" ? undefined : holderOf(object)]
    if (before?.holder === after?.holder) return
    const device = String((object as { metadata?: { name?: string } }).metadata?.name)
    const lane = (holder: string) => `${holder.replace(/-\d+$/u, "")}/${device}`
    if (before !== undefined) tell(lane(before.holder), `${device} is ${after?.holder ?? "nobody"}'s now`, "ended")
    if (after !== undefined) {
      tell(lane(after.holder), `${device} is taken by ${after.holder}, epoch ${after.epoch}`, "began")
    }
  })
}
